"""What a clip is told: units, rays and times with known answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spatia_ros import geometry
from spatia_ros.generator import anchor as units
from spatia_ros.generator import condition as told
from spatia_ros.generator import rays as rays_of
from spatia_ros.generator.anchor import Anchor
from spatia_ros.generator.condition import ClipView, ContextFrame, condition, context_in, images_of
from spatia_ros.generator.text import tokenise
from spatia_ros.memory import Keyframe
from spatia_ros.types import Camera, Frame, SpatiaError, View

CAMERA = Camera.from_fov(70, 40, 1.0)
CELLS = (3, 5)
NOTHING = tokenise("")


def random_view(seed: int, share: float = 0.7, camera: Camera = CAMERA) -> View:
    rng = np.random.default_rng(seed)
    shape = (camera.height, camera.width)
    coverage = rng.random(shape) < share
    rgb = (rng.integers(20, 200, (*shape, 3)) * coverage[..., None]).astype(np.uint8)
    depth = (rng.uniform(1, 4, shape) * coverage).astype(np.float32)
    return View(rgb, depth, coverage, coverage.astype(np.float32), np.full(shape, 2.0, np.float32) * coverage)


def keyframe(seed: int, T: np.ndarray, masked: np.ndarray | None = None) -> Keyframe:
    rng = np.random.default_rng(seed)
    camera = Camera.from_fov(96, 60, 1.0)
    rgb, depth = rng.integers(0, 256, (60, 96, 3), dtype=np.uint8), rng.uniform(1, 3, (60, 96)).astype(np.float32)
    return Keyframe(rgb, depth, np.ones((60, 96), bool), camera, T, seed * 10**9, masked)


def moved(x: float, yaw: float = 0.0) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]]
    T[0, 3] = x
    return T


def clip(T: int = 2, **changes: object) -> ClipView:
    poses = np.stack([moved(0.1 * i, 0.05 * i) for i in range(T)])
    views = tuple(random_view(i) for i in range(T))
    references = tuple((keyframe(1, np.eye(4)),) for _ in range(T))
    return replace(ClipView(views, references, CAMERA, poses, 5.0 + 0.1 * np.arange(T), np.full(T, 5.0)), **changes)


def anchor_of(shown: ClipView) -> Anchor:
    return Anchor.of(images_of(shown)[0], shown.T_world_cams[0], float(shown.times_s[0]), float(shown.animation_s[0]))


def test_each_frame_s_image_is_the_one_of_that_view_alone() -> None:
    shown = clip()
    whole = condition(images_of(shown), CAMERA, shown.T_world_cams, shown.times_s, shown.animation_s, anchor_of(shown), NOTHING)
    assert whole.image.shape == (2, 15, 48, 80)
    for t in range(2):
        one = slice(t, t + 1)
        whens = {"times_s": shown.times_s[one], "animation_s": shown.animation_s[one]}
        (alone,) = images_of(ClipView(shown.views[one], shown.references[one], CAMERA, shown.T_world_cams[one], **whens))
        assert np.array_equal(whole.image[t], alone.image)


def test_units_of_anchor_and_view_lead_to_the_same_colour_and_depth() -> None:
    shown = clip()
    anchor, images = anchor_of(shown), images_of(shown)
    whole = condition(images, CAMERA, shown.T_world_cams, shown.times_s, shown.animation_s, anchor, NOTHING)
    for t, view in enumerate(shown.views):
        memory = whole.memory[t, :, :40, :70]
        colour = (memory[:3].transpose(1, 2, 0) * anchor.colour_scale + anchor.colour_mean) * 255.0
        np.testing.assert_allclose(colour[view.coverage], view.rgb[view.coverage], atol=0.01)
        np.testing.assert_allclose(np.exp(memory[3] + anchor.log_depth_mean)[view.coverage], view.depth[view.coverage], rtol=1e-4)
        assert np.array_equal(memory[4], view.coverage)
        there = units.frame_in(anchor, view.rgb, view.depth)
        np.testing.assert_allclose(there[:, view.coverage], memory[:, view.coverage], atol=1e-4)
        scale, offset, deeper = whole.to_view[t, 0], whole.to_view[t, 1:4], whole.to_view[t, 4]
        np.testing.assert_allclose(memory[:3] * scale + offset[:, None, None], images[t].image[:3, :40, :70], atol=1e-3)
        np.testing.assert_allclose(memory[3] + deeper, images[t].image[3, :40, :70], atol=1e-4)


def test_uncovered_is_the_share_of_pixels_that_memory_lacks() -> None:
    camera = Camera.from_fov(64, 32, 1.0)
    coverage = np.ones((32, 64), bool)
    coverage[:16, :16] = False
    coverage[16:, 48:56] = False
    depth = np.where(coverage, 2.0, 0.0).astype(np.float32)
    view = View(np.zeros((32, 64, 3), np.uint8), depth, coverage, coverage.astype(np.float32), 0 * depth)
    share = told.uncovered(images_of(ClipView.still(view, (), camera, np.eye(4)))[0])
    np.testing.assert_allclose(share, [[[1, 0, 0, 0], [0, 0, 0, 0.5]]])


def test_rays_pass_through_the_middles_of_latents_in_the_anchor_s_frame() -> None:
    shown = clip()
    anchor = replace(anchor_of(shown), T_world_anchor=moved(-0.3, 0.2))
    T = moved(0.4, -0.3)
    rays = rays_of.rays_in(anchor, CAMERA, T, CELLS)
    assert rays.shape == (9, *CELLS)
    assert not rays[rays_of.SEEN].any(), "no depth, no surface"
    np.testing.assert_allclose(np.linalg.norm(rays[:3], axis=0), 1.0, atol=1e-6)
    T_anchor_cam = geometry.inverse(anchor.T_world_anchor) @ T
    # A point on the ray of the latent in row 1, column 2, projected back, is its middle.
    point = T @ np.append(3.0 * geometry.inverse(T_anchor_cam)[:3, :3] @ rays[:3, 1, 2], 1.0)
    pixel, _ = geometry.project(point[None, :3], CAMERA, T)
    np.testing.assert_allclose(pixel[0], [2.5 * 16, 1.5 * 16], atol=1e-3)
    o = T_anchor_cam[:3, 3] / anchor.scale_m
    np.testing.assert_allclose(rays[3:6], np.cross(o, rays[:3], axisb=0, axisc=0), atol=1e-5)
    here = rays_of.rays_in(anchor, CAMERA, anchor.T_world_anchor, CELLS)
    np.testing.assert_allclose(here[3:6], 0.0, atol=1e-6)
    assert np.abs(rays_of.rays_in(anchor, CAMERA, moved(1e6), CELLS)).max() <= rays_of.MOMENT_LIMIT


def test_cameras_that_look_at_one_surface_see_it_in_one_direction_from_the_anchor() -> None:
    """A wall 3 m before the anchor, seen by a camera to its side: the point a latent's ray meets, from the anchor."""
    anchor = replace(anchor_of(clip()), T_world_anchor=moved(0.0, 0.0))
    T, wall = moved(0.7, 0.25), 3.0
    d = rays_of.rays_in(anchor, CAMERA, T, CELLS)[:3]
    z_of_camera = (geometry.inverse(anchor.T_world_anchor) @ T)[:3, 2] @ d.reshape(3, -1)
    depth = ((wall / d[2]).ravel() * z_of_camera).reshape(CELLS).astype(np.float32)
    o = (geometry.inverse(anchor.T_world_anchor) @ T)[:3, 3]
    assert abs(o[2]) < 1e-9, "the camera stands as far from the wall as the anchor"
    seen = rays_of.rays_in(anchor, CAMERA, T, CELLS, depth)[rays_of.SEEN]
    met = o[:, None, None] + d * (wall / d[2])
    np.testing.assert_allclose(seen, met / np.linalg.norm(met, axis=0), atol=1e-5)
    own = rays_of.rays_in(anchor, CAMERA, anchor.T_world_anchor, CELLS, depth)
    np.testing.assert_allclose(own[rays_of.SEEN], own[:3], atol=1e-6), "from the anchor itself depth makes no difference"


