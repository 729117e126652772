"""What a memory promises: holes closed, ghosts gone, the best frames retrieved, files that cannot lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.generator.condition import ContextFrame
from spatia_ros.generator.recall import recall
from spatia_ros.memory import Keyframe, Memory, Points
from spatia_ros.o3d import o3d
from spatia_ros.types import Camera, Frame, SpatiaError

CAMERA = Camera.from_fov(160, 96, np.radians(60))
SHAPE = (CAMERA.height, CAMERA.width)


def plane_depth(T_world_cam: np.ndarray, normal: np.ndarray, offset: float) -> np.ndarray:
    """Depth of the plane normal . p = offset from a pose; 0 where it is not before the camera within 8 m."""
    rays = geometry.pixel_rays(CAMERA) @ T_world_cam[:3, :3].T
    with np.errstate(divide="ignore"):
        z = (offset - normal @ T_world_cam[:3, 3]) / (rays @ normal)
    return np.where((z > 0.1) & (z < 8.0), z, 0.0).astype(np.float32)


def frame(depth: np.ndarray, T_world_cam: np.ndarray | None = None, level: int = 90, stamp_ns: int = 0) -> Frame:
    rng = np.random.default_rng(level)
    rgb = np.clip(rng.normal(level, 8, (*SHAPE, 3)), 0, 255).astype(np.uint8)
    return Frame(rgb, depth, CAMERA, np.eye(4) if T_world_cam is None else T_world_cam, stamp_ns)


@pytest.mark.parametrize("tilt_deg", [0, 30, 60, 75])
@pytest.mark.parametrize("distance_m", [1.0, 2.5])
def test_rendering_a_plane_gives_the_plane_without_holes(tilt_deg: float, distance_m: float) -> None:
    """Voxels of at most a pixel's size in every direction: no hole, and depth within one voxel."""
    tilt = np.radians(tilt_deg)
    normal = np.array([np.sin(tilt), 0.0, np.cos(tilt)])
    memory = Memory(MemoryConfig(voxel_m=0.01, warp_keyframes=0, max_unknown_ray=1.0))
    memory.integrate(frame(plane_depth(np.eye(4), normal, distance_m * normal[2])))
    T = np.eye(4)
    T[:3, 3] = (0.02, -0.01, 0.03)
    expected = plane_depth(T, normal, distance_m * normal[2])
    seen_before, z = geometry.project(
        (geometry.pixel_rays(CAMERA) * expected[..., None]).reshape(-1, 3) + T[:3, 3], CAMERA, np.eye(4)
    )
    rays = geometry.pixel_rays(CAMERA)
    incidence = np.degrees(np.arccos(np.abs(rays @ normal) / np.linalg.norm(rays, axis=-1)))
    inside = (expected > 0.5) & (expected < 5) & (z > 0.3).reshape(SHAPE) & (incidence < 80)
    inside &= ((seen_before > 4) & (seen_before < np.array([CAMERA.width, CAMERA.height]) - 4)).all(1).reshape(SHAPE)
    assert inside.sum() > 2500
    view = memory.render(CAMERA, T, 0)
    assert view.coverage[inside].all(), f"{(~view.coverage[inside]).sum()} holes"
    error = np.abs(view.depth - expected)[inside]
    assert np.median(error) < 0.01 * (1.0 + 0.1 * np.tan(tilt)), "splats are drawn nearest first, which leans towards the camera"
    assert error.max() < 0.01 * (2.0 + 4.0 * np.tan(tilt))


def test_what_is_seen_through_disappears() -> None:
    """A box stands before a wall, then is gone: so is its ghost, within a few frames."""
    wall = plane_depth(np.eye(4), np.array([0.0, 0.0, 1.0]), 3.0)
    with_box = wall.copy()
    with_box[30:60, 50:100] = 1.5
    memory = Memory(MemoryConfig())
    for i in range(4):
        memory.integrate(frame(with_box, stamp_ns=i * 10**8))
    assert (memory.render(CAMERA, np.eye(4), 0).depth[35:55, 60:90] < 2).all()
    carved = sum(memory.integrate(frame(wall, level=200, stamp_ns=i * 10**8))["carved"] for i in range(4, 9))
    view = memory.render(CAMERA, np.eye(4), 0)
    assert carved > 500
    assert (np.abs(view.depth[32:58, 52:98] - 3.0) < 0.05).mean() > 0.99
    assert (memory.points().xyz[:, 2] < 2).sum() < 30


