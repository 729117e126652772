"""Scenes: exact depth of known shapes, the same scene from the same generator, paths through free space."""

import numpy as np
import pytest
from recordings import recording

from spatia_ros.geometry import backproject, look_at, pixel_rays
from spatia_ros.train.scan import builtin_path, builtin_scan, scan
from spatia_ros.train.scene import Scene
from spatia_ros.train.scene_light import Lamp, Lighting
from spatia_ros.train.scene_mesh import Material, MeshBuilder, Piece, at, box, cylinder, lathe, pillow, quad, subdivided
from spatia_ros.train.scene_path import Walk
from spatia_ros.train.scene_texture import noise
from spatia_ros.train.scenes import KINDS, glb_scene, random_scene
from spatia_ros.train.sensor import Sensor, observe
from spatia_ros.types import Camera, Frame, SpatiaError

CAMERA = Camera.from_fov(64, 48, 1.1)
Z = np.array((0.0, 0.0, 1.0))


def plain(grey: int, **finish: float) -> Material:
    return Material(np.full((4, 4, 3), grey, np.uint8), **finish)


def scene_of(builder: MeshBuilder, lamps: tuple[Lamp, ...] = (Lamp((0, 0, 3), (3.0, 3.0, 3.0)),)) -> Scene:
    walk = Walk(np.array([[(-1, -1, 1), (1, 1, 2)]]), np.array([(0.0, 3.0, 1.0)]), np.eye(4))
    return Scene(builder.mesh(), Lighting(lamps, (0.2, 0.2, 0.2)), walk, np.random.default_rng(0))


def wall_scene(distance: float = 3.0) -> Scene:
    """A wall across y = distance, 4 m wide and 3 m high, with nothing behind."""
    builder = MeshBuilder()
    builder.add([Piece(quad((2, distance, 0), (-4, 0, 0), (0, 0, 3)), plain(180))])
    return scene_of(builder)


def test_depth_of_a_wall_is_its_distance() -> None:
    T = look_at(np.array((0.0, 0.0, 1.5)), np.array((0.0, 3.0, 1.5)), Z)
    frame = wall_scene().render(CAMERA, T)
    np.testing.assert_allclose(frame.depth, 3.0, rtol=1e-6)  # z-depth: the same at the corners


def test_depth_is_of_the_pixel_centre_and_zero_beyond_the_wall() -> None:
    eye = np.array((0.5, 0.0, 1.5))
    T = look_at(eye, np.array((2.2, 3.0, 1.2)), Z)
    frame = wall_scene().render(CAMERA, T)
    rays = pixel_rays(CAMERA) @ T[:3, :3].T
    meets = eye + rays * (3.0 / rays[..., 1:2])
    on_wall = (np.abs(meets[..., 0]) < 2) & (np.abs(meets[..., 2] - 1.5) < 1.5)
    assert 0.2 < on_wall.mean() < 0.9
    np.testing.assert_array_equal(frame.depth > 0, on_wall)
    np.testing.assert_allclose(frame.depth[on_wall], (3.0 / rays[..., 1])[on_wall], rtol=1e-5)


def test_points_from_two_views_lie_on_the_same_sphere() -> None:
    builder = MeshBuilder()
    builder.add([Piece(pillow((1.0, 1.0, 1.0), 1.0, sectors=200), plain(200))])
    scene = scene_of(builder)
    for eye in ((0.0, -2.0, 0.5), (1.5, -1.0, 1.5)):
        frame = scene.render(CAMERA, look_at(np.array(eye), np.array((0.0, 0.0, 0.5)), Z))
        points, _ = backproject(frame.depth, CAMERA, frame.T_world_cam)
        assert len(points) > 300
        np.testing.assert_allclose(np.linalg.norm(points - (0, 0, 0.5), axis=1), 0.5, atol=2e-3)


def test_shapes_have_the_areas_of_geometry_and_normals_outwards() -> None:
    shapes = {
        "box": (box((1.0, 2.0, 0.5)), 2 * (2.0 + 0.5 + 1.0)),
        "cylinder": (cylinder(0.5, 2.0, 128), 2 * np.pi * 0.5 * 2.5),
        "cone": ([lathe([(1.0, 0.0), (0.5, 0.5), (1e-9, 1.0)], 128)], np.pi * np.sqrt(2)),
        "ball": ([pillow((1.0, 1.0, 1.0), 1.0, 128)], np.pi),
    }
    for name, (patches, area) in shapes.items():
        builder = MeshBuilder()
        builder.add([Piece(p, plain(128)) for p in patches])
        mesh = builder.mesh()
        corners = mesh.vertices[mesh.faces]
        own = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert np.linalg.norm(own, axis=1).sum() / 2 == pytest.approx(area, rel=2e-3), name
        middle = mesh.vertices.mean(0)
        assert np.mean(((mesh.vertices - middle) * mesh.normals).sum(1) > -1e-9) > 0.99, name


