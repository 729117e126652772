"""What lies behind a thing that moves, and which pieces belong to one that rests."""

import numpy as np

from spatia_ros import geometry
from spatia_ros.memory.texels import beside_steps
from spatia_ros.slam.behind import behind
from spatia_ros.slam.movers import Cluster, match, started
from spatia_ros.slam.witnesses import Cells
from spatia_ros.types import Camera, Float32

CAMERA = Camera(80, 60, 70.0, 70.0, 40.0, 30.0)
FLOOR_M, WALL_M = 1.2, 4.0
"""How far below the camera the floor is, and how far ahead the wall."""


def corner() -> Float32:
    """Exact depth of a floor that meets a wall, m."""
    down = geometry.pixel_rays(CAMERA)[..., 1]
    return np.minimum(np.where(down > 0, FLOOR_M / np.maximum(down, 1e-6), np.inf), WALL_M).astype(np.float32)


def cells_with(depth: Float32) -> Cells:
    return Cells(depth, depth, CAMERA, np.eye(4), 0, 1, 0.03, 0.0045, depth)


def test_floor_and_wall_go_on_behind_a_thing() -> None:
    depth, thing = corner(), np.zeros((60, 80), bool)
    thing[20:50, 30:45] = True
    noise = np.random.default_rng(0).normal(0, 0.0015, depth.shape).astype(np.float32) * depth**2
    seen = np.where(thing, np.float32(1.5), depth + noise).astype(np.float32)
    far = behind(cells_with(seen), thing, np.zeros_like(thing), np.random.default_rng(1))
    assert (far[thing] > 0).mean() > 0.99
    hidden = thing & (corner() > 1.6)
    assert np.abs(far[hidden] - corner()[hidden]).max() < 0.03
    assert (far[~thing][np.abs(np.argwhere(~thing) - (35, 37)).max(1) > 25] == 0).all()


def test_nothing_is_said_of_what_is_behind_where_no_plane_is() -> None:
    rng, thing = np.random.default_rng(2), np.zeros((60, 80), bool)
    thing[25:40, 30:45] = True
    rough = rng.uniform(1.0, 4.0, (60, 80)).astype(np.float32)
    assert not behind(cells_with(rough), thing, np.zeros_like(thing), rng).any()


def box(low: float, high: float) -> Cluster:
    return Cluster(np.zeros((60, 80), bool), np.zeros((1, 3)), np.full(3, low), np.full(3, high))


def test_pieces_of_what_rests_belong_to_it_and_not_to_another() -> None:
    rests, other = started(1, box(0.0, 1.0), 0), started(2, box(0.4, 0.6), 0)
    piece, beyond = box(0.4, 0.6), box(0.8, 1.6)
    assert match([rests, other], [piece], 0) == {2: [piece]}
    rests.state = "resting"
    assert match([rests, other], [piece], 0) == {1: [piece]}
    assert match([rests], [piece, beyond], 0)[1] == [piece]


def test_rims_are_the_pixels_within_two_of_a_step() -> None:
    depth = np.full((12, 16), 2.0, np.float32)
    depth[:, 8:] = 1.0
    depth[:, 3] = 0.0
    expected = np.zeros((12, 16), bool)
    expected[:, 6:10] = True
    assert np.array_equal(beside_steps(depth), expected)
    assert not beside_steps((2.0 + 0.05 * np.arange(16) + np.zeros((12, 1))).astype(np.float32)).any()
