"""Point clouds as seeds: the points that are in the file, where they are, with the colours they have."""

import laspy
import numpy as np
import pytest
import trimesh
from recordings import recording

from spatia_ros.config import MemoryConfig, WorldConfig
from spatia_ros.formats.cloud_file import Piece, piece_of_fields, read_pieces
from spatia_ros.memory import Memory
from spatia_ros.o3d import o3d
from spatia_ros.seed import KINDS, SeedOptions, kind_of, open_place
from spatia_ros.seed.cloud import seed_cloud, seed_pieces, spacing_of
from spatia_ros.types import SpatiaError

CONFIG = MemoryConfig(voxel_m=0.02)


@pytest.fixture(scope="module")
def cloud():
    """A floor and a wall, a point every 2 cm: red where x > 0, green elsewhere."""
    side = (np.arange(100) - 49.5) * 0.02
    floor = np.stack(np.meshgrid(side, side, [0.01]), -1).reshape(-1, 3)
    wall = np.stack(np.meshgrid(side, [1.01], side + 1), -1).reshape(-1, 3)
    xyz = np.concatenate([floor, wall])
    return xyz, np.where(xyz[:, :1] > 0, (220, 20, 20), (20, 200, 40)).astype(np.uint8)


def write_pcd(path, xyz, rgb, **how):
    points = o3d.t.geometry.PointCloud(o3d.core.Tensor(xyz))
    points.point.colors = o3d.core.Tensor(rgb)
    o3d.t.io.write_point_cloud(str(path), points, **how)


def write_las(path, xyz, rgb=None, bits=16, **columns):
    header = laspy.LasHeader(point_format=3 if rgb is not None else 0, version="1.2")
    header.scales, header.offsets = [0.001] * 3, np.floor(xyz.min(0))
    las = laspy.LasData(header)
    las.x, las.y, las.z = xyz.T
    if rgb is not None:
        las.red, las.green, las.blue = (rgb.astype(np.uint16) << (8 if bits == 16 else 0)).T
    for name, values in columns.items():
        setattr(las, name, values)
    las.write(path)


