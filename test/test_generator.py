"""The fill, the condition, the network and its engines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from spatia_ros import geometry
from spatia_ros.engine import open_engine
from spatia_ros.engine.export import example_inputs, export, export_again, load_network
from spatia_ros.engine.torch_engine import TorchEngine
from spatia_ros.generator import LearnedGenerator, ProjectionGenerator, condition, truth
from spatia_ros.generator.fill import push_pull
from spatia_ros.generator.model import FillNet, FillNetConfig
from spatia_ros.memory import Keyframe
from spatia_ros.types import Camera, SpatiaError, View

TINY = FillNetConfig(widths=(8, 8, 16), blocks=(1, 1, 1), heads=2)


def random_view(seed: int, height: int = 48, width: int = 80, share: float = 0.6) -> View:
    rng = np.random.default_rng(seed)
    coverage = rng.random((height, width)) < share
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8) * coverage[..., None]
    depth = (rng.uniform(1, 4, (height, width)) * coverage).astype(np.float32)
    return View(rgb.astype(np.uint8), depth, coverage, coverage.astype(np.float32), np.zeros((height, width), np.float32))


def random_network(seed: int = 0) -> FillNet:
    torch.manual_seed(seed)
    network = FillNet(TINY)
    for parameter in network.parameters():
        if not parameter.abs().sum():
            torch.nn.init.normal_(parameter, std=0.05)
    return network


def keyframe(seed: int, T_world_cam: np.ndarray) -> Keyframe:
    rng = np.random.default_rng(seed)
    return Keyframe(
        rng.integers(0, 256, (60, 96, 3), dtype=np.uint8), rng.uniform(1, 3, (60, 96)).astype(np.float32),
        np.ones((60, 96), bool), Camera.from_fov(96, 60, 1.0), T_world_cam, 0,
    )


@pytest.mark.parametrize(("height", "width"), [(48, 80), (33, 47), (1, 9)])
def test_push_pull_is_its_twin_in_torch(height: int, width: int) -> None:
    rng = np.random.default_rng(height)
    values = rng.standard_normal((height, width, 4)).astype(np.float32)
    known = rng.random((height, width)) < 0.2
    known[0, 0] = True
    filled, far = push_pull(values, known)
    expected, expected_far = truth.push_pull(torch.from_numpy(values).double(), torch.from_numpy(known))
    # At an odd border torch clamps one sample further out; inside the two are the same sums.
    inner = np.s_[: height - height % 2 or 1, : width - width % 2 or 1]
    assert np.median(np.abs(filled - expected.numpy())[inner]) < 1e-5
    np.testing.assert_allclose(filled[known], values[known])
    assert (far[known] == 0).all()
    assert height == 1 or (far[~known] > 0).all()
    if height % 16 == 0 and width % 16 == 0:
        assert np.abs(far - expected_far.numpy()).max() < 0.35


def test_push_pull_of_a_constant_is_that_constant_and_of_nothing_is_zero() -> None:
    known = np.zeros((24, 40), bool)
    known[3, 5] = known[20, 30] = True
    filled, _ = push_pull(np.full((24, 40, 2), 0.7, np.float32), known)
    np.testing.assert_allclose(filled, 0.7, rtol=1e-5)
    nothing, _ = push_pull(np.full((24, 40, 2), 0.7, np.float32), np.zeros((24, 40), bool))
    assert (nothing == 0).all()


def test_no_change_gives_memory_back() -> None:
    """Condition and compose are each other's inverse on what is remembered."""
    view, camera = random_view(1), Camera.from_fov(80, 48, 1.0)
    generated = LearnedGenerator("x", TorchEngine(FillNet(TINY)), 1).sample(
        condition(view, camera, np.eye(4), [keyframe(0, np.eye(4))]), np.random.default_rng(0)
    )
    np.testing.assert_allclose(generated.rgb[view.coverage].astype(int), view.rgb[view.coverage], atol=1)
    np.testing.assert_allclose(generated.depth[view.coverage], view.depth[view.coverage], rtol=1e-4)
    assert generated.rgb.shape == (48, 80, 3)
    assert (generated.depth > 0).all()


def test_null_generator_fills_holes_with_the_mean() -> None:
    view, camera = random_view(2), Camera.from_fov(80, 48, 1.0)
    null = ProjectionGenerator()
    generated = null.sample(null.condition(view, camera, np.eye(4), []), np.random.default_rng(0))
    np.testing.assert_allclose(generated.rgb[~view.coverage].mean(0), view.rgb[view.coverage].mean(0), atol=1.0)
    np.testing.assert_allclose(generated.rgb[view.coverage].astype(int), view.rgb[view.coverage], atol=1)


