"""From clips to batches: the run time's own condition, the truth in its units, and draws that follow from the seed alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spatia_ros.engine.table import GRAPHS
from spatia_ros.generator.anchor import NO_CLOCK, Anchor
from spatia_ros.generator.condition import ClipView, condition, images_of
from spatia_ros.generator.text import detokenise, tokenise
from spatia_ros.train.clip_augment import forgotten, random_region
from spatia_ros.train.clip_scenes import Place, Plan, run_of
from spatia_ros.train.clip_set import ClipSet
from spatia_ros.train.clip_shards import shard_path, write_shard
from spatia_ros.train.clip_sheet import TILE, write_sheet
from spatia_ros.train.clips import Clip
from spatia_ros.train.example import collate, drawn_anchor, example_of
from spatia_ros.train.scene_actors import COLOURS, KINDS
from spatia_ros.train.scene_air import DAY, LIGHT, WEATHER
from spatia_ros.train.scene_crowd import SHARES
from spatia_ros.train.scenes import random_scene
from spatia_ros.types import SpatiaError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of one run to learn from and one to hold out."""
    folder = tmp_path_factory.mktemp("clips")
    place = Place(random_scene(np.random.default_rng(2), "corridor"), "corridor")
    made: list[list[Clip]] = []
    for seed in range(30):
        clips = run_of(place, Plan((64, 48), 3, 4, 3), np.random.default_rng(seed))
        if len(clips) == 3 and any(c.boxes is not None for c in clips):
            made.append(clips)
        if len(made) == 2:
            break
    write_shard(shard_path(folder, "scenes", 0), made[:1])
    write_shard(shard_path(folder, "validation", 0), made[1:])
    return folder


@pytest.fixture(scope="module")
def clips(folder: Path) -> list[Clip]:
    held = ClipSet(folder).validation
    return [held.clip(i) for i in range(len(held))]




def test_training_and_inference_share_the_condition(clips: list[Clip]) -> None:
    clip = clips[0]
    poses, times = np.stack([t.T_world_cam for t in clip.targets]), np.array([t.stamp_ns for t in clip.targets]) * 1e-9
    references = tuple(tuple(clip.sights[k].lends for k in each) for each in clip.retrieved)
    assert clip.animation_s is not None
    shown = ClipView(clip.views, references, clip.targets[0].camera, poses, times, clip.animation_s)
    images = images_of(shown)
    anchor = Anchor.of(images[0], poses[0], times[0], clip.animation_s[0])
    expected = condition(images, shown.camera, poses, times, clip.animation_s, anchor, tokenise(clip.prompt))
    seed = next(s for s in range(20) if np.random.default_rng(s).random() < 0.5)  # the anchor is then the first view
    got = example_of(clip, None, np.random.default_rng(seed)).told
    for name in ("image", "to_view", "memory", "uncovered", "rays", "time", "animation", "tokens"):
        np.testing.assert_array_equal(getattr(got, name), getattr(expected, name), err_msg=name)


def test_truth_in_both_units_is_the_true_colour(clips: list[Clip]) -> None:
    clip = clips[1]
    example = example_of(clip, None, np.random.default_rng(5))
    for i, (target, view) in enumerate(zip(clip.targets, example.told.views, strict=True)):
        scale, *offset = example.told.to_view[i][:4]
        in_view = example.truth[i, :3] * scale + np.array(offset)[:, None, None]
        np.testing.assert_allclose(in_view, example.colour[i], atol=2e-4)
        rgb = example.colour[i].transpose(1, 2, 0) * example.scale[i] + view.colour_mean
        np.testing.assert_allclose(rgb * 255, target.rgb, atol=0.01)
        known = target.depth > 0
        np.testing.assert_array_equal(example.measured[i, 0] > 0, known)
        depth = np.exp(example.log_depth[i, 0] + view.log_depth_mean)
        np.testing.assert_allclose(depth[known], target.depth[known], rtol=1e-4)
        in_view = example.truth[i, 3][known] + example.told.to_view[i][4]
        np.testing.assert_allclose(in_view, example.log_depth[i, 0][known], atol=1e-4)


def test_where_nothing_is_lent_nothing_is_trusted(clips: list[Clip]) -> None:
    clip = max(clips, key=lambda c: c.coverage)
    pairs = [forgotten(clip, random_region(clip, np.random.default_rng(s)), "lent") for s in range(20)]
    less, unlent = min(pairs, key=lambda p: p[0].coverage)
    assert unlent is not None
    assert unlent.any()
    trust = example_of(less, unlent, np.random.default_rng(0)).told.image[:, 7]
    lending = example_of(less, None, np.random.default_rng(0)).told.image[:, 7]
    assert not trust[unlent].any()
    assert lending[unlent].any()
    np.testing.assert_array_equal(trust[~unlent], lending[~unlent])


