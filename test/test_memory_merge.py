"""Two halves of a scan, put apart by a known transform, become one memory again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory
from spatia_ros.memory.merge import align, merge_into
from spatia_ros.train.scan import builtin_scan
from spatia_ros.types import SpatiaError

CONFIG = MemoryConfig(voxel_m=0.04)
T_b_a = geometry.pose(Rotation.from_euler("xyz", [0.1, -0.2, 2.0]).as_matrix(), np.array([3.0, -1.0, 0.4]))


@pytest.fixture(scope="module")
def halves() -> tuple[Memory, Memory, Memory]:
    """The first and the last two thirds of a scan, the latter in another frame, and all of it."""
    scan, (a, b, whole) = builtin_scan(), (Memory(CONFIG) for _ in range(3))
    chosen = np.linspace(0, len(scan) - 1, 18).astype(int).tolist()
    for k, i in enumerate(chosen):
        frame = scan.frame(i)
        label = np.full(frame.depth.shape, 1 if k % 2 else 2, np.uint16)
        whole.integrate(frame)
        if k < 12:
            a.integrate(frame, label=label)
        if k >= 6:
            b.integrate(replace(frame, T_world_cam=T_b_a @ frame.T_world_cam), label=label)
    a.names, b.names = {1: "odd", 2: "even"}, {1: "even", 2: "odd"}
    return a, b, whole


def test_halves_of_a_scan_are_found_to_overlap_and_become_one(halves: tuple[Memory, Memory, Memory]) -> None:
    a, b, whole = halves
    found = align(a, b)
    error = found.T_a_b @ T_b_a
    assert np.linalg.norm(error[:3, 3]) < 0.02
    assert geometry.rotation_error_deg(error[:3, :3], np.eye(3)) < 0.5
    merged, before = a.snapshot(), len(a)
    keyframes = len(a.keyframes)
    merge_into(a, b, found.T_a_b)
    assert before < len(a) < 1.25 * len(whole)
    assert len(a.keyframes) == min(keyframes + len(b.keyframes), CONFIG.keyframes)
    moved = found.T_a_b @ b.keyframes.keyframes[0].T_world_cam
    np.testing.assert_allclose(a.keyframes.keyframes[keyframes].T_world_cam, moved)
    assert a.names == {1: "odd", 2: "even"}, "labels are joined by name"
    a.restore(merged)


def test_labels_follow_their_names() -> None:
    one, two = Memory(CONFIG), Memory(CONFIG)
    frame = builtin_scan().frame(0)
    two.integrate(frame, label=np.full(frame.depth.shape, 7, np.uint16))
    two.names, one.names = {7: "chair"}, {1: "table", 2: "chair"}
    merge_into(one, two, np.eye(4))
    assert set(one.points().label.tolist()) == {2}
    two.names = {7: "lamp"}
    merge_into(one, two, np.eye(4))
    assert one.names == {1: "table", 2: "chair", 3: "lamp"}


def test_what_does_not_overlap_is_refused(halves: tuple[Memory, Memory, Memory]) -> None:
    rng, elsewhere = np.random.default_rng(0), Memory(CONFIG)
    from spatia_ros.memory import Points

    xyz = rng.uniform(-3, 3, (2_000, 3)).astype(np.float32)
    elsewhere.add_points(Points.measured(xyz, rng.integers(0, 256, xyz.shape, dtype=np.uint8)))
    with pytest.raises(SpatiaError, match="merge: expected memories that overlap"):
        align(halves[0], elsewhere)
    with pytest.raises(SpatiaError, match="the second memory to have 1000"):
        align(halves[0], Memory(CONFIG))
    with pytest.raises(SpatiaError, match="T_a_b"):
        merge_into(halves[0], elsewhere, np.diag([2.0, 2, 2, 1]))
