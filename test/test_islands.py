"""Specks in the holes of a depth image stay out of memory, and nothing else does."""

import numpy as np
import pytest
from scipy import ndimage

from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory
from spatia_ros.memory.islands import CELL_PX, without_islands
from spatia_ros.types import Camera, Frame

CAMERA = Camera.from_fov(160, 120, np.radians(65))
SHARE = 5e-3  # 24 of the 80 x 60 cells


def wall() -> np.ndarray:
    """A wall with a hole of 60 x 60 pixels in it."""
    depth = np.full((120, 160), 2.0, np.float32)
    depth[30:90, 50:110] = 0.0
    return depth


def truth(depth: np.ndarray, share: float) -> np.ndarray:
    """The same, cell by cell."""
    h, w = depth.shape
    corners = [[(y, x) for x in range(0, w, CELL_PX)] for y in range(0, h, CELL_PX)]
    cells = np.array([[(depth[y : y + CELL_PX, x : x + CELL_PX] > 0).any() for y, x in row] for row in corners])
    labels, _ = ndimage.label(cells, np.ones((3, 3)))
    out = depth.copy()
    for y in range(h):
        for x in range(w):
            label = labels[y // CELL_PX, x // CELL_PX]
            if label and (labels == label).sum() < share * labels.size:
                out[y, x] = 0.0
    return out


@pytest.mark.parametrize("seed", range(6))
def test_it_is_what_looking_at_each_cell_gives(seed: int) -> None:
    rng = np.random.default_rng(seed)
    h, w = rng.integers(20, 50, 2)
    known = ndimage.gaussian_filter(rng.normal(size=(h, w)), 1.5) > rng.uniform(0.05, 0.2)
    depth = np.where(known, rng.uniform(1, 3, (h, w)), 0.0).astype(np.float32)
    share = rng.uniform(0.05, 0.1)
    depth[0, 0], depth[:8, 1:8], depth[1:8, :8] = 1.0, 0.0, 0.0  # one island at least
    before, found = depth.copy(), without_islands(depth, share)
    np.testing.assert_array_equal(found, truth(depth, share))
    np.testing.assert_array_equal(depth, before)
    assert 0 < (found > 0).sum() < (depth > 0).sum()


def test_a_speck_in_a_hole_goes_and_what_is_large_or_touches_something_stays() -> None:
    depth = wall()
    depth[50:56, 70:76] = 5.0  # 9 cells
    assert (without_islands(depth, SHARE)[50:56, 70:76] == 0).all()
    assert (without_islands(depth, SHARE)[:30] == 2.0).all()
    larger, touching = depth.copy(), depth.copy()
    larger[50:64, 70:84] = 5.0
    touching[50:52, 50:76] = 1.0  # a thin thing that reaches to the rim
    for image in (larger, touching, wall()):
        assert without_islands(image, SHARE) is image
    assert without_islands(depth, 0.0) is depth
    whole = np.full((120, 160), 2.0, np.float32)
    whole[40:43, 40:43] = 1.0  # a small thing before something that is measured
    assert without_islands(whole, SHARE) is whole


def test_lines_of_holes_part_nothing() -> None:
    """As depth that was reprojected has them."""
    depth = np.full((120, 160), 2.0, np.float32)
    depth[::5], depth[:, ::7] = 0.0, 0.0
    assert without_islands(depth, SHARE) is depth


def test_memory_takes_no_specks_from_sensors_and_everything_from_the_generator() -> None:
    depth = wall()
    depth[50:56, 70:76] = 5.0
    rgb = np.full((120, 160, 3), 200, np.uint8)
    frame = Frame(rgb, depth, CAMERA, np.eye(4))

    def far(config: MemoryConfig, *, sensed: bool) -> int:
        memory = Memory(config)
        memory.integrate(frame, sensed=sensed)
        return int((memory.points().xyz[:, 2] > 4.0).sum())

    config = MemoryConfig(island_share=SHARE)
    assert far(config, sensed=True) == 0
    assert far(config, sensed=False) > 5
    assert far(MemoryConfig(island_share=0.0), sensed=True) > 5