def test_boxes_are_told_at_latents(clips: list[Clip]) -> None:
    clip = next(c for c in clips if c.boxes is not None)
    example = example_of(clip, None, np.random.default_rng(0))
    assert example.boxed
    assert set(np.unique(example.box)) <= {-1.0, 1.0}
    assert clip.boxes is not None
    for box, mask in zip(clip.boxes, example.box[:, 0], strict=True):
        if np.isnan(box).any():
            assert (mask < 0).all()
        else:
            left, top, right, bottom = box
            assert mask[int((top + bottom) / 2 // 16), min(int((left + right) / 2 // 16), 3)] > 0
    assert not example.told.box.any()  # what is to be found is not told


def test_an_anchor_is_the_first_view_or_near_it(clips: list[Clip]) -> None:
    image = example_of(clips[0], None, np.random.default_rng(0)).told.views[0]
    T = clips[0].targets[0].T_world_cam
    drawn = [drawn_anchor(image, T, 5.0, 1.0, np.random.default_rng(s)) for s in range(40)]
    same = [a for a in drawn if np.array_equal(a.T_world_anchor, T)]
    assert 8 < len(same) < 32
    assert all(a.time_s == 5.0 for a in same)
    assert all(5.0 - 0.8 <= a.time_s <= 5.0 for a in drawn)
    assert max(np.linalg.norm(a.T_world_anchor[:3, 3] - T[:3, 3]) for a in drawn) < 0.5 * same[0].scale_m


def test_cut_keeps_the_first_and_pads_with_what_is_absent(clips: list[Clip]) -> None:
    example = example_of(clips[0], None, np.random.default_rng(0))
    cut = example.cut(2, 9)
    assert len(cut) == 2
    assert len(cut.told) == 2
    assert len(cut.context) == 9
    real = len(example.context)
    assert not cut.context.frames[real:].any()
    assert (cut.context.animation[real:] == NO_CLOCK).all()
    np.testing.assert_array_equal(cut.truth, example.truth[:2])
    with pytest.raises(SpatiaError, match=r"expected 1\.\.3 frames, got 4"):
        example.cut(4, 1)


def test_batches_are_named_as_the_graphs_are(folder: Path) -> None:
    clips = ClipSet(folder)
    drawn = [clips.draw(np.random.default_rng(k), 2, 3) for k in range(2)]
    batch = collate(drawn)
    assert batch.image.shape == (2, 2, 15, 48, 64)
    assert batch.context_frames.shape == (2, 3, 5, 80, 128)
    assert batch.scale.shape == (2, 2, 1, 1, 1)
    assert batch.box.shape == (2, 2, 1, 3, 4)
    told = {port.name for port in GRAPHS["denoise"].inputs} - {"z", "flow_time", "text", "keys", "values"}
    assert told <= {"memory", "uncovered", "rays", "time", "animation"}
    assert told
    assert all(hasattr(batch, name) for name in told)
    with pytest.raises(SpatiaError, match="collate: expected examples of one shape"):
        collate([drawn[0], clips.draw(np.random.default_rng(0), 1, 3)])


def test_a_draw_follows_from_its_seed_alone(folder: Path) -> None:
    first, second = ClipSet(folder), ClipSet(folder)
    for _ in range(3):
        first.draw(np.random.default_rng(1))  # what was drawn before does not matter
    a, b = first.draw(np.random.default_rng([7, 3])), second.draw(np.random.default_rng([7, 3]))
    for name in ("truth", "colour", "log_depth", "box"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    np.testing.assert_array_equal(a.told.image, b.told.image)
    np.testing.assert_array_equal(a.context.frames, b.context.frames)
    assert len(first) == 3
    assert len(first.validation) == 3
    assert len(first.validation[:2]) == 2
    np.testing.assert_array_equal(first.validation[1].truth, second.validation[-2].truth)


def test_every_word_a_scene_may_be_called_by_is_known() -> None:
    for word in (*SHARES, *DAY, *WEATHER, *LIGHT, *COLOURS, *KINDS):
        assert detokenise(tokenise(word)) == word


def test_a_folder_without_shards_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpatiaError, match="expected shards of scenes"):
        ClipSet(tmp_path)


def test_a_sheet_shows_clips(folder: Path, tmp_path: Path) -> None:
    import cv2

    write_sheet(tmp_path / "sheet.png", ClipSet(folder), 2, 0)
    picture = cv2.imread(str(tmp_path / "sheet.png"))
    assert picture is not None
    assert picture.shape == (2 * TILE[1], 12 * TILE[0], 3)
    assert picture.std() > 10