def test_depth_of_a_context_frame_s_latents_is_that_of_its_known_pixels_and_a_membrane_between() -> None:
    depth = np.full((80, 128), 2.0, np.float32)
    depth[:, 64:] = 4.0
    np.testing.assert_allclose(rays_of.depth_of_context(depth, None), np.repeat([[2.0] * 4 + [4.0] * 4], 5, 0), rtol=1e-5)
    holey = np.where(np.arange(128) % 3 > 0, depth, 0).astype(np.float32)
    np.testing.assert_allclose(rays_of.depth_of_context(holey, None), np.repeat([[2.0] * 4 + [4.0] * 4], 5, 0), rtol=1e-5)
    hidden = np.zeros(depth.shape, bool)
    hidden[:, 48:80] = True
    filled = rays_of.depth_of_context(depth, hidden)
    assert filled is not None
    assert ((filled[:, 3:5] > 2.0) & (filled[:, 3:5] < 4.0)).all()
    np.testing.assert_allclose(filled[:, [0, 7]], [[2.0, 4.0]] * 5, rtol=0.05)
    assert rays_of.depth_of_context(np.zeros_like(depth), None) is None
    assert rays_of.depth_of_context(depth, np.ones_like(hidden)) is None


def test_times_are_seconds_since_the_anchor_and_bounded() -> None:
    shown = clip(3, times_s=np.array([5.0, 5.1, 900.0]), animation_s=np.array([5.0, 4.0, 4.5]))
    whole = condition(images_of(shown), CAMERA, shown.T_world_cams, shown.times_s, shown.animation_s, anchor_of(shown), NOTHING)
    np.testing.assert_allclose(whole.time, [0.0, 0.1, units.TIME_LIMIT_S], atol=1e-6)
    np.testing.assert_allclose(whole.animation, [0.0, -1.0, -0.5])
    clockless = condition(images_of(shown), CAMERA, shown.T_world_cams, shown.times_s, None, anchor_of(shown), NOTHING)
    assert (clockless.animation == units.NO_CLOCK).all()


