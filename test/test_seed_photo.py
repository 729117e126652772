"""One photograph as a seed: depth by an estimator, metres by what is known, a camera that stands upright."""

import sys

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from spatia_ros.config import MemoryConfig
from spatia_ros.generator import ProjectionGenerator
from spatia_ros.geometry import pixel_rays
from spatia_ros.seed.depth import Estimate, GeneratorDepth, Known, find_floor, to_metres
from spatia_ros.seed.networks import NetworkDepth
from spatia_ros.seed.photo import read_photo, seed_photo, upright_pose
from spatia_ros.types import Camera, SpatiaError

CAMERA = Camera.from_fov(160, 120, 1.1)
HEIGHT_M, WALL_M = 1.4, 5.0


def hall(pitch_rad=0.0, camera=CAMERA):
    """Depth of a floor 1.4 m below and a wall 5 m ahead of a camera that looks down by ``pitch_rad``."""
    rays = pixel_rays(camera) @ Rotation.from_euler("x", -pitch_rad).as_matrix().T  # level axes: x right, y down, z ahead
    with np.errstate(divide="ignore"):
        floor = np.where(rays[..., 1] > 0, HEIGHT_M / rays[..., 1], np.inf)
        return np.minimum(floor, WALL_M / rays[..., 2]).astype(np.float32)


class Says:
    """An estimator that gives a depth image, changed."""

    name = "an oracle"

    def __init__(self, kind, change, depth=None):
        self.kind, self.change, self.depth = kind, change, depth

    def estimate(self, rgb, camera):
        depth = hall(camera=camera or CAMERA) if self.depth is None else self.depth
        return Estimate(self.change(depth).astype(np.float32), self.kind, None)


@pytest.fixture
def photo(tmp_path):
    """A photograph without any word of its camera."""
    waves = np.sin(np.arange(120)[:, None, None] / 7 + np.arange(160)[:, None] / 9 + np.arange(3))
    Image.fromarray((127 + 100 * waves).astype(np.uint8)).save(tmp_path / "hall.png")
    return tmp_path / "hall.png"


@pytest.mark.parametrize("pitch_deg", [0, 12, -3, 25])
def test_the_floor_is_found_under_a_tilted_camera(pitch_deg):
    depth = hall(np.radians(pitch_deg))
    noisy = depth * np.random.default_rng(0).normal(1, 0.005, depth.shape)
    floor = find_floor(1.0 / noisy, CAMERA, np.random.default_rng(1), tilted=True)
    assert 1 / np.linalg.norm(floor.w) == pytest.approx(HEIGHT_M, rel=0.02)
    T = upright_pose(floor, 0.0)
    assert T[2, 3] == pytest.approx(HEIGHT_M, rel=0.02)
    np.testing.assert_allclose(T[2, 2], -np.sin(np.radians(pitch_deg)), atol=0.02)  # how far down it looks


def test_no_floor_where_there_is_only_a_wall():
    assert find_floor(np.full((120, 160), 0.4), CAMERA, np.random.default_rng(0), tilted=True) is None


@pytest.mark.parametrize(
    ("kind", "change", "height_m", "known"),
    [
        ("metric", lambda z: z, 0.0, ()),
        ("metric", lambda z: 1.3 * z, HEIGHT_M, ()),
        ("scale", lambda z: 0.2 * z, HEIGHT_M, ()),
        ("scale", lambda z: 7.0 * z, 0.0, (Known(80, 20, WALL_M),)),
        ("inverse", lambda z: 40 / z + 11, HEIGHT_M, ()),
        ("inverse", lambda z: 40 / z + 11, 0.0, (Known(80, 20, WALL_M),)),
        ("inverse", lambda z: 40 / z - 2, 0.0, (Known(80, 20, WALL_M), Known(80, 118, float(hall()[118, 80])))),
    ],
)
def test_every_kind_of_estimate_becomes_the_true_metres(kind, change, height_m, known):
    truth = hall()
    scaled = to_metres(Estimate(change(truth).astype(np.float32), kind, None), CAMERA, height_m, known)
    np.testing.assert_allclose(scaled.depth, truth, rtol=0.03)
    assert len(scaled.story) == 1


@pytest.mark.parametrize(
    ("kind", "height_m", "known", "wall", "words"),
    [
        ("scale", 0.0, (), False, "camera's height or a known distance"),
        ("inverse", 0.0, (), False, "two known distances"),
        ("inverse", 1.4, (), True, "found none: give two known distances"),
        ("inverse", 0.0, (Known(3, 3, 2.0),), True, "found none: give two known distances"),
        ("scale", 1.4, (), True, "expected a floor"),
        ("metric", 0.0, (Known(500, 3, 2.0),), False, "expected a pixel of 160x120"),
        ("inverse", 0.0, (Known(3, 3, 2.0), Known(9, 9, 4.0)), True, "tell near from far"),
    ],
)
def test_what_cannot_be_scaled_is_refused_with_a_sentence(kind, height_m, known, wall, words):
    values = np.full((120, 160), 2.0, np.float32) if wall else hall()
    with pytest.raises(SpatiaError, match=words):
        to_metres(Estimate(values, kind, None), CAMERA, height_m, known)


