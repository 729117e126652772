"""The adapter to Wan2.2-TI2V-5B with Spatia's weights, on tiny random weights of the same layout."""

import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the big generator needs torch")
pytest.importorskip("diffusers", reason="the big generator needs diffusers: pip install -r requirements/big.txt")

import tiny_wan  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from spatia_ros.config import from_dict  # noqa: E402
from spatia_ros.generator.big.canvas import covered, fitted, off, onto  # noqa: E402
from spatia_ros.generator.big.codec import latent_frames, whole  # noqa: E402
from spatia_ros.generator.big.control import ControlBranch  # noqa: E402
from spatia_ros.generator.big.depth import in_metres  # noqa: E402
from spatia_ros.generator.big.generator import History, as_clip, chosen  # noqa: E402
from spatia_ros.generator.big.low_rank import switch  # noqa: E402
from spatia_ros.generator.big.transformer import positions  # noqa: E402
from spatia_ros.generator.big.weights import is_big, open_big, read_settings  # noqa: E402
from spatia_ros.generator.condition import ClipView  # noqa: E402
from spatia_ros.memory import Keyframe, Memory  # noqa: E402
from spatia_ros.seed.depth import Estimate  # noqa: E402
from spatia_ros.types import Camera, Frame, SpatiaError, Trajectory, View  # noqa: E402
from spatia_ros.world import World, open_generator  # noqa: E402

HEIGHT, WIDTH = 32, 40
CAMERA = Camera.from_fov(WIDTH, HEIGHT, 1.2)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tensors this small are slower on two."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_wan.write(tmp_path_factory.mktemp("wan"))


@pytest.fixture(scope="module")
def generator(folder):
    return open_big(folder, tiny_wan.FlatDepth, device="cpu")


def some_views(count, share=0.5, seed=0):
    rng = np.random.default_rng(seed)
    coverage = np.zeros((HEIGHT, WIDTH), bool)
    coverage[:, : round(share * WIDTH)] = True
    views = []
    for _ in range(count):
        rgb = np.where(coverage[..., None], rng.integers(0, 256, (HEIGHT, WIDTH, 3)), 0).astype(np.uint8)
        depth = np.where(coverage, 2.0, 0.0).astype(np.float32)
        views.append(View(rgb, depth, coverage, coverage.astype(np.float32), np.zeros_like(depth)))
    return views


def told(generator, stream, count, share=0.5, references=()):
    times, poses = np.arange(count) / 10.0, np.tile(np.eye(4), (count, 1, 1))
    shown = ClipView(tuple(some_views(count, share)), (tuple(references),) * count, CAMERA, poses, times, times)
    return generator.condition(shown, stream)


def carried(seed=1):
    """A stream after nine frames."""
    stream, rng = History(), np.random.default_rng(seed)
    depth = np.ones((HEIGHT, WIDTH), np.float32)
    made = [Frame(rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8), depth, CAMERA, np.eye(4)) for _ in range(12)]
    stream.follow(made, np.zeros(12))
    return stream, made


def inputs(generator, frames=3, references=2):
    """Random latents of references and a clip, times, words, memory."""
    g = torch.Generator().manual_seed(1)
    latents = torch.randn(1, tiny_wan.CHANNELS, references + frames, 4, 6, generator=g)
    memory = torch.randn(1, 2 * tiny_wan.CHANNELS, frames, 4, 6, generator=g)
    times = torch.full((references + frames,), 700.0)
    times[: references + 1] = 0.0
    return latents, times, generator.words("a room"), memory, references


def test_a_silent_control_branch_leaves_plain_wan(generator):
    network = generator.sampler.network
    latents, times, words, memory, _ = inputs(generator, references=0)
    ours = network.velocity(latents, times, words, None, 0)
    per_token = times.repeat_interleave(2 * 3)[None]
    with torch.no_grad():
        library = network.base(latents, per_token, words, return_dict=False)[0]
    torch.testing.assert_close(ours, library, atol=1e-5, rtol=1e-5)
    with_control = network.velocity(latents, times, words, memory, 0)
    assert (with_control - ours).abs().max() > 1e-3
    kept = [(block.after_proj.weight.clone(), block.after_proj.bias.clone()) for block in network.control.blocks]
    for block in network.control.blocks:
        torch.nn.init.zeros_(block.after_proj.weight), torch.nn.init.zeros_(block.after_proj.bias)
    silent = network.velocity(latents, times, words, memory, 0)
    for block, (weight, bias) in zip(network.control.blocks, kept, strict=True):
        block.after_proj.weight.data, block.after_proj.bias.data = weight, bias
    torch.testing.assert_close(silent, ours)