WRITERS = {
    "ascii.ply": lambda p, xyz, rgb: trimesh.PointCloud(xyz, rgb).export(p, encoding="ascii"),
    "binary.ply": lambda p, xyz, rgb: trimesh.PointCloud(xyz, rgb).export(p),
    "ascii.pcd": lambda p, xyz, rgb: write_pcd(p, xyz.astype(np.float32), rgb, write_ascii=True),
    "binary.pcd": lambda p, xyz, rgb: write_pcd(p, xyz.astype(np.float32), rgb),
    "packed.pcd": lambda p, xyz, rgb: write_pcd(p, xyz.astype(np.float32), rgb, compressed=True),
    "16 bit.las": write_las,
    "8 bit.las": lambda p, xyz, rgb: write_las(p, xyz, rgb, 8),
    "packed.laz": write_las,
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_gives_the_same_points_and_colours(tmp_path, cloud, name):
    WRITERS[name](tmp_path / name, *cloud)
    (piece,) = read_pieces(tmp_path / name)
    np.testing.assert_allclose(piece.xyz, cloud[0], atol=1e-3)
    assert piece.rgb is not None
    assert np.abs(piece.rgb.astype(int) - cloud[1]).max() <= 1


def test_a_place_of_it(tmp_path, cloud):
    write_las(tmp_path / "room.laz", *cloud)
    place = open_place(tmp_path / "room.laz", WorldConfig(memory=CONFIG), SeedOptions(finest=True))
    points = place.memory.points()
    assert len(points.xyz) == len(cloud[0])  # one a voxel
    assert (points.rgb[points.xyz[:, 0] > 0.01] == (220, 20, 20)).all()
    view = place.memory.render(place.camera, place.T_world_cam, 0)
    assert view.coverage.mean() > 0.2
    assert place.memory.keyframes.keyframes[0].stamp_ns == 0
    place.memory.save(tmp_path / "room.spatia")
    assert len(Memory.load(tmp_path / "room.spatia")) == len(points.xyz)


def test_far_from_zero_millimetres_are_kept(tmp_path, cloud):
    far = np.array([431_234.0, 5_412_345.0, 567.0])
    write_las(tmp_path / "utm.las", cloud[0] + far, cloud[1])
    place = seed_cloud(tmp_path / "utm.las", CONFIG, finest=True)
    xyz = place.memory.points().xyz
    assert np.abs(xyz).max() < 3
    np.testing.assert_allclose(np.sort(xyz[:, 0] + place.origin_m[0]), np.sort(cloud[0][:, 0] + far[0]), atol=1.5e-3)
    assert any("431234" in sentence for sentence in place.story)


def test_points_that_are_no_numbers_are_left_out_and_counted(cloud):
    xyz = cloud[0].copy()
    xyz[::10] = np.nan
    xyz[5, 1] = np.inf
    place = seed_pieces([Piece(xyz, cloud[1], None, None)], "x", CONFIG, finest=True)
    assert place.figures["not_finite"] == 2001
    assert len(place.memory) == len(xyz) - 2001


def test_without_colours_grey_is_intensity_or_else_height(tmp_path, cloud):
    xyz = cloud[0]
    write_las(tmp_path / "i.las", xyz, intensity=np.where(xyz[:, 0] > 0, 60000, 100).astype(np.uint16))
    place = seed_cloud(tmp_path / "i.las", CONFIG)
    points = place.memory.points()
    assert points.rgb[points.xyz[:, 0] > 0.01].min() > 200 > 60 > points.rgb[points.xyz[:, 0] < -0.01].max()
    assert any("intensity" in sentence for sentence in place.story)
    points = seed_pieces([Piece(xyz, None, None, None)], "x", CONFIG).memory.points()
    assert points.rgb[points.xyz[:, 2] > 1.9].min() > 200 > 60 > points.rgb[points.xyz[:, 2] < 0.1].max()


def test_classes_of_a_survey_become_names(tmp_path, cloud):
    write_las(tmp_path / "c.las", *cloud, classification=np.where(cloud[0][:, 1] > 1, 6, 2).astype(np.uint8))
    memory = seed_cloud(tmp_path / "c.las", CONFIG).memory
    assert memory.names == {2: "ground", 6: "building"}
    points = memory.points()
    assert (points.label[points.xyz[:, 1] > 1] == 6).all()


def test_many_pieces_are_one_cloud(tmp_path, cloud, monkeypatch):
    monkeypatch.setattr("spatia_ros.formats.cloud_file.PIECE_POINTS", 999)
    write_las(tmp_path / "p.laz", *cloud)
    assert len(list(read_pieces(tmp_path / "p.laz"))) == 21
    assert len(seed_cloud(tmp_path / "p.laz", CONFIG, finest=True).memory) == len(cloud[0])


def test_voxels_grow_to_a_sparse_cloud_unless_told_otherwise(cloud):
    sparse = Piece(cloud[0] * 10, cloud[1], None, None)  # a point every 20 cm
    assert spacing_of(sparse.xyz) == pytest.approx(0.2 * 2**0.5, rel=0.01)
    assert seed_pieces([sparse], "x", CONFIG).memory.config.voxel_m == pytest.approx(0.283, rel=0.01)
    assert seed_pieces([sparse], "x", CONFIG, finest=True).memory.config.voxel_m == CONFIG.voxel_m


def test_up_and_unit(cloud):
    place = seed_pieces([Piece(cloud[0] * 1000, cloud[1], None, None)], "x", CONFIG, up="y", unit_m=0.001)
    low, high = place.memory.points().xyz.min(0), place.memory.points().xyz.max(0)
    np.testing.assert_allclose(high - low, (1.98, 1.99, 2.0), atol=0.02)  # what was y is up


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({n: np.array([v], np.float32) for n, v in zip(("r", "g", "b"), (1.0, 0.5, 0.0), strict=True)}, (255, 128, 0)),
        ({"rgb": np.array([0x00FF8001], np.uint32).view(np.float32)}, (255, 128, 1)),
        ({"rgba": np.array([0xFFFF8001], np.uint32)}, (255, 128, 1)),
        ({f"f_dc_{k}": np.array([v], np.float32) for k, v in enumerate((0.0, 1.0, -9.0))}, (128, 199, 0)),
        ({n: np.array([v], np.uint16) for n, v in zip(("red", "green", "blue"), (65535, 32768, 0), strict=True)}, (255, 128, 0)),
    ],
)
def test_colours_by_any_name(fields, expected):
    at = {axis: np.zeros(1, np.float32) for axis in "xyz"}
    assert piece_of_fields(at | fields, "x").rgb.tolist() == [list(expected)]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nend_header\n1\n2\n", "a.ply"),
        ("a.ply", b"", "a.ply"),
        ("a.pcd", b"VERSION 0.7\n", "ends with DATA"),
        ("a.pcd", b"VERSION 0.7\nFIELDS x y z\nPOINTS 99999999999\nDATA binary\n", "header with SIZE"),
        ("a.las", b"LASF" + b"\0" * 400, "a.las"),
        ("a.las", b"LASF" + b"\0" * 92 + b"\xff" * 4 + b"\0" * 300, "points within its 400 bytes, got 4294967295"),
        ("a.las", b"LASF" + b"\0" * 96 + b"\xff" * 4 + b"\0" * 300, "expected records within"),
        ("a.las", b"PK" + b"\0" * 400, "expected a LAS header"),
        ("a.xyz", b"0 0 0", "expected one of"),
    ],
)
def test_what_is_no_cloud_is_refused_with_a_sentence(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SpatiaError, match=words):
        list(read_pieces(tmp_path / name))


