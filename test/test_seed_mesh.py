"""Meshes as seeds: every voxel of the surface, the right colour, the right name."""

import json
import struct

import numpy as np
import pytest
import trimesh
from PIL import Image
from recordings import recording
from scipy.spatial import cKDTree

from spatia_ros.config import MemoryConfig
from spatia_ros.formats.mesh_file import UPS, read_mesh, upright
from spatia_ros.formats.surface import Paint, sample, sample_counts
from spatia_ros.geometry import look_at
from spatia_ros.memory import Memory
from spatia_ros.seed.mesh import fill_from_mesh, seed_mesh
from spatia_ros.seed.mesh_view import MeshView
from spatia_ros.types import Camera, SpatiaError

RED, BLUE = (200, 30, 30, 255), (30, 40, 210, 255)
COARSE = MemoryConfig(voxel_m=0.05)


def coloured(part, colour):
    part.visual = trimesh.visual.ColorVisuals(part, vertex_colors=np.tile(np.array(colour, np.uint8), (len(part.vertices), 1)))
    return part


@pytest.fixture
def two_boxes(tmp_path):
    """A red table of 1 x 0.6 x 0.8 m at the origin and a blue lamp at (3, 0, 0.5); y up, as glTF has it."""
    scene = trimesh.Scene()
    turn = trimesh.transformations.rotation_matrix(-np.pi / 2, (1, 0, 0))
    for name, colour, size, at in (("table", RED, (1, 0.6, 0.8), (0, 0, 0.4)), ("lamp", BLUE, (0.2, 0.2, 0.2), (3, 0, 0.5))):
        box = coloured(trimesh.creation.box(size), colour).apply_translation(at).apply_transform(turn)
        scene.add_geometry(box, node_name=name, geom_name=f"{name} mesh")
    path = tmp_path / "two.glb"
    path.write_bytes(scene.export(file_type="glb"))
    return path


def gltf_with(path, change):
    """The binary glTF with its document changed."""
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    document = json.loads(data[20 : 20 + length])
    change(document)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + length :]
    head = struct.pack("<4sIIII", b"glTF", 2, 20 + len(text) + len(rest), len(text), 0x4E4F534A)
    path.write_bytes(head + text + rest)


@pytest.mark.parametrize("up", UPS)
def test_upright_turns_the_named_axis_onto_z(up):
    axis = np.zeros(3)
    axis["xyz".index(up[-1])] = -1.0 if up[0] == "-" else 1.0
    np.testing.assert_allclose(upright(up) @ axis, (0, 0, 1), atol=1e-12)
    assert np.linalg.det(upright(up)) == pytest.approx(1.0)


def test_objects_by_name_with_their_bounds(two_boxes):
    mesh = read_mesh(two_boxes)
    bounds = mesh.bounds()
    assert set(bounds) == {"table", "lamp"}
    np.testing.assert_allclose(bounds["table"], ((-0.5, -0.3, 0), (0.5, 0.3, 0.8)), atol=1e-5)
    np.testing.assert_allclose(bounds["lamp"], ((2.9, -0.1, 0.4), (3.1, 0.1, 0.6)), atol=1e-5)


def test_up_axis_and_unit_of_the_file_and_of_the_caller(two_boxes):
    np.testing.assert_allclose(read_mesh(two_boxes, up="z").bounds()["lamp"][0], (2.9, 0.4, -0.1), atol=1e-5)
    np.testing.assert_allclose(read_mesh(two_boxes, unit_m=0.01).bounds()["lamp"][1], (0.031, 0.001, 0.006), atol=1e-6)
    gltf_with(two_boxes, lambda document: document["asset"].update(extras={"up_axis": "Z"}))
    np.testing.assert_allclose(read_mesh(two_boxes).bounds()["lamp"][0], (2.9, 0.4, -0.1), atol=1e-5)