def test_the_time_of_a_token_is_its_own(generator):
    network = generator.sampler.network
    latents, times, words, memory, references = inputs(generator)
    before = network.velocity(latents, times, words, memory, references)
    times[-1] = 0.0
    after = network.velocity(latents, times, words, memory, references)
    changed = (after - before).abs().amax((0, 1, 3, 4))
    assert changed[-1] > 2 * changed[:-1].max(), "the last frame's time changes the last frame most, others through attention"


def test_references_have_places_of_their_own_and_no_control(generator):
    network = generator.sampler.network
    cosines, sines = positions(network.base, 3, 2, 3, 2)
    assert cosines.shape == sines.shape == (1, 5 * 6, 1, 12)
    plain = network.base.rope(torch.zeros(1, tiny_wan.CHANNELS, 3, 4, 6))
    torch.testing.assert_close(cosines[:, 12:], plain[0])
    torch.testing.assert_close(sines[:, 12:], plain[1])
    places = torch.cat([cosines, sines], -1)[0, :, 0]
    apart = torch.cdist(places, places) + 10 * torch.eye(len(places))
    assert apart.min() > 1e-3, "no two tokens share a place"
    assert sines[0, 0, 0, 0] == pytest.approx(np.sin(-2.0), abs=1e-6), "the first of two references is at time -2"


def test_blocks_stand_beside_every_fourth(generator):
    assert len(generator.sampler.network.control.blocks) == 2  # of six: 0 and 4
    network = generator.sampler.network
    with torch.device("meta"):
        wan = type(network.base)(
            num_attention_heads=24, attention_head_dim=128, in_channels=48, out_channels=48, ffn_dim=14336, num_layers=30
        )
        control = ControlBranch(wan)
    shapes = {name: tuple(value.shape) for name, value in control.published().items()}
    assert len(control.blocks) == 8
    assert shapes["vace_patch_embedding.weight"] == (3072, 96, 1, 2, 2)
    assert shapes["vace_blocks.0.before_proj.weight"] == shapes["vace_blocks.7.after_proj.weight"] == (3072, 3072)
    assert shapes["vace_blocks.3.ffn.0.weight"] == (14336, 3072)
    assert shapes["vace_blocks.5.modulation"] == (1, 6, 3072)
    assert "vace_blocks.1.before_proj.weight" not in shapes


def test_the_low_rank_part_is_added_and_taken_away_to_the_bit(generator):
    network = generator.sampler.network
    at = inputs(generator)
    before = network.velocity(*at)
    switch(network.low_rank, on=True)
    assert (network.velocity(*at) - before).abs().max() > 1e-4
    layer = network.base.blocks[0].attn1.to_q
    x = torch.randn(3, 24)
    whole_weight = layer.linear.weight + layer.up @ layer.down
    torch.testing.assert_close(layer(x), x @ whole_weight.T + layer.linear.bias, atol=1e-4, rtol=1e-4)
    switch(network.low_rank, on=False)
    assert torch.equal(network.velocity(*at), before)


def test_frames_fill_latents():
    assert [latent_frames(n) for n in (1, 5, 9, 81, 121)] == [1, 2, 3, 21, 31]
    assert [whole(n) for n in (1, 2, 5, 10, 25)] == [1, 5, 5, 13, 25]


def test_the_codec_gives_back_the_size_and_normalises(generator):
    codec = generator.sampler.codec
    video = np.random.default_rng(0).integers(0, 256, (5, 64, 96, 3)).astype(np.uint8)
    latents = codec.pictures(video)
    assert latents.shape == (1, tiny_wan.CHANNELS, 2, 4, 6)
    raw = codec.vae.encode(torch.from_numpy(video / np.float32(127.5) - 1).permute(3, 0, 1, 2)[None].float()).latent_dist.mode()
    torch.testing.assert_close(latents, (raw - 0.1) / 0.9, atol=1e-5, rtol=1e-5)
    assert codec.decode(latents).shape == video.shape
    with torch.no_grad():
        ones = codec.vae.encode(torch.ones(1, 3, 1, 64, 96)).latent_dist.mode()
    torch.testing.assert_close(codec.unknown(np.zeros((1, 64, 96), bool)), (ones - 0.1) / 0.9, atol=1e-5, rtol=1e-5)