@pytest.mark.parametrize("name", ["ascii.ply", "binary.ply", "ascii.pcd", "binary.pcd"])
def test_half_a_cloud_is_no_cloud(tmp_path, cloud, name):
    path = tmp_path / name
    WRITERS[name](path, cloud[0][:400], cloud[1][:400])
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[: len(lines) // 2]) if "ascii" in name else data[: len(data) // 2])
    with pytest.raises(SpatiaError, match=name):
        list(read_pieces(path))


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_cut_short_or_changed_never_does_worse_than_be_refused(tmp_path, cloud, name):
    path, rng = tmp_path / name, np.random.default_rng(len(name))
    WRITERS[name](path, cloud[0][:300], cloud[1][:300])
    data = path.read_bytes()
    for k in range(25):
        damaged = bytearray(data[: rng.integers(0, len(data))] if k % 2 else data)
        for at in rng.integers(0, max(len(damaged), 1), 3):
            if len(damaged):
                damaged[at] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        told = name
        try:
            columns = {piece.xyz.shape[1] for piece in read_pieces(path)}
        except SpatiaError as error:
            columns, told = {3}, str(error)
        assert columns == {3}
        assert name in told


def test_what_a_path_can_be(tmp_path, cloud):
    trimesh.creation.box().export(tmp_path / "mesh.ply")
    trimesh.PointCloud(*cloud).export(tmp_path / "points.ply")
    for name in ("a.glb", "a.pcd", "a.jpg", "a.mcap", "a.doc"):
        (tmp_path / name).touch()
    names = ("mesh.ply", "points.ply", "a.glb", "a.pcd", "a.jpg", "a.mcap", ".")
    assert [kind_of(tmp_path / n) for n in names] == ["mesh", "cloud", "mesh", "cloud", "photo", "frames", "frames"]
    with pytest.raises(SpatiaError, match=r"\.laz"):
        kind_of(tmp_path / "a.doc")
    with pytest.raises(SpatiaError, match=", ".join(KINDS)):
        open_place(tmp_path / "a.glb", WorldConfig(memory=CONFIG), SeedOptions(kind="video"))


def test_the_garden(tmp_path):
    garden = np.load(recording("garden_points/test_garden.npz"), allow_pickle=False)
    trimesh.PointCloud(garden["means3d"], garden["colors"]).export(tmp_path / "garden.ply")
    place = seed_cloud(tmp_path / "garden.ply", MemoryConfig())
    assert place.figures["read"] == 138_766
    assert 0.005 < place.memory.config.voxel_m < 0.1
    assert place.memory.render(place.camera, place.T_world_cam, 0).coverage.mean() > 0.25
