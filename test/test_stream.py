"""What a generator carries from clip to clip: when context is taken anew, and that it costs the same forever."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny_networks import TinyNetworks

from spatia_ros.config import GeneratorConfig
from spatia_ros.generator.anchor import NO_CLOCK
from spatia_ros.generator.condition import ClipView, images_of
from spatia_ros.generator.sample import Generated
from spatia_ros.generator.space_time import SpaceTimeGenerator
from spatia_ros.generator.stream import BACK, HOLD_FRAMES, Stream, by_turns
from spatia_ros.memory import Keyframe
from spatia_ros.types import Camera, Frame, SpatiaError, View

CAMERA = Camera.from_fov(64, 32, 1.0)
DEPTH_M = 2.0


def at(x: float = 0.0, yaw_deg: float = 0.0) -> np.ndarray:
    T, a = np.eye(4), np.radians(yaw_deg)
    T[:3, :3] = [[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]]
    T[0, 3] = x
    return T


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (32, 64, 3), dtype=np.uint8)


def view() -> View:
    depth = np.full((32, 64), DEPTH_M, np.float32)
    depth[:, 40:] = 0.0
    return View(picture(0) * (depth > 0)[..., None].astype(np.uint8), depth, depth > 0, np.sign(depth), 0 * depth)


def keyframe(seed: int, masked: np.ndarray | None = None) -> Keyframe:
    depth = np.full((32, 64), DEPTH_M, np.float32)
    return Keyframe(picture(seed), depth, depth > 0, CAMERA, at(), seed * 10**9, masked)


KEYS = tuple(keyframe(i) for i in range(100, 107))


def look(time_s: float, T: np.ndarray | None = None, references: tuple[Keyframe, ...] = KEYS[:3], frames: int = 1) -> ClipView:
    poses = np.tile(at() if T is None else T, (frames, 1, 1))
    times = time_s + 0.1 * np.arange(frames)
    return ClipView((view(),) * frames, (references,) * frames, CAMERA, poses, times, times)


def frame(time_s: float, seed: int) -> Frame:
    return Frame(picture(seed), np.full((32, 64), DEPTH_M, np.float32), CAMERA, at(), round(time_s * 1e9))


def why(stream: Stream, shown: ClipView) -> str:
    stream.prepare(shown, images_of(shown)[0])
    return stream.why


def test_context_is_held_until_there_is_a_reason() -> None:
    stream = Stream(context_frames=5)
    assert why(stream, look(0.0)) == "first"
    assert [why(stream, look(0.1 * i)) for i in range(1, HOLD_FRAMES)] == ["held"] * (HOLD_FRAMES - 1)
    assert why(stream, look(0.8)) == "old"
    assert why(stream, look(0.9, at(0.9 * 0.2 * DEPTH_M))) == "held"
    assert why(stream, look(1.0, at(1.1 * 0.2 * DEPTH_M))) == "moved"
    assert why(stream, look(1.1, at(1.1 * 0.2 * DEPTH_M, 9.0))) == "held"
    assert why(stream, look(1.2, at(1.1 * 0.2 * DEPTH_M, 11.0))) == "turned"
    turned = at(1.1 * 0.2 * DEPTH_M, 11.0)
    assert why(stream, look(1.3, turned, KEYS[1:4])) == "held", "two of three are as before"
    assert why(stream, look(1.4, turned, KEYS[2:5])) == "references"
    assert why(stream, look(9.0, turned, KEYS[2:5])) == "late"
    back = look(9.1, turned, KEYS[2:5])
    assert why(stream, replace(back, animation_s=np.array([3.0]))) == "late", "the other clock"
    assert why(stream, look(9.2, turned, KEYS[2:5], frames=4)) == "handover"


def test_an_edited_keyframe_is_not_looked_at_again() -> None:
    stream = Stream(context_frames=5)
    why(stream, look(0.0))
    masked = np.zeros((32, 64), bool)
    masked[:, :32] = True
    edited = (KEYS[0], replace(KEYS[1], masked=masked), KEYS[2])
    assert why(stream, look(0.1, references=edited)) == "edited"
    assert stream.held is not None
    assert stream.held.references[1] is edited[1]
    assert why(stream, look(0.2, references=edited)) == "held"


def test_context_is_the_newest_frames_sparser_older_ones_and_what_memory_retrieves() -> None:
    stream = Stream(context_frames=9)
    for i in range(40):
        stream.follow([frame(0.1 * i, i)], np.array([0.1 * i]))
    assert len(stream.recent) == BACK[-1]
    shown = look(4.0)
    held = stream.prepare(shown, images_of(shown)[0])
    assert held.context is not None
    assert len(held.context) == 5 + 3
    np.testing.assert_allclose(held.context.time[:5], [-0.1 * back for back in BACK], atol=1e-5)
    np.testing.assert_allclose(held.context.animation[:5], held.context.time[:5])
    many = look(4.0, references=KEYS)
    stream.held = None
    held = stream.prepare(many, images_of(many)[0])
    assert held.context is not None
    assert len(held.context) == 9, "retrieved frames leave two places to recent ones"
    np.testing.assert_allclose(held.context.time[:2], [-0.1, -0.2], atol=1e-5)
    assert held.references == KEYS


def test_a_recent_frame_that_became_a_keyframe_is_not_taken_twice() -> None:
    stream = Stream(context_frames=4)
    stream.follow([frame(101.0, 101), frame(102.0, 102)], np.array([101.0, 102.0]))
    shown = look(103.0, references=KEYS[:4])
    assert [k.stamp_ns for k in stream.prepare(shown, images_of(shown)[0]).references] == [100 * 10**9, 103 * 10**9]


def test_keyframes_of_several_views_take_turns() -> None:
    a, b, c, d = KEYS[:4]
    assert by_turns([(a, b), (c, a), ()]) == [a, c, b]
    assert by_turns([(d,), (d,)]) == [d]
    assert by_turns([]) == []


def test_a_stream_is_bounded_and_restores() -> None:
    stream = Stream(context_frames=5)
    sizes = set()
    for i in range(60):
        why(stream, look(0.1 * i))
        stream.computed["keys"] = np.full(3, i, np.float32)
        stream.follow([frame(0.1 * i, i)], np.array([0.1 * i]))
        sizes.add((len(stream.recent), len(stream.computed)))
    assert max(sizes) == (BACK[-1], 1)
    before = stream.snapshot()
    reasons = [why(stream, look(6.0 + 0.1 * i)) for i in range(12)]
    stream.restore(before)
    assert "keys" in stream.computed
    assert reasons == [why(stream, look(6.0 + 0.1 * i)) for i in range(12)]
    assert "keys" in before.computed, "a snapshot stays as it was"
    with pytest.raises(SpatiaError, match=r"expected 0\.\.9 context frames"):
        Stream(context_frames=10)


def generator(networks: TinyNetworks, **config: object) -> SpaceTimeGenerator:
    return SpaceTimeGenerator("tiny", networks, GeneratorConfig(**config))


def make(made_by: SpaceTimeGenerator, stream: Stream, shown: ClipView, rng: np.random.Generator) -> list[Generated]:
    return made_by.sample(made_by.condition(shown, stream), stream, rng)


def test_keys_and_values_are_computed_once_for_as_long_as_context_is_held() -> None:
    networks = TinyNetworks()
    space_time, rng = generator(networks), np.random.default_rng(0)
    stream = space_time.stream()
    for i in range(3 * HOLD_FRAMES):
        (made,) = make(space_time, stream, look(0.1 * i), rng)
        stream.follow([Frame(made.rgb, made.depth, CAMERA, at(), i * 10**8)], np.array([0.1 * i]))
    assert networks.asked == {"encode": 24 + 3, "context": 3, "text": 3, "denoise": 24, "decode": 24}
    assert networks.last["context"]["latents"].shape[1] == 5, "two recent frames, three retrieved"


def test_what_is_remembered_is_given_back_and_holes_take_what_was_sampled() -> None:
    networks = TinyNetworks(push=1.0)
    space_time = generator(networks, steps=3)
    (made,) = make(space_time, space_time.stream(), look(0.0), np.random.default_rng(0))
    covered = view().coverage
    np.testing.assert_allclose(made.rgb[covered].astype(int), view().rgb[covered], atol=1)
    np.testing.assert_allclose(made.depth[covered], DEPTH_M, rtol=1e-4)
    assert networks.asked["denoise"] == 3
    plain = generator(TinyNetworks(push=0.0))
    (other,) = make(plain, plain.stream(), look(0.0), np.random.default_rng(0))
    assert (made.rgb[~covered] > other.rgb[~covered]).mean() > 0.5, "context pushes the latents, and they show in holes"


def test_nothing_known_is_one_frame_that_is_not_there() -> None:
    networks = TinyNetworks()
    space_time = generator(networks)
    stream = space_time.stream()
    make(space_time, stream, look(0.0, references=()), np.random.default_rng(0))
    assert networks.last["context"]["latents"].shape == (1, 1, 6, 5, 8)
    assert not networks.last["context"]["latents"].any()
    assert not networks.last["context"]["rays"].any()
    assert networks.asked["encode"] == 1, "memory alone"


def test_guidance_asks_a_branch_that_is_told_nothing() -> None:
    networks = TinyNetworks(push=1.0)
    space_time = generator(networks, guidance=2.0, prompt="a red room")
    stream = space_time.stream()
    make(space_time, stream, look(0.0), np.random.default_rng(0))
    make(space_time, stream, look(0.1), np.random.default_rng(0))
    assert networks.asked["denoise"] == 4
    assert networks.asked["context"] == networks.asked["text"] == 2, "each branch's once"
    untold = networks.last["context"]["latents"][0]
    assert not networks.last["text"]["tokens"].any()
    assert untold.std() == pytest.approx(1.0, abs=0.1), "pure noise"


def test_what_is_dropped_is_told_as_nothing() -> None:
    networks = TinyNetworks()
    space_time = generator(networks, prompt="red room", drop="memory_render, references,rays,animation_time,text")
    (made,) = make(space_time, space_time.stream(), look(0.0), np.random.default_rng(0))
    told = networks.last["denoise"]
    for name in ("memory", "rays", "text", "keys"):
        assert not told[name].any(), name
    assert (told["uncovered"] == 1).all()
    assert (told["animation"] == NO_CLOCK).all()
    image = networks.last["decode"]["image"][0]
    assert not image[:8].any()
    assert (image[8:10] == 1).all()
    assert image[13:].any()
    assert len(np.unique(made.rgb.reshape(-1, 3), axis=0)) == 1, "nothing of memory is left in the picture"
    kept = generator(networks, prompt="red room", drop="text")
    make(kept, kept.stream(), look(0.0), np.random.default_rng(0))
    assert not networks.last["denoise"]["text"].any()
    assert networks.last["denoise"]["rays"].any()
    with pytest.raises(SpatiaError, match=r"generator\.drop: expected words of memory_render.*got ray$"):
        generator(networks, drop="ray")


def test_a_prompt_of_unknown_words_is_refused_at_once() -> None:
    with pytest.raises(SpatiaError, match=r"'roon' \(nearest: room"):
        generator(TinyNetworks(), prompt="a roon")


def test_same_noise_while_held_and_the_same_frames_from_the_same_state() -> None:
    space_time = generator(TinyNetworks(noisy=0.5), steps=2)
    stream, rng = space_time.stream(), np.random.default_rng(3)
    (first,) = make(space_time, stream, look(0.0), rng)
    (second,) = make(space_time, stream, look(0.0), rng)
    assert np.array_equal(first.rgb, second.rgb), "the noise is kept with the context"
    state, drawn = stream.snapshot(), dict(rng.bit_generator.state)
    onward = [make(space_time, stream, look(t, frames=2), rng)[1].rgb for t in (1.0, 2.0)]
    assert not np.array_equal(onward[0], onward[1])
    stream.restore(state)
    rng.bit_generator.state = drawn
    again = [make(space_time, stream, look(t, frames=2), rng)[1].rgb for t in (1.0, 2.0)]
    assert all(np.array_equal(a, b) for a, b in zip(onward, again, strict=True))


def test_the_real_networks_take_what_they_are_given() -> None:
    torch = pytest.importorskip("torch")
    from spatia_ros.engine.engines import Engines
    from spatia_ros.engine.table import GRAPHS
    from spatia_ros.engine.torch_engine import torch_calls
    from spatia_ros.generator.network import ModelConfig, SpaceTimeNet

    torch.manual_seed(0)
    tiny = ModelConfig(4, 32, 4, 2, encoder=(4, 8, 8), painter=(4, 8, 8), decoder=(8, 8, 16))
    networks = Engines(**torch_calls(SpaceTimeNet(tiny), list(GRAPHS.values()), torch.device("cpu")), sizes={})
    space_time = SpaceTimeGenerator("real", networks, GeneratorConfig(steps=2, guidance=1.5, prompt="red room"))
    stream, rng = space_time.stream(), np.random.default_rng(0)
    for shown in (look(0.0, frames=3, references=()), look(0.3, frames=2), look(0.5), look(0.6)):
        made = make(space_time, stream, shown, rng)
        assert len(made) == len(shown)
        for each in made:
            np.testing.assert_allclose(each.rgb[view().coverage].astype(int), view().rgb[view().coverage], atol=1)