def test_a_node_of_several_materials_is_one_object(tmp_path):
    scene = trimesh.Scene()
    body, handle = (coloured(trimesh.creation.box((1, 1, 1)), c).apply_translation((x, 0, 0)) for c, x in ((RED, 0), (BLUE, 1)))
    scene.add_geometry(body, node_name="fridge", geom_name="fridge")
    # What trimesh makes of a glTF node whose mesh has two primitives.
    scene.add_geometry(handle, node_name="fridge_1a2b3c", geom_name="handle", parent_node_name="fridge")
    (tmp_path / "f.glb").write_bytes(scene.export(file_type="glb"))
    assert set(read_mesh(tmp_path / "f.glb").names.values()) == {"fridge"}


def test_no_voxel_of_the_surface_is_missed_and_every_point_lies_on_it(two_boxes):
    mesh = read_mesh(two_boxes)
    memory = Memory(MemoryConfig(voxel_m=0.02))
    fill_from_mesh(memory, MeshView(mesh, Paint.of(mesh)))
    points = memory.points()
    scene = trimesh.load_scene(two_boxes)
    surface = scene.to_mesh()
    some = trimesh.sample.sample_surface(surface, 20000, seed=1)[0] @ upright("y").T
    distance, _ = cKDTree(points.xyz).query(some)
    assert distance.max() < 0.02 * 3**0.5  # the voxel of any point of the surface is there
    beyond = [np.abs(points.xyz - (np.add(low, high)) / 2) - np.subtract(high, low) / 2 for low, high in mesh.bounds().values()]
    assert np.min([np.abs(b.max(1)) for b in beyond], 0).max() < 0.02  # of a box: means over a voxel stay within it
    table = points.label == next(k for k, name in memory.names.items() if name == "table")
    assert np.abs(points.rgb[table] - np.array(RED[:3])).max() <= 1
    assert np.abs(points.rgb[~table] - np.array(BLUE[:3])).max() <= 1
    assert (points.xyz[~table, 0] > 2.8).all()


def test_samples_are_no_farther_apart_than_asked():
    rng = np.random.default_rng(0)
    corners = rng.normal(size=(20, 3, 3))
    corners[0] = [[0, 0, 0], [4, 0, 0], [2, 1e-6, 0]]  # a sliver
    counts = sample_counts(corners, 0.1)
    first = np.cumsum(counts) - counts
    flat = (np.zeros((20, 3, 2)), np.full((20, 3, 3), 255, np.uint8), np.array([[[0, 1, 1]]], np.int64), np.zeros(20, np.int64))
    xyz, _ = sample(corners, *flat, np.zeros(20, np.float32), np.full((1, 3), 255, np.uint8), 0.1, first, int(counts.sum()))
    for f in range(20):
        own = xyz[first[f] : first[f] + counts[f]]
        weights = rng.dirichlet((1, 1, 1), 500)
        distance, _ = cKDTree(own).query(weights @ corners[f])
        assert distance.max() <= 0.1 * 0.8  # half the diagonal of a cell, and a little where rows end at a slanting edge


def test_a_texture_lands_where_it_belongs(tmp_path):
    """A square metre whose upper left quarter is red and the rest white."""
    image = np.full((64, 64, 3), 255, np.uint8)
    image[:32, :32] = (200, 0, 0)
    corners, uv = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float), [[0, 0], [1, 0], [1, 1], [0, 1]]
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.fromarray(image))
    visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    plane = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], visual=visual, process=False)
    (tmp_path / "p.glb").write_bytes(trimesh.Scene(plane).export(file_type="glb"))
    mesh = read_mesh(tmp_path / "p.glb", up="z")
    memory = Memory(MemoryConfig(voxel_m=0.02))
    view = MeshView(mesh, Paint.of(mesh))
    fill_from_mesh(memory, view)
    points = memory.points()
    off = np.abs(points.xyz[:, :2] - 0.5)
    inner = ((off > 0.05) & (off < 0.45)).all(1)  # beside its edges a texture blends, and it repeats
    red = (points.xyz[:, 0] < 0.5) & (points.xyz[:, 1] > 0.5)
    assert np.abs(points.rgb[inner & red].astype(int) - (200, 0, 0)).max() <= 2
    assert np.abs(points.rgb[inner & ~red].astype(int) - 255).max() <= 2
    picture = view.render(Camera.from_fov(64, 64, 2 * np.arctan(0.5)), look_at((0.5, 0.5, 1), (0.5, 0.5, 0), (0, 1, 0)))
    assert np.abs(picture.rgb.astype(int) - image).mean() < 4
    np.testing.assert_allclose(picture.depth[2:-2, 2:-2], 1.0, atol=1e-5)