def test_carving_spares_what_lies_at_or_behind_the_measurement() -> None:
    memory = Memory(MemoryConfig())
    wall = plane_depth(np.eye(4), np.array([0.0, 0.0, 1.0]), 3.0)
    memory.integrate(frame(wall))
    n = len(memory)
    for i in range(5):
        nearer = np.where(np.random.default_rng(i).random(SHAPE) < 0.5, wall, wall * 0.6).astype(np.float32)
        assert memory.integrate(frame(nearer, stamp_ns=i))["carved"] < 0.01 * n, "edges and occluders never carve"
    assert (memory.points().xyz[:, 2] > 2.9).sum() > 0.99 * n


def test_a_measurement_replaces_an_invention_and_never_the_reverse() -> None:
    wall = plane_depth(np.eye(4), np.array([0.0, 0.0, 1.0]), 2.0)
    memory = Memory(MemoryConfig())
    memory.integrate(frame(wall, level=40), sensed=False)
    assert not memory.points().sensed.any()
    counts = memory.integrate(frame(wall, level=180))
    assert counts["replaced"] > 0.9 * len(memory)
    points = memory.points()
    assert points.sensed.all()
    assert points.rgb.mean() > 170
    counts = memory.integrate(frame(wall, level=40), sensed=False)
    assert counts["kept"] > 0
    assert counts["merged"] == 0
    assert np.array_equal(memory.points().rgb, points.rgb)


def test_running_mean_confidence_and_last_seen() -> None:
    wall = plane_depth(np.eye(4), np.array([0.0, 0.0, 1.0]), 2.0)
    memory = Memory(MemoryConfig(voxel_m=0.05, max_weight=50.0))
    memory.integrate(frame(wall, level=100, stamp_ns=5_000_000_000))
    memory.integrate(frame(wall, level=140, stamp_ns=7_000_000_000))
    points = memory.points()
    assert abs(points.rgb.mean() - 120) < 3
    assert points.confidence.max() <= 50
    assert set(points.last_seen_ns.tolist()) == {7_000_000_000}
    age = memory.render(CAMERA, np.eye(4), 10_000_000_000).age_s
    np.testing.assert_allclose(age[40:50, 60:90], 3.0, atol=1e-3)


def test_point_cap_refuses_and_counts() -> None:
    memory = Memory(MemoryConfig(max_points=1000, voxel_m=0.005))
    counts = memory.integrate(frame(plane_depth(np.eye(4), np.array([0.0, 0.0, 1.0]), 2.0)))
    assert len(memory) == 1000
    assert counts["refused"] > 1000


def test_points_out_of_reach_are_counted_not_wrapped() -> None:
    T = np.eye(4)
    T[:3, 3] = 1e9
    memory = Memory(MemoryConfig())
    counts = memory.integrate(frame(plane_depth(np.eye(4), np.array([0.0, 0.0, 1.0]), 2.0), T))
    assert counts["out_of_reach"] > 0
    assert len(memory) == 0


def test_mask_keeps_pixels_out() -> None:
    mask = np.zeros(SHAPE, bool)
    mask[:, :80] = True
    memory = Memory(MemoryConfig())
    memory.integrate(frame(plane_depth(np.eye(4), np.array([0.0, 0.0, 1.0]), 2.0)), mask=mask)
    assert memory.points().xyz[:, 0].max() < 0.02
    with pytest.raises(SpatiaError, match="mask: expected bool"):
        memory.integrate(frame(np.ones(SHAPE, np.float32)), mask=np.ones(SHAPE, np.uint8))


def test_what_a_mask_keeps_out_is_not_lent_by_the_keyframe() -> None:
    """A red thing that moves stands before a wall no other frame sees: the hole it leaves must not be filled with red."""
    wall, thing = plane_depth(np.eye(4), np.array([0.0, 0.0, 1.0]), 2.0), np.zeros(SHAPE, bool)
    thing[20:60, 40:90] = True
    rgb = np.where(thing[..., None], np.array([250, 0, 0], np.uint8), np.uint8(90))
    seen = Frame(rgb, np.where(thing, np.float32(1.0), wall), CAMERA, np.eye(4))
    memory = Memory(MemoryConfig())
    memory.integrate(seen, mask=~thing)
    view = memory.render(CAMERA, np.eye(4), 0)
    (kept,) = memory.retrieve(view, CAMERA, np.eye(4), 1)
    assert not view.coverage[30:50, 50:80].any()
    assert kept.masked is not None
    assert np.array_equal(kept.masked, thing)
    for guess_m in (1.0, 1.5, 2.0):
        lent = recall(np.full(SHAPE, guess_m, np.float32), ~view.coverage, CAMERA, np.eye(4), [kept])
        assert not (lent.rgb[lent.known][:, 0] > 240).any()
    assert ContextFrame.of_keyframe(kept).hidden is not None
    whole = Memory(MemoryConfig())
    whole.integrate(seen)
    assert whole.keyframes.keyframes[0].masked is None, "a frame taken in whole lends all of it"


