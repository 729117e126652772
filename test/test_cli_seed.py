"""``spatia seed``, and flights in what it makes."""

import json

import numpy as np
import pytest
import trimesh
from PIL import Image

from spatia_ros.cli import main
from spatia_ros.memory import Memory


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    """A closed room of 5 x 4 x 2.6 m with a crate in it."""
    scene, path = trimesh.Scene(), tmp_path_factory.mktemp("mesh") / "room.glb"
    walls = trimesh.creation.box((5, 4, 2.6)).apply_translation((0, 0, 1.3))
    walls.invert()
    for name, part, colour in (
        ("walls", walls, (220, 215, 200, 255)),
        ("crate", trimesh.creation.box((0.8, 0.8, 0.8)).apply_translation((1, 1, 0.4)), (30, 40, 210, 255)),
    ):
        colours = np.tile(np.array(colour, np.uint8), (len(part.vertices), 1))
        part.visual = trimesh.visual.ColorVisuals(part, vertex_colors=colours)
        scene.add_geometry(part, node_name=name)
    path.write_bytes(scene.export(file_type="glb"))
    return path


@pytest.fixture(scope="module")
def seeded(room, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "room.spatia"
    words = [str(room), "--up", "z", "--views", "8", "--set", "memory.voxel_m=0.05"]
    assert main(["seed", *words, "--out", str(out), "--json", str(out.with_suffix(".json"))]) == 0
    return out


def test_leaves_a_memory_a_picture_and_figures(seeded):
    figures = json.loads(seeded.with_suffix(".json").read_text())
    memory = Memory.load(seeded)
    assert figures["points"] == len(memory) > 10_000
    assert figures["kind"] == "mesh"
    assert sorted(memory.names.values()) == sorted(figures["object_bounds_m"]) == ["crate", "walls"]
    np.testing.assert_allclose(figures["object_bounds_m"]["crate"], [[0.6, 0.6, 0], [1.4, 1.4, 0.8]], atol=1e-5)
    picture = np.asarray(Image.open(seeded.with_suffix(".png")))
    assert picture.shape[1] > 1.5 * picture.shape[0]
    assert picture.std() > 20


def test_lists_objects_by_name(room, tmp_path, capsys):
    words = ["--up", "z", "--views", "0", "--no-picture", "--objects", "--set", "memory.voxel_m=0.1"]
    assert main(["seed", str(room), "--out", str(tmp_path / "o.spatia"), *words]) == 0
    assert "(0.60, 0.60, 0.00) to (1.40, 1.40, 0.80) m" in capsys.readouterr().out
    assert not (tmp_path / "o.png").exists()


@pytest.mark.parametrize("of", ["memory", "place"])
def test_a_flight_in_it_begins_at_the_start_and_stays_inside(of, room, seeded, tmp_path):
    where = ["--memory", str(seeded)] if of == "memory" else ["--place", str(room), "--set", "memory.voxel_m=0.05"]
    small = ["--set", "camera.width_px=64", "--set", "camera.height_px=40", "--set", "generator.name=projection"]
    kind = "out-and-back" if of == "memory" else "recorded"
    out = ["--frames", "12", "--trajectory", kind, "--no-video", "--out", str(tmp_path / "run")]
    assert main(["run", *where, *small, *out]) == 0
    figures = json.loads((tmp_path / "run" / "figures.json").read_text())
    assert figures["frames"] == 12
    assert figures["seen_share"] > 0.98


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing.glb"], "does not exist"),
        (["photo.png"], "camera's height or a known distance"),
        (["photo.png", "--known-distance", "3,4"], "expected U,V,M"),
        (["photo.png", "--depth-model", "nowhere"], "config.json"),
        (["photo.png", "--kind", "film"], "frames, cloud, mesh, photo"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (80, 60), (90, 80, 70)).save("photo.png")
    assert main(["seed", *words, "--set", "generator.name=projection"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