def test_a_frame_lies_whole_on_the_canvas_and_comes_off_again():
    canvas = fitted(HEIGHT, WIDTH, 64, 96)
    assert (canvas.height, canvas.width, canvas.top, canvas.left) == (64, 80, 0, 8)
    rgb = np.repeat(np.repeat(np.random.default_rng(0).integers(0, 256, (8, 10, 3)), 4, 0), 4, 1).astype(np.uint8)
    placed = onto(canvas, rgb)
    assert placed.shape == (64, 96, 3)
    assert not placed[:, :8].any()
    assert not placed[:, 88:].any()
    assert np.abs(off(canvas, placed, HEIGHT, WIDTH).astype(int) - rgb).mean() < 12
    assert covered(canvas, np.ones((HEIGHT, WIDTH), bool)).sum() == 64 * 80
    with pytest.raises(SpatiaError, match="multiples of 32"):
        fitted(HEIGHT, WIDTH, 60, 96)


def test_the_second_clip_begins_with_the_last_frames(generator):
    canvas, start = fitted(HEIGHT, WIDTH, 64, 96), generator.stream()
    clip = as_clip(told(generator, start, 12, share=0.95), canvas)
    assert (len(clip.memory), len(clip.known), clip.history) == (13, 1, False), "begins with what memory shows, nearly all of it"
    assert not len(as_clip(told(generator, start, 12), canvas).known), "half a picture is no beginning"
    assert not len(as_clip(told(generator, start, 2, references=[reference(9)]), canvas).references)
    stream, made = carried()
    second = told(generator, stream, 3, references=[reference(9)])
    assert len(as_clip(second, canvas).references) == 1
    np.testing.assert_array_equal(second.history, np.stack([f.rgb for f in made[-9:]]))
    clip = as_clip(second, canvas)
    assert (len(clip.memory), len(clip.known), clip.history) == (13, 9, True)
    assert clip.coverage[:9].any((1, 2)).all()


def reference(grey):
    shape = (HEIGHT, WIDTH)
    picture = np.full((*shape, 3), grey, np.uint8)
    return Keyframe(picture, np.full(shape, 2.0, np.float32), np.zeros(shape, bool), CAMERA, np.eye(4), 0)


def test_references_of_a_clip_are_each_frames_best_once():
    a, b, c, d = (reference(grey) for grey in (1, 2, 3, 4))
    assert [k.rgb[0, 0, 0] for k in chosen([(a, c), (b, a), (a, d)], 3)] == [1, 2, 3]
    assert chosen([(), ()], 7) == []


def test_known_frames_stay_what_they_are_through_every_step(generator, monkeypatch):
    """What the network is shown of the history and the references is clean and at time 0, at every step."""
    network, seen = generator.sampler.network, []
    plain = type(network).velocity

    def watched(self, latents, times, text, memory, references):
        seen.append((latents.clone(), times.clone(), references))
        return plain(self, latents, times, text, memory, references)

    monkeypatch.setattr(type(network), "velocity", watched)
    stream, _ = carried()
    condition = told(generator, stream, 4, references=[reference(90), reference(30)])
    frames = generator.sample(condition, stream, np.random.default_rng(0))
    assert [f.rgb.shape for f in frames] == [(HEIGHT, WIDTH, 3)] * 4
    assert len(seen) == 2 * 2, "two steps, each with and without the prompt"
    for latents, times, references in seen:
        assert (references, times[:5].tolist()) == (2, [0.0] * 5)
        assert (times[5:] > 0).all()
        assert torch.equal(latents[:, :, :5], seen[0][0][:, :, :5])
    assert not torch.equal(seen[0][0][:, :, 5:], seen[-1][0][:, :, 5:])


def test_a_world_is_flown_with_it_and_goes_back_to_a_snapshot(generator):
    config = from_dict({"memory": {"voxel_m": 0.05}, "generator": {"clip": 4}})
    world = World(config, Memory(config.memory), generator, CAMERA)
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    world.observe(Frame(picture, np.full((HEIGHT, WIDTH), 2.0, np.float32), CAMERA, np.eye(4)))
    poses = np.tile(np.eye(4), (6, 1, 1))
    poses[:, 0, 3] = np.linspace(0, 0.5, 6)
    path = Trajectory(10**8 * np.arange(1, 7, dtype=np.int64), poses)
    points = len(world.memory)
    before = world.snapshot()
    step = world.advance(path)
    assert step.rgb.shape == (6, HEIGHT, WIDTH, 3)
    assert len(world.stream.frames) == 6
    assert np.abs(step.depth - 2.0).max() < 0.05, "a flat estimate, brought to the wall memory knows"
    assert len(world.memory) > points, "what was drawn beside the wall has entered memory"
    world.restore(before)
    np.testing.assert_array_equal(world.advance(path).rgb, step.rgb)
    world.restore(before)
    world.rng = np.random.default_rng(99)
    assert not np.array_equal(world.advance(path).rgb, step.rgb)


