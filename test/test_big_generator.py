"""The adapter to Wan2.2-TI2V-5B with Spatia's weights, on tiny random weights of the same layout."""

import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the big generator needs torch")
pytest.importorskip("diffusers", reason="the big generator needs diffusers: pip install -r requirements/big.txt")

import tiny_wan  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from spatia_ros.generator.big.canvas import covered, fitted, off, onto  # noqa: E402
from spatia_ros.generator.big.codec import latent_frames, whole  # noqa: E402
from spatia_ros.generator.big.control import ControlBranch  # noqa: E402
from spatia_ros.generator.big.depth import in_metres  # noqa: E402
from spatia_ros.generator.big.generator import as_clip  # noqa: E402
from spatia_ros.generator.big.low_rank import switch  # noqa: E402
from spatia_ros.generator.big.transformer import positions  # noqa: E402
from spatia_ros.generator.big.weights import open_big, read_settings  # noqa: E402
from spatia_ros.seed.depth import Estimate  # noqa: E402
from spatia_ros.types import Camera, SpatiaError, View  # noqa: E402

HEIGHT, WIDTH = 32, 40


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
def opened(folder):
    return open_big(folder, tiny_wan.FlatDepth(), device="cpu")


@pytest.fixture
def generator(opened):
    opened.restore(None)
    return opened


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


def told(generator, count, share=0.5, references=()):
    camera = Camera.from_fov(WIDTH, HEIGHT, 1.2)
    return generator.condition(some_views(count, share), camera, np.tile(np.eye(4), (count, 1, 1)), references)


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


def test_the_second_clip_begins_with_the_first_ones_last_frames(generator):
    first = told(generator, 12, share=0.95)
    clip = as_clip(first, fitted(HEIGHT, WIDTH, 64, 96))
    assert (len(clip.memory), len(clip.known), clip.history) == (13, 1, False), "begins with what memory shows, nearly all of it"
    assert not len(as_clip(told(generator, 12), fitted(HEIGHT, WIDTH, 64, 96)).known), "half a picture is no beginning"
    frames = generator.sample(first, np.random.default_rng(0))
    assert [f.rgb.shape for f in frames] == [(HEIGHT, WIDTH, 3)] * 12
    second = told(generator, 3)
    clip = as_clip(second, fitted(HEIGHT, WIDTH, 64, 96))
    np.testing.assert_array_equal(second.history, np.stack([f.rgb for f in frames[-9:]]))
    assert (len(clip.memory), len(clip.known), clip.history) == (13, 9, True)
    assert clip.coverage[:9].any((1, 2)).all()


def test_known_frames_stay_what_they_are_through_every_step(generator, monkeypatch):
    """What the network is shown of the history and the references is clean and at time 0, at every step."""
    generator.sample(told(generator, 9), np.random.default_rng(0))
    from spatia_ros.memory import Keyframe

    picture = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    reference = Keyframe(picture, np.full((HEIGHT, WIDTH), 2.0, np.float32), np.zeros((HEIGHT, WIDTH), bool),
                         Camera.from_fov(WIDTH, HEIGHT, 1.2), np.eye(4), 0)
    network, seen = generator.sampler.network, []
    plain = type(network).velocity

    def watched(self, latents, times, text, memory, references):
        seen.append((latents.clone(), times.clone(), references))
        return plain(self, latents, times, text, memory, references)

    monkeypatch.setattr(type(network), "velocity", watched)
    generator.sample(told(generator, 4, references=[reference, reference]), np.random.default_rng(0))
    assert len(seen) == 2 * 2, "two steps, each with and without the prompt"
    for latents, times, references in seen:
        assert (references, times[:5].tolist()) == (2, [0.0] * 5)
        assert (times[5:] > 0).all()
        assert torch.equal(latents[:, :, :5], seen[0][0][:, :, :5])
    assert not torch.equal(seen[0][0][:, :, 5:], seen[-1][0][:, :, 5:])


def test_the_same_state_gives_the_same_frames(generator):
    generator.sample(told(generator, 5), np.random.default_rng(0))
    state = generator.snapshot()
    once = generator.sample(told(generator, 2), np.random.default_rng(7))
    assert not np.array_equal(generator.snapshot(), state)
    generator.restore(state)
    again = generator.sample(told(generator, 2), np.random.default_rng(7))
    other = generator.sample(told(generator, 2), np.random.default_rng(8))
    np.testing.assert_array_equal(once[1].rgb, again[1].rgb)
    assert not np.array_equal(once[1].rgb, other[1].rgb)


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
        open_big(copy, tiny_wan.FlatDepth(), device="cpu")


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


def test_settings_default_to_the_release(folder):
    said = json.loads((folder / "spatia.json").read_text())
    assert read_settings(folder).control == folder / said["control"]
    fresh = type(read_settings(folder)).model_fields
    assert [fresh[name].default for name in ("steps", "guidance", "shift", "references")] == [40, 3.5, 5.0, 7]
    assert fresh["canvas"].default == (1248, 704)