def room_memory(n: int = 12) -> tuple[Memory, list[np.ndarray]]:
    """A box room seen turning round on the spot."""
    memory, poses = Memory(MemoryConfig(voxel_m=0.02, keyframes=8)), []
    for i in range(n):
        angle = 2 * np.pi * i / n
        T = geometry.look_at(np.zeros(3), np.array([np.sin(angle), 0.0, np.cos(angle)]), np.array([0.0, -1.0, 0.0]))
        walls = [plane_depth(T, np.array(normal, float), 2.0) for normal in ((1, 0, 0), (-1, 0, 0), (0, 0, 1), (0, 0, -1))]
        depth = np.min(np.where(np.stack(walls) > 0, walls, 9.0), 0)
        memory.integrate(frame(depth.astype(np.float32), T, level=60 + 10 * i, stamp_ns=i * 10**8))
        poses.append(T)
    return memory, poses


def test_keyframes_are_kept_by_information_and_the_best_are_retrieved() -> None:
    memory, poses = room_memory()
    assert 5 <= len(memory.keyframes) <= 8
    again = memory.integrate(frame(memory.render(CAMERA, poses[3], 0).depth, poses[3], stamp_ns=10**10))
    assert again["keyframe"] == 0, "a view already kept is no news"
    view = memory.render(CAMERA, poses[4], 0)
    best = memory.retrieve(view, CAMERA, poses[4], 3)
    def turned(keyframe: Keyframe) -> float:
        return geometry.rotation_error_deg(keyframe.T_world_cam[:3, :3], poses[4][:3, :3])

    assert len(best) == 3
    assert turned(best[0]) <= min(map(turned, memory.keyframes.keyframes)) + 1e-6
    shared = memory.keyframes.overlap(view.depth, CAMERA, poses[4])
    ranked, iou = memory.keyframes.rank(shared, poses[4]), shared.iou
    assert (np.diff(iou[ranked]) <= 0).all()
    assert 0.0 <= iou.min() < 0.05
    assert iou.max() <= 1.0
    own = memory.keyframes.keyframes[0]
    assert memory.keyframes.overlap(own.depth, own.camera, own.T_world_cam).iou[0] > 0.97


def test_a_keyframe_is_sharper_than_its_voxels_and_exact_at_its_own_pose() -> None:
    wall = plane_depth(np.eye(4), np.array([0.0, 0.0, 1.0]), 2.0)
    rgb = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    sharp, blunt = Memory(MemoryConfig(voxel_m=0.05)), Memory(MemoryConfig(voxel_m=0.05, warp_keyframes=0))
    for memory in (sharp, blunt):
        memory.integrate(Frame(rgb, wall, CAMERA, np.eye(4)))
    def error(memory: Memory) -> np.ndarray:
        return np.abs(memory.render(CAMERA, np.eye(4), 0).rgb.astype(int) - rgb)[2:-2, 2:-2]

    assert error(sharp).max() <= 1
    assert error(blunt).mean() > 20