def test_object_numbers_are_those_of_the_builder() -> None:
    builder = MeshBuilder()
    wall = builder.add([Piece(quad((2, 3, 0), (-4, 0, 0), (0, 0, 3)), plain(180))])
    cube = builder.add([Piece(p, plain(90)) for p in box((0.5, 0.5, 0.5))], at(0, 2, 1.25))
    ids = scene_of(builder).render_ids(CAMERA, look_at(np.array((0.0, 0.0, 1.5)), np.array((0.0, 3.0, 1.5)), Z))
    assert ids[24, 32] == cube
    assert ids[24, 2] == wall
    assert set(np.unique(ids)) == {wall, cube}


def test_light_falls_with_distance_and_shadows_are_dark() -> None:
    builder = MeshBuilder()
    builder.add([Piece(quad((-4, -4, 0), (8, 0, 0), (0, 8, 0), 0.1), plain(128))])
    builder.add([Piece(p, plain(128)) for p in box((1.0, 1.0, 0.02))], at(1.0, 0, 1.0))
    scene = scene_of(builder, (Lamp((0, 0, 2), (4.0, 4.0, 4.0), 0.02),))
    T = look_at(np.array((0.0, 0.01, 6.0)), np.array((0.0, 0.0, 0.0)), np.array((0.0, 1.0, 0.0)))
    frame = scene.render(CAMERA, T)

    def brightness(x: float, y: float) -> float:
        p = (np.array((x, y, 0.0)) - T[:3, 3]) @ T[:3, :3]
        u, v = int(CAMERA.fx * p[0] / p[2] + CAMERA.cx), int(CAMERA.fy * p[1] / p[2] + CAMERA.cy)
        return float(frame.rgb[v, u].mean())

    assert brightness(-0.2, 0.2) > brightness(-1.5, 0.2) + 5 > brightness(-2.2, 0.2)
    assert brightness(2.0, 0.0) < 0.8 * brightness(-2.0, 0.0)  # behind the plate, seen from the lamp


def test_antialiasing_changes_edges_only_and_never_depth() -> None:
    builder = MeshBuilder()
    builder.add([Piece(quad((3, 3, -1), (-6, 0, 0), (0, 0, 5)), plain(240))])
    builder.add([Piece(p, plain(10)) for p in box((0.5, 0.5, 0.5))], at(0, 2, 1.3, 0.5))
    scene = scene_of(builder)
    T = look_at(np.array((0.0, 0.0, 1.5)), np.array((0.1, 3.0, 1.4)), Z)
    smooth, hard = scene.render(CAMERA, T), scene.render(CAMERA, T, antialias=False)
    np.testing.assert_array_equal(smooth.depth, hard.depth)
    changed = (smooth.rgb != hard.rgb).any(-1)
    assert 0.005 < changed.mean() < 0.1


def test_subdivision_keeps_area_and_shortens_edges() -> None:
    vertices = np.array([(0, 0, 0, 0), (4, 0, 0, 1), (0, 3, 0, 2)], np.float64)
    split, faces, source = subdivided(vertices, np.array([[0, 1, 2]]), 0.6)
    corners = split[faces][..., :3]
    assert np.linalg.norm(corners[:, [1, 2, 0]] - corners, axis=-1).max() <= 0.6
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum() / 2
    assert area == pytest.approx(6.0)
    np.testing.assert_allclose(split[:, 3], split[:, 0] / 4 + split[:, 1] * 2 / 3)  # attributes follow linearly
    assert set(source) == {0}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_same_generator_same_scene_and_path(kind: str) -> None:
    frames, paths = [], []
    for _ in range(2):
        rng = np.random.default_rng(5)
        scene = random_scene(rng, kind)
        paths.append(scene.random_path(rng, 24))
        frames.append(scene.render(CAMERA, paths[-1][12]))
    np.testing.assert_array_equal(paths[0], paths[1])
    np.testing.assert_array_equal(frames[0].rgb, frames[1].rgb)
    np.testing.assert_array_equal(frames[0].depth, frames[1].depth)
    assert frames[0].rgb.std() > 3  # something is to be seen


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_paths_are_smooth_level_and_clear(kind: str) -> None:
    rng = np.random.default_rng(6)
    scene = random_scene(rng, kind)
    for n in (1, 2, 40):
        path = scene.random_path(rng, n)
        assert path.shape == (n, 4, 4)
        assert (np.linalg.norm(np.diff(path[:, :3, 3], axis=0), axis=1) <= 2.5 * scene.walk.step_m[1]).all()
        forward = path[:, :3, 2]
        assert (np.einsum("ij,ij->i", forward[1:], forward[:-1]) > np.cos(0.5)).all()
        assert (path[:, 2, 1] < -0.2).all()  # the image's up stays up
    assert scene.render(CAMERA, path[-1]).depth.max() > scene.walk.clearance_m


def test_no_free_space_is_an_error() -> None:
    scene = wall_scene()
    buried = Walk(np.array([[(-1, 2.9, 1), (1, 3.1, 2)]]), np.array([(0.0, 3.0, 1.0)]), np.eye(4), clearance_m=1.0)
    scene.walk = buried
    with pytest.raises(SpatiaError, match="expected free space for 5 poses"):
        scene.random_path(np.random.default_rng(0), 5)


