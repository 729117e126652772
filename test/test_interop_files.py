"""Our files in other people's programs, and theirs in ours: clouds and meshes by Open3D and trimesh, paths by evo."""

import numpy as np
import pytest

from spatia_ros.cli import main
from spatia_ros.config import MemoryConfig
from spatia_ros.evaluate.trajectory import path_error
from spatia_ros.formats.cloud_file import read_pieces
from spatia_ros.formats.mesh_file import read_mesh
from spatia_ros.memory import Memory, Points
from spatia_ros.record.poses import write_poses
from spatia_ros.types import Trajectory

COUNT = 200
# Centres of voxels, so that a memory gives back what it is given.
CELLS = np.random.default_rng(3).permutation(20**3)[:COUNT]
XYZ = ((np.stack(np.unravel_index(CELLS, (20, 20, 20)), -1) - 10 + 0.5) * 0.1).astype(np.float32)
RGB = np.random.default_rng(4).integers(0, 256, (COUNT, 3), np.uint8)
Z_UP_IN_GLTF = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)


def ordered(xyz, rgb):
    """Points in an order that does not depend on who wrote them."""
    xyz, rgb = np.asarray(xyz, np.float64), np.asarray(rgb)
    order = np.lexsort(np.round(xyz, 3).T)
    return xyz[order], rgb[order][:, :3]


def check_same(xyz, rgb, expected=XYZ):
    (xyz, rgb), (other, colours) = ordered(xyz, rgb), ordered(expected, RGB)
    np.testing.assert_allclose(xyz, other, atol=1e-3)
    np.testing.assert_array_equal(rgb, colours)


@pytest.fixture(scope="module")
def o3d():
    from spatia_ros.o3d import o3d

    return o3d


