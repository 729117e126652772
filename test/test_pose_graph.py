"""Pose graphs with known answers: a square walked once, with drift, and loops true and false."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.slam.pose_graph import Edge, information, optimise
from spatia_ros.types import SpatiaError

SIDE = 10
ODOMETRY, LOOP = information(0.01, 0.01), information(0.005, 0.003)


def step(forward_m: float, left_m: float = 0.0, turn_rad: float = 0.0):
    return geometry.pose(Rotation.from_rotvec([0, 0, turn_rad]).as_matrix(), np.array([forward_m, left_m, 0.0]))


def chained(steps):
    poses = [np.eye(4)]
    for T in steps:
        poses.append(poses[-1] @ T)
    return np.stack(poses)


@pytest.fixture
def square():
    """A square of 20 m in 40 steps: true poses, drifted poses, and the drifted odometry edges."""
    true_steps = [step(0.5, 0.0, np.pi / 2 if k % SIDE == SIDE - 1 else 0.0) for k in range(4 * SIDE)]
    drifted = [T @ step(0.002, 0.004, 0.003) for T in true_steps]
    edges = [Edge(k, k + 1, T, ODOMETRY) for k, T in enumerate(drifted)]
    return chained(true_steps), chained(drifted), edges


def error_m(poses, true):
    return np.linalg.norm(poses[:, :3, 3] - true[:, :3, 3], axis=1)


def test_a_square_loop_closes(square):
    true, drifted, edges = square
    solution = optimise(drifted, [*edges, Edge(0, len(true) - 1, geometry.inverse(true[0]) @ true[-1], LOOP, True)])
    assert error_m(drifted, true).max() > 0.4
    assert error_m(solution.T_world_node, true)[-1] < 0.01
    assert error_m(solution.T_world_node, true).max() < 0.1
    assert solution.believed.all()
    assert np.allclose(solution.T_world_node[0], drifted[0], atol=1e-9)


def test_a_loop_over_a_large_drift_is_not_taken_for_false(square):
    true, drifted, _ = square
    far = chained([geometry.inverse(a) @ b @ step(0.01, 0.03, 0.02) for a, b in pairwise(drifted)])
    soft = [Edge(k, k + 1, geometry.inverse(far[k]) @ far[k + 1], information(0.05, 0.03)) for k in range(len(far) - 1)]
    solution = optimise(far, [*soft, Edge(0, len(true) - 1, geometry.inverse(true[0]) @ true[-1], LOOP, True)])
    assert error_m(far, true)[-1] > 2.0
    assert solution.believed.all()
    assert error_m(solution.T_world_node, true)[-1] < 0.05


def test_a_false_loop_is_left_out(square):
    true, drifted, edges = square
    loops = [Edge(i, 4 * SIDE - i, geometry.inverse(true[i]) @ true[4 * SIDE - i], LOOP, True) for i in range(3)]
    false = Edge(5, 25, np.eye(4), LOOP, True)
    solution = optimise(drifted, [*edges, *loops, false])
    assert solution.believed.tolist() == [True] * (len(edges) + 3) + [False]
    assert error_m(solution.T_world_node, true).max() < 0.1


def test_without_loops_nothing_moves(square):
    _, drifted, edges = square
    assert np.array_equal(optimise(drifted, edges).T_world_node, drifted)


def test_an_uncertain_direction_gives_way():
    """Two edges disagree along x; the one that is not sure of x yields there."""
    sure, unsure = information(0.01, 0.01), information(0.01, 0.01)
    unsure[0, 0] = 1.0
    edges = [Edge(0, 1, step(1.0), sure), Edge(0, 1, step(1.08), unsure, True)]
    x = optimise(np.stack([np.eye(4), step(1.0)]), edges).T_world_node[1][0, 3]
    assert 1.0 <= x < 1.001


@pytest.mark.parametrize(
    ("edge", "says"),
    [
        (Edge(0, 7, np.eye(4), LOOP), "two different nodes of 0..1, got 0 and 7"),
        (Edge(0, 1, np.full((4, 4), np.nan), LOOP), "finite"),
        (Edge(0, 1, np.eye(4), np.full((6, 6), np.nan)), "finite symmetric"),
    ],
)
def test_bad_edges_are_refused(edge, says):
    with pytest.raises(SpatiaError, match=says):
        optimise(np.tile(np.eye(4), (2, 1, 1)), [edge])
