"""Every kernel of the memory against its plain twin in torch, on small random worlds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig
from spatia_ros.memory import Memory, Points, belief, cull, fuse, occlude, splat, truth, warp
from spatia_ros.memory.block_store import BlockStore
from spatia_ros.memory.blocks import N_BLOCKS, live_places
from spatia_ros.memory.keyframes import Keyframe, Samples, fill_thin, intrinsics_of, shown_in_each
from spatia_ros.memory.sharpen import sharpen
from spatia_ros.memory.texels import RIM, beside_steps, texels
from spatia_ros.types import Camera, Frame, View

CAMERA = Camera.from_fov(64, 48, np.radians(65))
VOXEL = 0.03


def smooth_depth(rng: np.random.Generator, camera: Camera = CAMERA) -> np.ndarray:
    """A wavy surface with a box before it and a few holes."""
    y, x = np.mgrid[: camera.height, : camera.width] / camera.height
    depth = 2.0 + 0.3 * np.sin(3 * x + rng.uniform(0, 6)) + 0.2 * np.cos(4 * y + rng.uniform(0, 6))
    depth[10:25, 20:40] = 1.2
    depth[rng.random(depth.shape) < 0.03] = 0.0
    return depth.astype(np.float32)


def pose_near(rng: np.random.Generator, size: float = 0.2) -> np.ndarray:
    eye = rng.normal(0, size, 3)
    return geometry.look_at(eye, eye + [rng.normal(0, 0.1), rng.normal(0, 0.1), 1.0], np.array([0.0, -1.0, 0.0]))


def random_frame(seed: int) -> Frame:
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (CAMERA.height, CAMERA.width, 3), dtype=np.uint8)
    return Frame(rgb, smooth_depth(rng), CAMERA, pose_near(rng), 0)


def t(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(array, np.float64))


INTRINSICS = intrinsics_of(CAMERA)


def located(frame: Frame):
    accept = np.ones(frame.depth.shape, bool)
    return fuse.locate(frame.depth, accept, INTRINSICS, frame.T_world_cam, VOXEL, 0.1, 8.0, 0.06)


@pytest.mark.parametrize("seed", range(4))
def test_locating_pixels(seed: int) -> None:
    frame = random_frame(seed)
    xyz, key, _ = located(frame)
    fit = truth.fit_to_fuse(t(frame.depth), 0.1, 8.0, 0.06).numpy()
    assert 0.5 < fit.mean() < 1.0
    np.testing.assert_array_equal(key >= 0, fit)
    expected = truth.backproject(t(frame.depth), t(INTRINSICS), t(frame.T_world_cam)).numpy()
    np.testing.assert_allclose(xyz[fit], expected[fit], atol=1e-6)


def test_fusing_frames_is_the_mean_of_each_voxel() -> None:
    frames = [random_frame(seed) for seed in range(3)]
    memory = Memory(MemoryConfig(voxel_m=VOXEL, max_weight=1e4, carve_margin_m=10.0, fill_thin_px=0, min_range_m=0.1))
    seen_xyz, seen_rgb = [], []
    for frame in frames:
        memory.integrate(frame)
        xyz, key, _ = located(frame)
        seen_xyz.append(xyz[key >= 0])
        seen_rgb.append(frame.rgb[key >= 0])
    voxels, mean_xyz, mean_rgb, count = truth.fuse(torch.from_numpy(np.concatenate(seen_xyz)), t(np.concatenate(seen_rgb)), VOXEL)
    b, at = memory.store.blocks, live_places(memory.store.blocks)
    assert len(memory) == len(voxels) > 500
    order = np.lexsort(np.floor(b.xyz[at].astype(np.float64) / VOXEL).astype(int).T[::-1])
    np.testing.assert_allclose(b.xyz[at][order], mean_xyz.numpy(), atol=2e-5)
    np.testing.assert_allclose(b.rgb[at][order], mean_rgb.numpy(), atol=0.02)
    np.testing.assert_allclose(b.weight[at][order], count.numpy())


def test_carving_marks_what_is_seen_through() -> None:
    frame = random_frame(5)
    memory = Memory(MemoryConfig(voxel_m=VOXEL, max_weight=1.0))
    memory.integrate(frame)
    T_cam_world = geometry.inverse(pose_near(np.random.default_rng(9), 0.05))
    wall = np.full((CAMERA.height, CAMERA.width), 2.1, np.float32)
    b = memory.store.blocks
    at = live_places(b)
    expected = truth.seen_through(t(b.xyz[at]), t(wall), t(INTRINSICS), t(T_cam_world), 0.04, 0.02).numpy()
    visible = cull.visible_blocks(b, T_cam_world, INTRINSICS, CAMERA.width, CAMERA.height, VOXEL, 10.0)
    dead = fuse.weaken_seen_through(b, visible, fuse.nearest_around(wall), INTRINSICS, T_cam_world, 0.04, 0.02)
    assert 50 < expected.sum() < len(at) - 50
    marked = b.weight[at] == 0
    assert (marked != expected).mean() < 2e-3, "float32 and float64 may differ at a pixel's border, no more"
    before = len(memory)
    assert fuse.remove_weakened(b, visible, dead) == dead.sum() == marked.sum()
    assert len(memory) == before - marked.sum()


@pytest.mark.parametrize("seed", range(3))
def test_splatting(seed: int) -> None:
    memory = Memory(MemoryConfig(voxel_m=VOXEL))
    memory.integrate(random_frame(seed))
    T_cam_world = geometry.inverse(pose_near(np.random.default_rng(seed + 10)))
    b = memory.store.blocks
    everything = np.arange(b.counts[N_BLOCKS])
    depth, owner = truth.splat(t(b.xyz[live_places(b)]), t(T_cam_world), t(INTRINSICS), 64, 48, 0.75 * VOXEL, 20.0)
    for threads in (1, 2, 3):
        buffers = splat.splat(b, everything, T_cam_world, INTRINSICS, 64, 48, 0.75 * VOXEL, 20.0, threads)
        rgb, drawn, sensed, _ = splat.resolve(b, buffers, 64, 48, 0)
        assert ((drawn > 0) == (depth.numpy() > 0)).mean() > 0.999
        both = (drawn > 0) & (depth.numpy() > 0)
        assert both.mean() > 0.5
        close = np.abs(drawn - depth.numpy())[both] < 1e-4
        assert close.mean() > 0.998, "splat borders may round differently in float32"
        colour = b.rgb[live_places(b)][owner.numpy()[both]]
        assert (np.abs(rgb[both] - colour).max(-1) < 1.0).mean() > 0.998
        assert (sensed[both] == 1).all()


def test_culling_keeps_every_block_that_draws() -> None:
    memory = Memory(MemoryConfig(voxel_m=VOXEL))
    for seed in range(3):
        memory.integrate(random_frame(seed))
    b = memory.store.blocks
    for seed in range(8):
        rng = np.random.default_rng(seed)
        T_cam_world = geometry.inverse(pose_near(rng, 0.8))
        visible = cull.visible_blocks(b, T_cam_world, INTRINSICS, 64, 48, VOXEL, 20.0)
        some = splat.splat(b, visible, T_cam_world, INTRINSICS, 64, 48, VOXEL, 20.0, 1)
        everything = splat.splat(b, np.arange(b.counts[N_BLOCKS]), T_cam_world, INTRINSICS, 64, 48, VOXEL, 20.0, 1)
        # A point just outside the frustum may splat into it; a block never contributes more than its rim.
        assert (some != everything).mean() < 0.01
        assert len(visible) <= b.counts[N_BLOCKS]


def view_of(keys: list[Frame], T_world_cam: np.ndarray) -> View:
    """What voxels alone show of some frames."""
    memory = Memory(MemoryConfig(voxel_m=VOXEL, warp_keyframes=0, max_unknown_ray=1.0))
    for key in keys:
        memory.integrate(key)
    return memory.render(CAMERA, T_world_cam, 0)


def kept(frame: Frame, sensed: bool = True) -> Keyframe:
    return Keyframe(frame.rgb, frame.depth, np.full(frame.depth.shape, sensed), frame.camera, frame.T_world_cam, 0)


def warped(key: Frame, view: View, deepest: np.ndarray, T_world_cam: np.ndarray, texels: np.ndarray) -> tuple[np.ndarray, ...]:
    """Colour [H, W, 3], depth and weight [H, W] that a frame lends a view; colour and depth times weight."""
    strip = warp.room_for_strip(CAMERA.height, CAMERA.width, INTRINSICS.astype(np.float32))
    warp.aim(strip, 0, CAMERA.width, INTRINSICS.astype(np.float32))
    T_key_cam = (geometry.inverse(key.T_world_cam) @ T_world_cam).astype(np.float32)
    warp.warp_strip(
        view.sensed.reshape(-1), view.depth.reshape(-1), deepest.reshape(-1), np.float32(INTRINSICS[0]), key.depth.reshape(-1),
        texels.reshape(-1), np.array(key.depth.shape), INTRINSICS.astype(np.float32), T_key_cam, np.float32(0.06), strip,
    )
    sums = strip.sums.reshape(*view.depth.shape, 4)
    return sums[..., :3], strip.depth_sum.reshape(view.depth.shape), sums[..., 3]


@pytest.mark.parametrize("seed", range(3))
def test_warping_a_keyframe(seed: int) -> None:
    key, rng = random_frame(seed), np.random.default_rng(seed + 20)
    T_world_cam = key.T_world_cam @ pose_near(rng, 0.05)
    view = view_of([key], T_world_cam)
    deepest = warp.deepest_nearby(view.depth, 1.0, VOXEL) if seed else np.full_like(view.depth, 100.0)
    measured = texels(key.rgb, np.zeros_like(key.depth), np.ones(key.depth.shape, bool))  # no steps, so no rims
    colours, depths, weights = warped(key, view, deepest, T_world_cam, measured)
    colour, depth, weight = (
        x.numpy() for x in truth.warp(
            t(view.depth), t(deepest), t(INTRINSICS), t(T_world_cam),
            t(key.rgb), t(key.depth), t(INTRINSICS), t(geometry.inverse(key.T_world_cam)), 0.06,
        )
    )
    assert ((weights > 0) == (weight > 0)).mean() > 0.995
    both = (weights > 0) & (weight > 0)
    assert both.mean() > 0.5
    assert (np.abs(weights[both] / weight[both] - 1.0) < 1e-2).mean() > 0.99
    assert (np.abs(depths[both] / weights[both] - depth[both]) < 1e-3).mean() > 0.99
    assert (np.abs(colours[both] / weights[both][:, None] - colour[both]).max(-1) < 1.0).mean() > 0.99


def test_mixed_colours_count_in_their_own_direction_only() -> None:
    key = random_frame(0)
    clear = texels(key.rgb, np.zeros_like(key.depth), np.ones(key.depth.shape, bool))
    for turn, least, most in ((0.0, 0.99, 1.0), (0.3, 0.0, 1e-4)):
        T_world_cam = key.T_world_cam.copy()
        T_world_cam[:3, 3] += turn * key.T_world_cam[:3, 0]
        view = view_of([key], T_world_cam)
        weights = [warped(key, view, view.depth, T_world_cam, clear | rim)[2] for rim in (np.uint32(0), RIM)]
        share = weights[1][weights[0] > 0] / weights[0][weights[0] > 0]
        assert len(share) > 300
        assert np.quantile(share, 0.1) >= least
        assert np.quantile(share, 0.9) <= most


def test_an_invention_says_nothing_of_a_measured_surface() -> None:
    key = random_frame(0)
    invented = texels(key.rgb, np.zeros_like(key.depth), np.zeros(key.depth.shape, bool))
    view = view_of([key], key.T_world_cam)
    assert not warped(key, view, view.depth, key.T_world_cam, invented)[2].any()
    unmeasured = View(view.rgb, view.depth, view.coverage, np.zeros_like(view.sensed), view.age_s)
    assert (warped(key, unmeasured, view.depth, key.T_world_cam, invented)[2] > 0).mean() > 0.9


@pytest.mark.parametrize("seed", range(4))
def test_sharpening_a_view(seed: int) -> None:
    rng, keys = np.random.default_rng(seed + 40), [random_frame(10 * seed + i) for i in range(seed)]
    keyframes = [kept(key, sensed=i != 1) for i, key in enumerate(keys)]
    T_world_cam = pose_near(rng, 0.1)
    view = view_of(keys or [random_frame(9)], T_world_cam)
    far = Samples.of(np.full((48, 64), 10.0, np.float32), CAMERA, T_world_cam)
    samples = [Samples.of(key.depth, CAMERA, key.T_world_cam) for key in keys] or [far]
    grids, K, T = (np.stack([getattr(s, name) for s in samples]) for name in ("grid", "intrinsics", "T_cam_world"))
    invented = np.kron(rng.random((12, 16)) < 0.3, np.ones((4, 4), bool))[: len(view.depth), : view.depth.shape[1]]
    invented ^= rng.random(invented.shape) < 0.05  # whole cells, and single pixels among measured ones
    sensed = np.where(invented, np.float32(0.0), view.sensed)
    deepest, parts = warp.deepest_nearby(view.depth, INTRINSICS[0], VOXEL), (view.rgb, view.depth, sensed, view.age_s)
    ours = [part.copy() for part in parts]
    witnesses = belief.witnesses(grids, K, T, T_world_cam)
    doubted = sharpen(*ours, deepest, INTRINSICS, T_world_cam, keyframes, witnesses, 0.06, 0.4)
    lent = [
        (t(k.rgb), t(k.depth), torch.from_numpy(k.sensed), torch.from_numpy(beside_steps(k.depth)), t(INTRINSICS),
         t(geometry.inverse(k.T_world_cam))) for k in keyframes
    ]  # fmt: skip
    rgb, depth, kept_pixels = truth.sharpened(
        *(t(part) for part in parts[:3]), t(deepest), t(INTRINSICS), t(T_world_cam), lent, (t(grids), t(K), t(T)), 0.06, 0.4
    )
    assert (ours[1] > 0).mean() > 0.2
    assert ((ours[1] > 0) == (kept_pixels & (depth > 0)).numpy()).mean() > 0.99
    same = (ours[1] > 0) & kept_pixels.numpy()
    assert (np.abs(ours[1] - depth.numpy())[same] < 1e-3).mean() > 0.985
    assert (np.abs(ours[0] - rgb.numpy())[same].max(-1) <= 1.0).mean() > 0.985
    assert not ours[0][ours[1] == 0].any()
    assert (doubted is None) == bool(kept_pixels[depth > 0].all())
    assert (ours[1] > 0)[(view.depth > 0) & invented].all(), "an invention is not forgotten with what is doubted beside it"
    if doubted is not None:  # what is forgotten is as it was sharpened, and is not in sight as well
        assert not (doubted.there & (ours[1] > 0)).any()
        assert (doubted.there == (~kept_pixels & (depth > 0)).numpy()).mean() > 0.99
        same = doubted.there & ~kept_pixels.numpy()
        assert (np.abs(doubted.depth - depth.numpy())[same] < 1e-3).mean() > 0.985
        assert (np.abs(doubted.rgb - rgb.numpy())[same].max(-1) <= 1.0).mean() > 0.985
    assert not ours[2][ours[1] == 0].any()
    assert not ours[3][ours[1] == 0].any()


def test_a_picture_of_any_size_is_sharpened() -> None:
    """Sizes that are no whole number of cells, strips or bands, and keyframes with no pixel to the right or below."""
    key = random_frame(0)
    for width, height in ((63, 49), (1, 1), (5, 2), (66, 19)):
        camera = Camera.from_fov(width, height, np.radians(65))
        memory = Memory(MemoryConfig(voxel_m=VOXEL, keyframe_gain=0.0))
        memory.integrate(key)
        small = Frame(key.rgb[:height, :width].copy(), np.full(key.rgb[:height, :width].shape[:2], 2.0, np.float32),
                      Camera.from_fov(*key.rgb[:height, :width].shape[1::-1], np.radians(65)), key.T_world_cam, 0)  # fmt: skip
        memory.integrate(small)
        view = memory.render(camera, key.T_world_cam, 0)
        assert view.depth.shape == (height, width)
        assert np.isfinite(view.depth).all()


def test_belief_in_surfaces() -> None:
    frames = [random_frame(seed) for seed in range(2)]
    samples = [Samples.of(f.depth, f.camera, f.T_world_cam) for f in frames]
    grids, K, T = (np.stack([getattr(s, name) for s in samples]) for name in ("grid", "intrinsics", "T_cam_world"))
    T_world_cam = pose_near(np.random.default_rng(3), 0.3)
    depth = smooth_depth(np.random.default_rng(4))
    asked = belief.witnesses(grids, K, T, T_world_cam)
    share = belief.unknown_ray_share(depth, np.ones_like(depth), INTRINSICS, asked)
    expected = truth.unknown_ray_share(t(depth), t(INTRINSICS), t(T_world_cam), t(grids), t(K), t(T)).numpy()
    assert 0.05 < expected.mean() < 0.95
    assert (np.abs(share - expected) < 1e-6).mean() > 0.99
    nothing_measured = belief.unknown_ray_share(depth, np.zeros_like(depth), INTRINSICS, asked)
    assert (nothing_measured == 0).all()


def test_shown_in_each_agrees_with_projection() -> None:
    first = random_frame(0)
    frames = [first, Frame(first.rgb, first.depth, CAMERA, first.T_world_cam @ pose_near(np.random.default_rng(1), 0.1), 0)]
    samples = [Samples.of(f.depth, f.camera, f.T_world_cam) for f in frames]
    shown = shown_in_each(samples[0].points[None], samples[0].reach[None], samples[1].grid[None], samples[1].intrinsics[None],
                          samples[1].T_cam_world[None], 0.1, np.inf)[0]
    cols, rows = samples[1].grid.shape[::-1]
    pixels, z = geometry.project(samples[0].points, CAMERA.resized(cols, rows), frames[1].T_world_cam)
    expected = np.zeros(len(z), bool)
    for i, (u, v) in enumerate(pixels):
        if samples[0].reach[i] > 0 and z[i] > 0 and 0 <= u < cols and 0 <= v < rows:
            d = samples[1].grid[int(v), int(u)]
            expected[i] = d > 0 and abs(z[i] - d) <= 0.1 * d
    assert 0.2 < expected.mean() < 1.0
    assert (shown != expected).mean() < 0.005


def test_thin_holes_are_filled_on_the_plane_and_wide_ones_left() -> None:
    rays = geometry.pixel_rays(CAMERA)
    plane = (1.5 / (rays @ np.array([0.5, 0.2, 1.0]))).astype(np.float32)
    holed = plane.copy()
    holed[:, 30:34] = 0.0
    holed[5:40, 45:60] = 0.0
    filled = fill_thin(holed, 6, 0.06)
    np.testing.assert_allclose(filled[:, 30:34], plane[:, 30:34], rtol=1e-4)
    assert (filled[15:30, 50:55] == 0).all()
    step = np.full((48, 64), 1.0, np.float32)
    step[:, 32:] = 2.0
    step[:, 31:33] = 0.0
    assert (fill_thin(step, 6, 0.06)[:, 31:33] == 0).all(), "a hole between two surfaces stays open"


def test_block_store_against_a_dictionary() -> None:
    """Random adds and removals; the hash, the runs and the free lists must stay consistent."""
    rng = np.random.default_rng(0)
    memory = Memory(MemoryConfig(voxel_m=1.0, max_weight=1e4))
    memory.store = BlockStore(10**6)
    reference: dict[tuple[int, int, int], float] = {}
    for _ in range(30):
        voxels = rng.integers(-40, 40, (400, 3))
        xyz = (voxels + 0.5).astype(np.float32)
        key, voxel = fuse.locate_points(xyz, 1.0)
        once = np.zeros(1, np.int32), np.ones(1, bool), np.ones(1, np.float32), np.zeros(1, np.uint16)
        memory.merge_located(xyz, np.zeros((400, 3), np.uint8), key, voxel, *once, np.empty((0, 0), np.uint16))
        for v in map(tuple, voxels.tolist()):
            reference[v] = reference.get(v, 0.0) + 1.0
        b = memory.store.blocks
        at = live_places(b)
        doomed = at[rng.random(len(at)) < 0.3]
        for p in doomed:
            del reference[tuple(np.floor(b.xyz[p]).astype(int).tolist())]
        b.weight[doomed] = 0.0
        blocks = np.arange(b.counts[N_BLOCKS])
        assert fuse.remove_weakened(b, blocks, np.ones(len(blocks), np.int32)) == len(doomed)
        at = live_places(b)
        got = {tuple(v): w for v, w in zip(np.floor(b.xyz[at]).astype(int).tolist(), b.weight[at].tolist(), strict=True)}
        assert got == reference


@pytest.mark.parametrize("seed", range(6))
def test_leaving_hidden_blocks_out_changes_no_pixel(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(occlude, "FEWEST_BLOCKS", 0)
    memory, rng = Memory(MemoryConfig(voxel_m=VOXEL)), np.random.default_rng(seed)
    # Walls one behind another; the camera stands before them.
    across = np.arange(-2, 2, 0.9 * VOXEL)
    walls = np.stack(np.meshgrid(across, across, [1.0, 2.0, 3.0, 4.0]), -1).reshape(-1, 3)
    walls[:, 2] += 0.1 * np.sin(3 * walls[:, 0] + seed)
    memory.add_points(Points.measured(walls.astype(np.float32), np.zeros((len(walls), 3), np.uint8)))
    eye = np.array([*rng.uniform(-0.5, 0.5, 2), rng.uniform(-1, 0.6)])
    T_cam_world = geometry.inverse(geometry.look_at(eye, eye + [*rng.uniform(-0.4, 0.4, 2), 1.0], np.array([0.0, -1.0, 0.0])))
    b = memory.store.blocks
    visible = cull.visible_blocks(b, T_cam_world, INTRINSICS, 64, 48, VOXEL, 20.0)
    everything = splat.splat(b, visible, T_cam_world, INTRINSICS, 64, 48, 0.75 * VOXEL, 20.0, 2)
    unhidden = occlude.splat_unhidden(b, visible, T_cam_world, INTRINSICS, 64, 48, VOXEL, 0.75, 20.0, 2)
    np.testing.assert_array_equal(unhidden.min(0), everything.min(0))
    near_m, tiles = occlude.bounds(b, visible, T_cam_world, INTRINSICS, 64, 48, VOXEL, 0.75 * VOXEL)
    shows = occlude.may_show(near_m, tiles, occlude.farthest_of_tiles(everything, 64, 48))
    assert 0.01 < shows.mean() < 0.8, "some blocks are hidden, some are not"
    winners = (everything.min(0)[everything.min(0) != splat.FAR] & np.uint64(0xFFFFFFFF)).astype(np.int64)
    owner = np.searchsorted(b.start[visible][np.argsort(b.start[visible])], winners, "right") - 1
    assert shows[np.argsort(b.start[visible])][owner].all(), "every block that shows is drawn"


def test_single_empty_pixels_are_closed_within_a_surface_and_nowhere_else() -> None:
    depth = np.full((12, 16), 2.0, np.float32)
    depth[:, 8:] = 3.0
    rgb = np.repeat((10 * depth)[..., None], 3, 2).astype(np.uint8)
    full = rgb.copy(), depth.copy(), np.ones_like(depth), depth.copy()
    pierced = tuple(array.copy() for array in full)
    holes = [(3, 3), (5, 4), (6, 12)]
    wide = (slice(8, 11), slice(2, 5))
    for place in (*holes, wide):
        for array in pierced:
            array[place] = 0
    closed = splat.close_pinholes(*(array.copy() for array in pierced), 0.06)
    for array, expected in zip(closed, full, strict=True):
        np.testing.assert_array_equal(array[6:8], expected[6:8])
        np.testing.assert_array_equal(array[2:6], expected[2:6])
    assert (closed[1][8:11, 2:5] == 0).sum() >= 1, "the middle of a wide hole stays open"
    edge = tuple(array.copy() for array in full)
    for array in edge:
        array[:, 8] = 0
    assert (splat.close_pinholes(*edge, 0.06)[1][:, 8] == 0).sum() >= 12, "between two surfaces nothing is made up"