@pytest.fixture(scope="module")
def trimesh():
    import trimesh

    return trimesh


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A memory of known points, exported by the command."""
    folder = tmp_path_factory.mktemp("exported")
    memory = Memory(MemoryConfig(voxel_m=0.1))
    memory.add_points(Points.measured(XYZ, RGB))
    memory.save(folder / "m.spatia")
    for kind in ("ply", "pcd", "glb"):
        assert main(["memory", "export", str(folder / "m.spatia"), str(folder / f"m.{kind}")]) == 0
    return folder


@pytest.mark.parametrize("kind", ["ply", "pcd"])
def test_open3d_reads_our_clouds(exported, o3d, kind):
    cloud = o3d.t.io.read_point_cloud(str(exported / f"m.{kind}")).point
    check_same(cloud["positions"].numpy(), cloud["colors"].numpy())
    classic = o3d.io.read_point_cloud(str(exported / f"m.{kind}"))
    check_same(np.asarray(classic.points), np.round(np.asarray(classic.colors) * 255).astype(np.uint8))


def test_trimesh_reads_our_ply(exported, trimesh):
    cloud = trimesh.load(exported / "m.ply")
    check_same(cloud.vertices, cloud.colors)


def test_trimesh_reads_our_glb_with_y_up(exported, trimesh):
    (cloud,) = trimesh.load_scene(exported / "m.glb").dump()
    check_same(cloud.vertices, cloud.colors, XYZ @ Z_UP_IN_GLTF.T)


def test_a_memory_whose_up_is_y_is_not_turned(exported, trimesh):
    assert main(["memory", "export", str(exported / "m.spatia"), str(exported / "y.glb"), "--up", "y"]) == 0
    (cloud,) = trimesh.load_scene(exported / "y.glb").dump()
    check_same(cloud.vertices, cloud.colors)


def test_another_ending_is_refused(exported, capsys):
    assert main(["memory", "export", str(exported / "m.spatia"), str(exported / "m.xyz")]) == 2
    assert ".ply, .pcd or .glb" in capsys.readouterr().err
    assert not (exported / "m.xyz").exists()


def ours(path):
    pieces = list(read_pieces(path))
    return np.concatenate([p.xyz for p in pieces]), np.concatenate([p.rgb for p in pieces])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.ply", {}),
        ("a.ply", {"write_ascii": True}),
        ("a.pcd", {}),
        ("a.pcd", {"write_ascii": True}),
        ("a.pcd", {"compressed": True}),
    ],
)
def test_we_read_what_open3d_writes(o3d, tmp_path, name, options):
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(XYZ.astype(np.float64)))
    cloud.colors = o3d.utility.Vector3dVector(RGB / 255.0)
    assert o3d.io.write_point_cloud(str(tmp_path / name), cloud, **options)
    check_same(*ours(tmp_path / name))


@pytest.mark.parametrize("encoding", ["binary", "ascii"])
def test_we_read_what_trimesh_writes(trimesh, tmp_path, encoding):
    cloud = trimesh.PointCloud(XYZ, np.concatenate([RGB, np.full((COUNT, 1), 255, np.uint8)], 1))
    (tmp_path / "a.ply").write_bytes(trimesh.exchange.ply.export_ply(cloud, encoding=encoding))
    check_same(*ours(tmp_path / "a.ply"))


def test_we_read_the_pcd_we_write(exported):
    check_same(*ours(exported / "m.pcd"))


@pytest.mark.parametrize(
    ("by", "kind"), [("trimesh", "glb"), ("open3d", "glb"), ("open3d", "ply"), ("trimesh", "ply"), ("open3d", "obj")]
)
def test_we_read_meshes_that_others_write(o3d, trimesh, tmp_path, by, kind):
    path = tmp_path / f"box.{kind}"
    if by == "trimesh":
        trimesh.creation.box((1.0, 2.0, 3.0)).export(path)
    else:
        box = o3d.geometry.TriangleMesh.create_box(1.0, 2.0, 3.0).translate((-0.5, -1.0, -1.5))
        assert o3d.io.write_triangle_mesh(str(path), box)
    mesh = read_mesh(path, up="z")
    corners = np.array([mesh.vertices.min(0), mesh.vertices.max(0)])
    np.testing.assert_allclose(corners, [[-0.5, -1.0, -1.5], [0.5, 1.0, 1.5]], atol=1e-6)
    assert len(mesh.faces) == 12


@pytest.fixture
def paths(tmp_path):
    """A path along a curve, and what an estimator with noise made of it, as files of ours."""
    rng, n = np.random.default_rng(0), 50
    T = np.tile(np.eye(4), (n, 1, 1))
    t = np.linspace(0, 3, n)
    T[:, :3, 3] = np.stack([np.cos(t), np.sin(t), 0.3 * t], -1)
    stamps_ns = (1_700_000_000 * 10**9 + np.arange(n) * 10**8).astype(np.int64)
    truth = Trajectory(stamps_ns, T)
    moved = T.copy()
    moved[:, :3, 3] += rng.normal(0, 0.02, (n, 3)) + (5.0, -3.0, 1.0)
    estimate = Trajectory(stamps_ns, moved)
    write_poses(tmp_path / "truth.txt", truth)
    write_poses(tmp_path / "estimate.txt", estimate)
    return tmp_path, truth, estimate


def test_evo_reads_our_paths_and_computes_our_error(paths):
    from evo import main_ape, main_rpe
    from evo.core.metrics import PoseRelation, Unit
    from evo.core.sync import associate_trajectories
    from evo.tools.file_interface import read_tum_trajectory_file

    folder, truth, estimate = paths
    pair = [read_tum_trajectory_file(str(folder / f"{name}.txt")) for name in ("truth", "estimate")]
    np.testing.assert_allclose(pair[0].positions_xyz, truth.T_world_cam[:, :3, 3], atol=1e-6)
    pair = associate_trajectories(*pair)
    ape = main_ape.ape(*pair, pose_relation=PoseRelation.translation_part, align=True)
    rpe = main_rpe.rpe(*pair, pose_relation=PoseRelation.translation_part, delta=1, delta_unit=Unit.frames)
    error = path_error(estimate, truth)
    assert ape.stats["rmse"] == pytest.approx(error.ate_rmse_m, rel=1e-4)
    assert rpe.stats["rmse"] == pytest.approx(error.rpe_trans_m, rel=1e-4)
    assert 0.01 < error.ate_rmse_m < 0.06


def test_we_read_paths_that_evo_writes(paths):
    from evo.tools.file_interface import read_tum_trajectory_file, write_tum_trajectory_file

    from spatia_ros.sequence.w2c import read_camera_path

    folder, truth, _ = paths
    write_tum_trajectory_file(str(folder / "evo.txt"), read_tum_trajectory_file(str(folder / "truth.txt")))
    read = read_camera_path(folder / "evo.txt", 10.0)
    np.testing.assert_allclose(read.T_world_cam, truth.T_world_cam, atol=1e-6)
    assert np.abs(read.stamps_ns - truth.stamps_ns).max() < 1000