def test_a_carpet_hides_the_floor_it_lies_on(tmp_path):
    scene = trimesh.Scene()
    scene.add_geometry(coloured(trimesh.creation.box((4, 4, 0.2)).apply_translation((0, 0, -0.1)), RED), node_name="floor")
    scene.add_geometry(coloured(trimesh.creation.box((2, 2, 0.003)).apply_translation((0, 0, 0.0025)), BLUE), node_name="carpet")
    (tmp_path / "c.glb").write_bytes(scene.export(file_type="glb"))
    seeded = seed_mesh(tmp_path / "c.glb", MemoryConfig(voxel_m=0.02), up="z", views=0)
    view = seeded.memory.render(Camera.from_fov(200, 200, 0.6), look_at((0, 0.01, 3), (0, 0, 0), (0, 1, 0)), 0)
    middle = view.rgb[20:-20, 20:-20]
    assert (np.abs(middle.astype(int) - BLUE[:3]).max(-1) < 30).mean() > 0.999
    beside = seeded.memory.render(Camera.from_fov(100, 100, 0.2), look_at((1.6, 0.01, 3), (1.6, 0, 0), (0, 1, 0)), 0)
    assert (np.abs(beside.rgb.astype(int) - RED[:3]).max(-1) < 30).mean() > 0.999


def test_triangles_the_wrong_way_round_lose_nothing(tmp_path):
    plate = trimesh.creation.box((1, 1, 0.003))
    plate.invert()
    (tmp_path / "w.glb").write_bytes(trimesh.Scene(coloured(plate, RED)).export(file_type="glb"))
    mesh = read_mesh(tmp_path / "w.glb", up="z")
    memory = Memory(COARSE)
    fill_from_mesh(memory, MeshView(mesh, Paint.of(mesh)))
    grid = np.stack(np.meshgrid(np.linspace(-0.49, 0.49, 40), np.linspace(-0.49, 0.49, 40)), -1).reshape(-1, 2)
    distance, _ = cKDTree(memory.points().xyz[:, :2]).query(grid)
    assert distance.max() < 0.05 * 2**0.5


def room(tmp_path):
    """A closed room of 6 x 4 x 2.6 m with a crate in it."""
    scene = trimesh.Scene()
    walls = trimesh.creation.box((6, 4, 2.6)).apply_translation((0, 0, 1.3))
    walls.invert()
    scene.add_geometry(coloured(walls, (220, 215, 200, 255)), node_name="walls")
    scene.add_geometry(coloured(trimesh.creation.box((0.8, 0.8, 0.8)).apply_translation((1, 1, 0.4)), BLUE), node_name="crate")
    (tmp_path / "room.glb").write_bytes(scene.export(file_type="glb"))
    return tmp_path / "room.glb"


def test_a_room_is_begun_inside_and_walked_without_touching(tmp_path):
    seeded = seed_mesh(room(tmp_path), COARSE, up="z", views=12)
    low, high = np.array([-3, -2, 0]), np.array([3, 2, 2.6])
    eyes = seeded.recorded.T_world_cam[:, :3, 3]
    for eye in (seeded.T_world_cam[:3, 3], *eyes):
        assert (eye > low + 0.15).all()
        assert (eye < high - 0.15).all()
        assert np.abs(np.clip(eye, (0.6, 0.6, 0), (1.4, 1.4, 0.8)) - eye).max() > 0.15
    assert np.ptp(eyes, axis=0)[:2].min() > 1.0  # it leads through the room
    assert np.linalg.norm(np.diff(eyes, axis=0), axis=1).max() < 0.25
    np.testing.assert_allclose(seeded.recorded.T_world_cam[0], seeded.T_world_cam, atol=1e-12)
    view = seeded.memory.render(seeded.camera, seeded.T_world_cam, 0)
    assert view.coverage.mean() > 0.999
    assert seeded.memory.keyframes.keyframes[0].T_world_cam is seeded.T_world_cam
    assert set(seeded.objects) == {"walls", "crate"}