def test_a_photograph_becomes_a_place(photo):
    seeded = seed_photo(photo, MemoryConfig(voxel_m=0.03), Says("metric", lambda z: z), fov_rad=1.1)
    points = seeded.memory.points().xyz
    floor = points[np.abs(points[:, 2]) < 0.1]
    assert len(floor) > 0.2 * len(points)  # z = 0 is the floor
    np.testing.assert_allclose(seeded.T_world_cam[:3, 3], (0, 0, HEIGHT_M), atol=0.03)
    view = seeded.memory.render(seeded.camera, seeded.T_world_cam, 0)
    assert view.coverage.mean() > 0.9
    rgb, _ = read_photo(photo)
    assert np.abs(view.rgb[view.coverage].astype(int) - rgb[view.coverage]).mean() < 5
    assert any("estimated, not measured" in sentence for sentence in seeded.story)


def test_known_pixels_are_those_of_the_file(tmp_path):
    Image.fromarray(np.zeros((1920, 2560, 3), np.uint8)).save(tmp_path / "large.png")
    rgb, _ = read_photo(tmp_path / "large.png")
    assert rgb.shape == (960, 1280, 3)
    far = Says("scale", lambda z: z, np.where(np.arange(1280) < 640, 1.0, 2.0) * np.ones((960, 1)))
    seeded = seed_photo(tmp_path / "large.png", MemoryConfig(voxel_m=0.05), far, known=(Known(2400, 900, 6.0),))
    depth = seeded.memory.keyframes.keyframes[0].depth
    assert depth[100, 100] == pytest.approx(3.0, rel=1e-3)
    assert depth[100, 1200] == pytest.approx(6.0, rel=1e-3)


def test_the_camera_is_in_the_exif_or_assumed(tmp_path, photo):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 28
    exif[0x0112] = 6  # stored on its side
    Image.new("RGB", (400, 300)).save(tmp_path / "side.jpg", exif=exif)
    rgb, camera = read_photo(tmp_path / "side.jpg")
    assert rgb.shape == (400, 300, 3)
    assert camera.fx == pytest.approx(28 / 36 * 400)
    assert read_photo(photo)[1] is None
    assert any("are assumed" in s for s in seed_photo(photo, MemoryConfig(voxel_m=0.05), Says("metric", lambda z: z)).story)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 30, b"GIF89a" + b"\0" * 30])
def test_what_is_no_photograph_is_refused(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(SpatiaError, match=r"a\.png"):
        read_photo(tmp_path / "a.png")


def test_the_generators_own_depth_needs_a_length_and_takes_it(photo):
    head = GeneratorDepth(ProjectionGenerator())
    with pytest.raises(SpatiaError, match="camera's height or a known distance"):
        seed_photo(photo, MemoryConfig(), head)
    seeded = seed_photo(photo, MemoryConfig(voxel_m=0.05), head, known=(Known(80, 60, 3.0),))
    np.testing.assert_allclose(seeded.memory.keyframes.keyframes[0].depth, 3.0, rtol=1e-3)  # the null head: one distance


def tiny_glpn(folder):
    from transformers import GLPNConfig, GLPNForDepthEstimation, GLPNImageProcessor

    sizes = {"hidden_sizes": [8, 8, 8, 8], "decoder_hidden_size": 8, "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 1, 1]}
    GLPNForDepthEstimation(GLPNConfig(**sizes, max_depth=8)).save_pretrained(folder)
    GLPNImageProcessor().save_pretrained(folder)


def tiny_depth_anything(folder, kind="relative"):
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

    stages = ["stage1", "stage2", "stage3", "stage4"]
    backbone = Dinov2Config(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, image_size=56, patch_size=14, out_features=stages,
        reshape_hidden_states=False, apply_layernorm=True,
    )  # fmt: skip
    config = DepthAnythingConfig(
        backbone_config=backbone, reassemble_hidden_size=16, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
        head_hidden_size=4, patch_size=14, depth_estimation_type=kind, max_depth=20,
    )  # fmt: skip
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    how = {"size": {"height": 56, "width": 56}, "keep_aspect_ratio": True, "ensure_multiple_of": 14}
    DPTImageProcessor(**how).save_pretrained(folder)


def tiny_dpt(folder):
    from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessor

    config = DPTConfig(
        hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, image_size=32, patch_size=8,
        backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
    )  # fmt: skip
    DPTForDepthEstimation(config).save_pretrained(folder)
    DPTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


@pytest.mark.parametrize(
    ("build", "kind"),
    [
        (tiny_glpn, "metric"), (tiny_dpt, "inverse"), (tiny_depth_anything, "inverse"),
        (lambda folder: tiny_depth_anything(folder, "metric"), "metric"),
    ],
    ids=["glpn", "dpt", "depth anything", "metric depth anything"],
)  # fmt: skip
def test_public_networks_from_a_folder(tmp_path, build, kind):
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    torch.manual_seed(0)
    build(tmp_path)
    rgb = np.random.default_rng(0).integers(0, 255, (96, 130, 3), dtype=np.uint8)
    network = NetworkDepth(tmp_path)
    estimate = network.estimate(rgb, None)
    assert network.kind == estimate.kind == kind
    assert estimate.values.shape == (96, 130)
    assert np.isfinite(estimate.values).all()
    assert estimate.values.min() >= 0
    assert estimate.camera is None
    again = NetworkDepth(tmp_path, "scale").estimate(rgb, None)
    assert again.kind == "scale"
    np.testing.assert_array_equal(again.values, estimate.values)
    with pytest.raises(SpatiaError, match="expected metric, scale, inverse"):
        NetworkDepth(tmp_path, "feet")


def test_a_folder_that_holds_no_network_is_refused(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(SpatiaError, match=r"config\.json"):
        NetworkDepth(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(SpatiaError, match="not a depth network"):
        NetworkDepth(tmp_path)


def test_without_transformers_it_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    (tmp_path / "config.json").touch()
    with pytest.raises(SpatiaError, match="pip install"):
        NetworkDepth(tmp_path)