def test_a_wall_behind_unseen_space_is_not_believed() -> None:
    """Seen through a narrow door, a far wall is remembered; from elsewhere, what stands between is unknown."""
    depth = plane_depth(np.eye(4), np.array([0.0, 0.0, 1.0]), 6.0)
    depth[:, :60] = depth[:, 100:] = 1.0
    memory = Memory(MemoryConfig())
    memory.integrate(frame(depth))
    assert memory.render(CAMERA, np.eye(4), 0).coverage.mean() > 0.95
    aside = geometry.look_at(np.array([2.5, 0.0, 0.5]), np.array([0.0, 0.0, 6.0]), np.array([0.0, -1.0, 0.0]))
    view = memory.render(CAMERA, aside, 0)
    far = view.depth > 4
    trusting = Memory(MemoryConfig(max_unknown_ray=1.0))
    trusting.integrate(frame(depth))
    all_of_it = trusting.render(CAMERA, aside, 0)
    would_show = all_of_it.depth > 4
    assert would_show.sum() > 200
    assert far.sum() < 0.5 * would_show.sum()
    # It is not lost: who fills the view is told what may be there.
    assert view.doubted is not None
    assert all_of_it.doubted is None
    np.testing.assert_array_equal(view.doubted.there, all_of_it.coverage & ~view.coverage)
    np.testing.assert_array_equal(np.where(view.coverage, view.depth, view.doubted.depth), all_of_it.depth)
    np.testing.assert_array_equal(np.where(view.coverage[..., None], view.rgb, view.doubted.rgb), all_of_it.rgb)
    # What is invented there now stays, beside what is still doubted.
    invented = Frame(np.full_like(view.rgb, 90), np.full_like(view.depth, 5.0), CAMERA, aside, 0)
    half = ~view.coverage & (np.arange(view.depth.shape[1]) % 8 < 6)
    memory.integrate(invented, sensed=False, mask=half)
    again = memory.render(CAMERA, aside, 0)
    assert again.doubted is not None
    assert (again.coverage & (again.sensed < 0.5))[half].mean() > 0.99


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, _ = room_memory(3)
    path = tmp_path / "m.spatia"
    memory.save(path)
    before = path.read_bytes()
    memory.integrate(frame(np.full(SHAPE, 1.0, np.float32), stamp_ns=10**10))
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("power lost")))
    with pytest.raises(OSError, match="power lost"):
        memory.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path], "no partial file is left behind"


def test_open3d_opens_the_ply(tmp_path: Path) -> None:
    memory, _ = room_memory(4)
    memory.export_ply(tmp_path / "room.ply")
    cloud = o3d.io.read_point_cloud(str(tmp_path / "room.ply"))
    points = memory.points()
    np.testing.assert_allclose(np.asarray(cloud.points), points.xyz, atol=1e-6)
    np.testing.assert_allclose(np.asarray(cloud.colors) * 255, points.rgb, atol=0.51)
    table = o3d.t.io.read_point_cloud(str(tmp_path / "room.ply")).point
    np.testing.assert_array_equal(table["sensed"].numpy().ravel() > 0, points.sensed)


def test_snapshot_is_independent() -> None:
    memory, poses = room_memory(4)
    snapshot, before = memory.snapshot(), memory.points()
    memory.integrate(frame(np.full(SHAPE, 0.7, np.float32), poses[0], level=250, stamp_ns=10**10))
    assert not np.array_equal(memory.points().xyz, before.xyz)
    memory.restore(snapshot)
    assert all(np.array_equal(x, y) for x, y in zip(memory.points(), before, strict=True) if x is not None)


def test_plain_points_merge_and_bad_ones_are_refused() -> None:
    memory = Memory(MemoryConfig(voxel_m=0.1))
    xyz = np.array([[0.05, 0.05, 2.05], [0.06, 0.05, 2.05], [1.0, 0.0, 3.0]], np.float32)
    points = Points.measured(xyz, np.full((3, 3), 50, np.uint8))._replace(confidence=np.array([1, 3, 2], np.float32))
    memory.add_points(points)
    assert len(memory) == 2
    np.testing.assert_allclose(sorted(memory.points().confidence), [2, 4])
    with pytest.raises(SpatiaError, match="points: expected finite numbers"):
        memory.add_points(points._replace(xyz=xyz * np.nan))


@pytest.mark.parametrize("metres", [np.nan, -1.0, np.inf])
def test_frames_with_impossible_depth_cannot_be_made(metres: float) -> None:
    with pytest.raises(SpatiaError, match=r"frame\.depth: expected finite metres"):
        frame(np.full(SHAPE, metres, np.float32))


def test_a_keyframe_from_before_a_thing_came_does_not_draw_through_it() -> None:
    camera = Camera.from_fov(96, 64, 1.0)
    wall = Frame(np.full((64, 96, 3), 200, np.uint8), np.full((64, 96), 3.0, np.float32), camera, np.eye(4), 0)
    memory = Memory(MemoryConfig(voxel_m=0.02, keyframe_gain=0.5))
    assert memory.integrate(wall)["keyframe"] == 1
    depth, rgb = wall.depth.copy(), wall.rgb.copy()
    depth[20:44, 30:66], rgb[20:44, 30:66] = 1.5, 40
    for k in range(1, 4):
        assert memory.integrate(Frame(rgb, depth, camera, np.eye(4), k))["keyframe"] == 0
    view = memory.render(camera, np.eye(4), 4)
    assert np.abs(view.depth[24:40, 34:62] - 1.5).max() < 0.05
    assert view.rgb[24:40, 34:62].max() < 60