def test_unknown_kind_is_refused() -> None:
    with pytest.raises(SpatiaError, match="expected a kind of room, corridor, desk, street, got 'moon'"):
        random_scene(np.random.default_rng(0), "moon")


def test_noise_is_seamless_and_normal() -> None:
    field = noise(np.random.default_rng(0), 64, 96, 1.5)
    assert field.mean() == pytest.approx(0, abs=1e-9)
    assert field.std() == pytest.approx(1)
    inner = np.abs(np.diff(field, axis=1)).mean()
    assert np.abs(field[:, 0] - field[:, -1]).mean() < 1.5 * inner


def exact_frame(z: float = 2.0) -> Frame:
    return Frame(np.full((48, 64, 3), 120, np.uint8), np.full((48, 64), z, np.float32), CAMERA, np.eye(4))


def test_sensor_noise_grows_with_the_square_of_depth() -> None:
    sensor = Sensor(0.002, 0.0, 20.0, 0.0, 0.0, 0.0, 0.0)
    spread = [observe(exact_frame(z), sensor, np.random.default_rng(0)).depth.std() for z in (1.0, 3.0)]
    assert spread[0] == pytest.approx(0.002, rel=0.05)
    assert spread[1] == pytest.approx(0.018, rel=0.05)


def test_sensor_steps_grow_with_the_square_of_depth() -> None:
    ramp = exact_frame()
    ramp.depth[:] = np.linspace(1.9, 2.1, 64)
    steps = np.diff(np.unique(observe(ramp, Sensor(0.0, 0.003, 20.0, 0.0, 0.0, 0.0, 0.0), np.random.default_rng(0)).depth))
    np.testing.assert_allclose(steps, 0.003 * 2.0**2, rtol=0.12)


@pytest.mark.parametrize("share", [0.1, 0.36])
def test_sensor_loses_the_share_of_pixels_asked_for(share: float) -> None:
    quiet = Sensor(0.0, 0.0, 20.0, 0.0, share, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    frame = observe(exact_frame(), quiet, np.random.default_rng(0))
    assert (frame.depth == 0).mean() == pytest.approx(share, abs=0.02)
    np.testing.assert_array_equal(frame.depth[frame.depth > 0], 2.0)
    np.testing.assert_array_equal(frame.rgb, 120)


def test_sensor_keeps_unknown_unknown_and_says_nothing_beyond_its_range() -> None:
    frame = exact_frame(5.0)
    frame.depth[:, :10] = 0
    seen = observe(frame, Sensor(max_range_m=4.0), np.random.default_rng(0))
    assert not seen.depth.any()
    near = observe(frame, Sensor(max_range_m=9.0, blobs=0.0, speckle=0.0, edge_px=0.0), np.random.default_rng(0))
    np.testing.assert_array_equal(near.depth > 0, frame.depth > 0)


def test_the_builtin_scan_is_always_the_same() -> None:
    one, two = builtin_scan(3), builtin_scan(3)
    assert len(one) == 3
    for i in range(3):
        a, b = one.frame(i), two.frame(i)
        np.testing.assert_array_equal(a.rgb, b.rgb)
        np.testing.assert_array_equal(a.depth, b.depth)
        np.testing.assert_array_equal(a.T_world_cam, builtin_path(3)[i])
        assert 0.8 < (a.depth > 0).mean() < 1.0


def test_scan_refuses_a_path_of_another_length() -> None:
    with pytest.raises(SpatiaError, match="expected a path of 3 poses, got 2"):
        scan(wall_scene(), CAMERA, 3, np.random.default_rng(0), path=np.stack([np.eye(4)] * 2))


def test_glb_that_is_none_is_refused(tmp_path) -> None:
    path = tmp_path / "scene.glb"
    with pytest.raises(SpatiaError, match=r"expected a .glb file"):
        glb_scene(path)
    path.write_bytes(b"glTF\x02\x00\x00\x00garbage")
    with pytest.raises(SpatiaError, match="expected binary glTF"):
        glb_scene(path)


def test_glb_scene_is_where_its_own_bounds_say() -> None:
    import json

    folder = recording("small_house")
    scene = glb_scene(folder / "small_house.glb")
    bounds = json.loads((folder / "small_house.objects.json").read_text())
    assert len(bounds) > 0
    np.testing.assert_allclose(scene.mesh.vertices.min(0), (-9.5, -5.7, 0), atol=0.01)
    np.testing.assert_allclose(scene.mesh.vertices.max(0), (9.5, 5.7, 3.0), atol=0.01)
    rng = np.random.default_rng(0)
    frame = scene.render(CAMERA, scene.random_path(rng, 4)[0])
    assert (frame.depth > 0).mean() > 0.9
    assert len(np.unique(frame.rgb.reshape(-1, 3), axis=0)) > 100