def test_a_single_object_is_looked_at_from_outside(two_boxes):
    seeded = seed_mesh(two_boxes, COARSE, views=3)
    view = seeded.memory.render(seeded.camera, seeded.T_world_cam, 0)
    assert 0.01 < view.coverage.mean() < 0.6
    assert not view.coverage[[0, -1]].any()
    assert not view.coverage[:, [0, -1]].any()


def test_obj_and_dae_and_stl(tmp_path):
    box = coloured(trimesh.creation.box((1, 2, 3)), RED)
    (tmp_path / "b.stl").write_bytes(box.export(file_type="stl"))
    np.testing.assert_allclose(next(iter(read_mesh(tmp_path / "b.stl").bounds().values()))[1], (0.5, 1, 1.5))
    (tmp_path / "b.obj").write_text("o chair\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\no shelf\nv 5 0 0\nv 6 0 0\nv 5 1 0\nf 4 5 6\n")
    bounds = read_mesh(tmp_path / "b.obj").bounds()
    np.testing.assert_allclose(bounds["shelf"], ((5, 0, 0), (6, 0, 1)), atol=1e-9)  # y is up
    np.testing.assert_allclose(bounds["chair"], ((0, 0, 0), (1, 0, 1)), atol=1e-9)
    dae = trimesh.exchange.dae.export_collada([box]).decode()
    head = '<asset><unit name="centimeter" meter="0.01"/><up_axis>Z_UP</up_axis>'
    start, end = dae.index("<asset"), dae.index("</asset>")
    (tmp_path / "b.dae").write_text(dae[:start] + head + dae[end:])
    ((name, (low, high)),) = read_mesh(tmp_path / "b.dae").bounds().items()
    assert name == "node0"
    np.testing.assert_allclose((low, high), ((-0.005, -0.01, -0.015), (0.005, 0.01, 0.015)), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.glb", b"glTF" + b"\0" * 40, "a.glb"),
        ("a.glb", b"", "a.glb"),
        ("a.obj", b"v 0 0 0\n", "triangles"),
        ("a.obj", b"v 0 0 0\nv nan 0 0\nv 0 1 0\nf 1 2 3\n", "triangles"),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nf 1 2 9\n", "a.obj"),
        ("a.dae", b"<COLLADA>", "a.dae"),
        ("a.txt", b"", "expected one of"),
    ],
)
def test_what_is_no_mesh_is_refused_with_a_sentence(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SpatiaError, match=words):
        read_mesh(tmp_path / name)


def test_a_glb_cut_short_or_changed_never_does_worse_than_be_refused(two_boxes):
    data, rng = two_boxes.read_bytes(), np.random.default_rng(0)
    for k in range(24):
        damaged = bytearray(data[: rng.integers(0, len(data))] if k % 2 else data)
        for at in rng.integers(0, max(len(damaged), 1), 3):
            if len(damaged):
                damaged[at] ^= int(rng.integers(1, 256))
        two_boxes.write_bytes(damaged)
        told = "two.glb"
        try:
            faces = len(read_mesh(two_boxes).faces)
        except SpatiaError as error:
            faces, told = 1, str(error)
        assert faces > 0
        assert "two.glb" in told


def test_the_small_house_object_by_object():
    path = recording("small_house/small_house.glb")
    truth = {o["name"]: o for o in json.loads(path.with_name("small_house.objects.json").read_text())}
    mesh = read_mesh(path)
    bounds = mesh.bounds()
    assert set(bounds) == set(truth)
    for name, o in truth.items():
        np.testing.assert_allclose(bounds[name], (o["min"], o["max"]), atol=6e-4, err_msg=name)
    memory = Memory(MemoryConfig(voxel_m=0.1))
    fill_from_mesh(memory, MeshView(mesh, Paint.of(mesh)))
    points = memory.points()
    for label, name in memory.names.items():
        own = points.xyz[points.label == label]
        # A voxel that two things share takes its name from one and the mean of both: half a voxel, at the rim.
        assert (own >= np.array(truth[name]["min"]) - 0.1).all(), name
        assert (own <= np.array(truth[name]["max"]) + 0.1).all(), name
    assert len(set(points.label.tolist())) > 80  # the smallest things share their voxels with larger ones