def test_clips_longer_than_the_weights_know_are_refused(generator):
    with pytest.raises(SpatiaError, match="at most 121 frames"):
        told(generator, generator.stream(), 122)


def test_depth_is_brought_to_what_memory_knows():
    remembered = np.linspace(1.0, 4.0, 40 * 40, dtype=np.float32).reshape(40, 40)
    half = np.where(np.arange(40) < 20, remembered, 0.0).astype(np.float32)
    inverse = in_metres(Estimate((0.5 / remembered + 0.2).astype(np.float32), "inverse", None), half)
    np.testing.assert_allclose(inverse.depth, remembered, rtol=1e-4)
    assert inverse.spread.max() < 0.01
    wrong_patch = remembered * 0.3
    wrong_patch[:6] *= 5  # a moving thing, say
    scaled = in_metres(Estimate(wrong_patch, "scale", None), half)
    np.testing.assert_allclose(scaled.depth[6:], remembered[6:], rtol=1e-3)
    blind = in_metres(Estimate(wrong_patch, "scale", None), np.zeros_like(half))
    assert blind.spread.min() > 10, "nothing vouches for it"


def refused(folder, tmp_path, change, match):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    change(copy)
    with pytest.raises(SpatiaError, match=match):
        open_big(copy, tiny_wan.FlatDepth, device="cpu")


def rewrite(path, change):
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def test_missing_and_foreign_weights_are_named(folder, tmp_path):
    control, lora, bias = "Spatia/step.safetensors", "Spatia/lora.safetensors", "vace_blocks.0.after_proj.bias"
    cases = [
        (lambda at: (at / control).unlink(), "expected weights at .*step.safetensors"),
        (lambda at: rewrite(at / control, lambda t: t.pop("vace_blocks.1.ffn.0.weight")), "1 missing .blocks.1.ffn.net.0"),
        (lambda at: rewrite(at / control, lambda t: t.update(x=torch.zeros(1))), r"1 foreign \(x\)"),
        (lambda at: rewrite(at / control, lambda t: t.update({bias: torch.zeros(3)})), r"\[3\] for \[24\]"),
        (lambda at: (at / control).write_bytes(b"no tensors"), "not a safetensors file"),
        (lambda at: rewrite(at / lora, lambda t: t.update(x=torch.zeros(1))), "expected names like pipe.dit"),
        (lambda at: shutil.rmtree(at / "Wan2.2-TI2V-5B-Diffusers/vae"), "vae/config.json, found none"),
        (lambda at: (at / "spatia.json").write_text("{}"), "format: Field required"),
        (
            lambda at: (at / "spatia.json").write_text(json.dumps(json.loads((at / "spatia.json").read_text()) | {"step": 3})),
            "step: Extra inputs",
        ),
    ]
    for i, (change, match) in enumerate(cases):
        refused(folder, tmp_path / str(i), change, match)


def test_another_transformer_is_refused(folder, tmp_path):
    part = "Wan2.2-TI2V-5B-Diffusers/transformer"

    def without_a_block(at):
        rewrite(at / part / "diffusion_pytorch_model.safetensors", lambda t: t.pop("blocks.3.attn1.to_q.weight"))

    def another_class(at):
        said = json.loads((at / part / "config.json").read_text())
        (at / part / "config.json").write_text(json.dumps(said | {"_class_name": "SD3Transformer2DModel"}))

    refused(folder, tmp_path / "a", without_a_block, "1 missing .blocks.3.attn1.to_q.weight")
    refused(folder, tmp_path / "b", another_class, "expected a WanTransformer3DModel, got 'SD3Transformer2DModel'")


def test_a_world_opens_it_by_its_folder(folder):
    assert is_big(str(folder))
    with pytest.raises(SpatiaError, match=r"expected a folder with config\.json"):
        open_generator(from_dict({"generator": {"name": str(folder)}}))


def test_settings_default_to_the_release(folder):
    said = json.loads((folder / "spatia.json").read_text())
    assert read_settings(folder).control == folder / said["control"]
    fresh = type(read_settings(folder)).model_fields
    assert [fresh[name].default for name in ("steps", "guidance", "shift", "references")] == [40, 3.5, 5.0, 7]
    assert fresh["canvas"].default == (1248, 704)