def test_context_frames_are_in_the_anchor_s_units_and_hide_what_is_masked() -> None:
    anchor = replace(anchor_of(clip()), time_s=2.0)
    masked = np.zeros((60, 96), bool)
    masked[:30] = True
    T = moved(0.2)
    key = keyframe(1, T, masked)
    frame = ContextFrame.of_keyframe(key)
    plain = ContextFrame.of(Frame(key.rgb, key.depth, key.camera, T, 10**9), animation_s=2.5)
    context = context_in(anchor, [frame, plain])
    assert context.frames.shape == (2, 5, 80, 128)
    assert (context.frames[0, :, :40] == 0).all(), "masked: the anchor's mean colour, depth not known"
    assert (context.frames[0, 4, 42:] == 1).all()
    np.testing.assert_array_equal(context.frames[0, :, 42:], context.frames[1, :, 42:])
    np.testing.assert_allclose(context.time, -1.0)
    np.testing.assert_allclose(context.animation, [units.NO_CLOCK, 2.5 - 5.0])
    depth = rays_of.depth_of_context(frame.depth, frame.hidden)
    assert np.array_equal(context.rays[0], rays_of.rays_in(anchor, key.camera.resized(128, 80), T, (5, 8), depth))
    assert np.abs(context_in(anchor, [replace(plain, time_s=-1e6)]).time).max() <= units.TIME_LIMIT_S
    with pytest.raises(SpatiaError, match=r"expected 1\.\.9 frames, got none"):
        context_in(anchor, [])
    with pytest.raises(SpatiaError, match=r"expected 1\.\.9 frames, got 10"):
        context_in(anchor, [plain] * 10)
    with pytest.raises(SpatiaError, match="context frame rgb"):
        ContextFrame(key.rgb, key.depth, key.camera, T, 0.0)


def test_a_plain_view_has_bounded_numbers() -> None:
    grey = np.full((40, 70), 2.0, np.float32)
    view = View(np.full((40, 70, 3), 128, np.uint8), grey, grey > 0, 0 * grey + 1, 0 * grey)
    anchor = Anchor.of(images_of(ClipView.still(view, (), CAMERA, np.eye(4)))[0], np.eye(4))
    assert anchor.colour_scale == pytest.approx(units.ANCHOR_MIN_SCALE)
    for colour in (0, 255):
        frame = units.frame_in(anchor, np.full((40, 70, 3), colour, np.uint8), grey)
        assert np.abs(frame).max() <= 1 / units.ANCHOR_MIN_SCALE


def test_what_is_not_a_number_is_refused() -> None:
    shown = clip(1)
    view = shown.views[0]
    for field in ("age_s", "sensed"):
        broken = getattr(view, field).copy()
        broken[0, 0] = np.nan
        with pytest.raises(SpatiaError, match="expected finite numbers"):
            images_of(replace(shown, views=(replace(view, **{field: broken}),)))
    old = images_of(replace(shown, views=(replace(view, age_s=np.full_like(view.age_s, -5.0)),)))[0]
    assert (old.image[6] == 0).all(), "an age is never below 0"
    with pytest.raises(SpatiaError, match="times_s: expected finite"):
        clip(1, times_s=np.array([np.nan]))
    anchor = anchor_of(shown)
    with pytest.raises(SpatiaError, match="anchor: expected finite"):
        replace(anchor, log_depth_mean=float("nan"))
    with pytest.raises(SpatiaError, match="times: expected finite"):
        units.since(0.0, np.array([np.inf]))
    with pytest.raises(SpatiaError, match="rays: expected finite"):
        rays_of.rays_in(anchor, CAMERA, moved(np.nan), CELLS)


def test_shapes_are_asserted() -> None:
    shown = clip(2)
    images, anchor = images_of(shown), anchor_of(shown)

    def make(**changes: object) -> object:
        given = {"T_world_cams": shown.T_world_cams, "times_s": shown.times_s, "animation_s": None, "tokens": NOTHING}
        given |= changes
        return condition(images, CAMERA, anchor=anchor, **given)

    with pytest.raises(SpatiaError, match=r"clip\.rays"):
        make(T_world_cams=shown.T_world_cams[:1])
    with pytest.raises(SpatiaError, match=r"clip\.time"):
        make(times_s=shown.times_s[:1])
    with pytest.raises(SpatiaError, match=r"clip\.tokens"):
        make(tokens=NOTHING.astype(np.int32))
    with pytest.raises(SpatiaError, match=r"clip\.box"):
        make(box=np.zeros((2, 1, 5, 3), np.float32))
    with pytest.raises(SpatiaError, match=r"expected 1\.\.16 frames"):
        condition(images * 9, CAMERA, np.tile(np.eye(4), (18, 1, 1)), np.zeros(18), None, anchor, NOTHING)
    with pytest.raises(SpatiaError, match="each with its references"):
        replace(shown, references=())