def test_an_empty_view_takes_its_colours_from_the_reference() -> None:
    view, camera = random_view(3, share=0.0), Camera.from_fov(80, 48, 1.0)
    reference = keyframe(1, np.eye(4))
    told = condition(view, camera, np.eye(4), [reference])
    np.testing.assert_allclose(told.colour_mean, reference.rgb.mean((0, 1)) / 255.0, atol=1e-3)
    bare = condition(view, camera, np.eye(4), [])
    assert np.isfinite(bare.image).all()
    assert bare.references.shape[0] == 0


def test_reference_rays_pass_through_their_camera() -> None:
    """A Pluecker ray's moment is o x d: zero at the target's own camera, and orthogonal to d."""
    T = geometry.look_at(np.array([0.5, 0.2, -1.0]), np.array([0.0, 0.0, 3.0]), np.array([0.0, -1.0, 0.0]))
    here = condition(random_view(4), Camera.from_fov(80, 48, 1.0), T, [keyframe(2, T)]).references[0]
    np.testing.assert_allclose(here[8:11], 0.0, atol=1e-6)
    there = condition(random_view(4), Camera.from_fov(80, 48, 1.0), np.eye(4), [keyframe(2, T)]).references[0]
    np.testing.assert_allclose((there[5:8] * there[8:11]).sum(0), 0.0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(there[5:8], axis=0), 1.0, atol=1e-5)
    o = T[:3, 3]
    np.testing.assert_allclose(there[8:11], np.cross(o, there[5:8], axisa=0, axisb=0, axisc=0), atol=1e-5)


def test_colour_is_normalised_by_what_is_visible() -> None:
    """Brightness and contrast of the visible do not reach the network: plain rooms ask for plain changes."""
    view = random_view(5)
    dim = View((view.rgb // 4 + 20).astype(np.uint8) * view.coverage[..., None].astype(np.uint8), view.depth, view.coverage, view.sensed, view.age_s)
    camera = Camera.from_fov(80, 48, 1.0)
    a, b = (condition(v, camera, np.eye(4), []).image[:3] for v in (view, dim))
    np.testing.assert_allclose(a, b, atol=0.05)


def test_engine_files_agree_with_torch_and_refuse_strangers(tmp_path: Path) -> None:
    network = random_network()
    manifest = export(network, tmp_path / "tiny", "tiny", "a test", 0, {})
    assert manifest.figures["largest_difference_onnx_torch"] < 1e-4
    inputs = example_inputs(np.random.default_rng(3), 64, 96, 3)
    onnx_out = open_engine(f"{tmp_path}/tiny", 1)(inputs)["change"]
    np.testing.assert_allclose(onnx_out, TorchEngine(load_network(tmp_path / "tiny"))(inputs)["change"], atol=1e-4)
    assert np.abs(onnx_out).max() > 1e-3
    assert export_again(tmp_path / "tiny").weights_sha256 == manifest.weights_sha256
    weights = tmp_path / "tiny" / "weights.safetensors"
    damaged = bytearray(weights.read_bytes())
    damaged[-5] ^= 1
    weights.write_bytes(damaged)
    with pytest.raises(SpatiaError, match="expected the file its manifest names"):
        open_engine(f"{tmp_path}/tiny", 1)
    with pytest.raises(SpatiaError, match="expected the weights its manifest names"):
        load_network(tmp_path / "tiny")
    (tmp_path / "tiny" / "manifest.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(SpatiaError, match="not a manifest"):
        open_engine(f"{tmp_path}/tiny", 1)
    with pytest.raises(SpatiaError, match="expected 'projection'"):
        open_engine("no-such-generator", 1)


def test_padding_does_not_change_what_a_multiple_of_16_gives() -> None:
    """A frame whose size is no multiple of 16 is padded, generated and cropped back to its size."""
    view, camera = random_view(6, 40, 70), Camera.from_fov(70, 40, 1.0)
    told = condition(view, camera, np.eye(4), [keyframe(0, np.eye(4))])
    assert told.image.shape == (10, 48, 80)
    generated = LearnedGenerator("x", TorchEngine(random_network()), 1).sample(told, np.random.default_rng(0))
    assert generated.rgb.shape == (40, 70, 3)
