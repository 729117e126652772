"""The folder services may read and write in: every way out of it is closed, and what is no file is none."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import numpy as np
import pytest

from spatia_ros.actors import Cast, cast_file
from spatia_ros.config import MemoryConfig
from spatia_ros.formats.mesh_file import read_mesh
from spatia_ros.memory import Memory
from spatia_ros.nodes.files import DataFolder
from spatia_ros.record.files import write_text
from spatia_ros.types import SpatiaError

SECRET = "not yours"


@pytest.fixture
def folder(tmp_path):
    """A data folder with every kind of entry; outside lies what must stay as it is."""
    path = tmp_path / "data"
    (path / "walk" / "depth").mkdir(parents=True)
    (path / "in.txt").write_text("inside")
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "database").mkdir()
    (path / "out").symlink_to(tmp_path)
    (path / "link.txt").symlink_to(tmp_path / "secret.txt")
    (path / "good.txt").symlink_to(path / "in.txt")
    (path / "dangling.txt").symlink_to(tmp_path / "nothing.txt")
    (path / "loop").symlink_to(path / "loop")
    (path / "walk" / "depth" / "1.png").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(path / "pipe")
    yield path
    assert (tmp_path / "secret.txt").read_text() == SECRET
    assert not (tmp_path / "nothing.txt").exists()


OUT = [
    "", ".", "..", "/", "../secret.txt", "../data", "in.txt/../../secret.txt", "./../secret.txt", "walk/../../secret.txt",
    "out", "out/secret.txt", "out/data/in.txt/../../../secret.txt", "link.txt", "dangling.txt", "loop", "loop/x",
    "/etc/passwd", "/dev/zero", "/proc/self/mem", "//etc/passwd", "../database/x", "\0", "in.txt\0.spatia",
    "a" * 300, "a/" * 600, "a" * 5000, "pipe", "walk", "\ud800/../../secret.txt",
]  # fmt: skip


@pytest.mark.parametrize("name", OUT)
def test_no_name_leads_out(folder, name):
    with pytest.raises(SpatiaError, match="expected"):
        DataFolder(str(folder)).inside(name)
    with pytest.raises(SpatiaError, match="expected"):
        DataFolder(str(folder)).to_write(name, ".txt")


def test_home_is_not_looked_up(folder):
    assert DataFolder(str(folder)).inside("~/x") == folder / "~" / "x"


@pytest.mark.parametrize("name", ["in.txt", "good.txt", "new.txt", "new/deep/x.txt", "walk/../in.txt", "..a", "é"])
def test_what_is_inside_is_found(folder, name):
    path = DataFolder(str(folder)).inside(name)
    assert path.is_relative_to(folder)
    assert path.resolve() == path, "what was checked is what is opened"


def test_a_name_from_elsewhere_may_be_absolute_when_it_is_inside(folder):
    assert DataFolder(str(folder)).inside(str(folder / "in.txt")) == folder / "in.txt"


def test_a_socket_is_no_file(folder, monkeypatch):
    monkeypatch.chdir(folder)  # a socket's name is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("sock")
        with pytest.raises(SpatiaError, match="device, pipe or socket"):
            DataFolder(str(folder)).inside("sock")


def test_only_files_of_their_kind_are_written_over(folder):
    files = DataFolder(str(folder))
    assert files.to_write("new.txt", ".txt") == folder / "new.txt"
    for name in ("in.txt", "new.py", "walk"):
        with pytest.raises(SpatiaError, match="expected"):
            files.to_write(name, ".spatia")


def test_a_folder_linked_from_elsewhere_is_where_it_leads(tmp_path, folder):
    (tmp_path / "alias").symlink_to(folder)
    assert DataFolder(str(tmp_path / "alias")).inside("in.txt") == folder / "in.txt"


@pytest.mark.parametrize("write", ["memory", "ply", "cast", "text"])
def test_what_is_written_beside_is_not_written_through_a_link(tmp_path, write):
    """Who guesses the name of a temporary file must not have somebody else's file written."""
    victim, target = tmp_path / "victim", tmp_path / "data" / "new.out"
    victim.write_text(SECRET)
    target.parent.mkdir()
    for name in (f"new.out.{os.getpid()}.partial", f".new.out.{os.getpid()}", f".new.{os.getpid()}.out"):
        (target.parent / name).symlink_to(victim)
    memory = Memory(MemoryConfig())
    writers = {
        "memory": lambda: memory.save(target), "ply": lambda: memory.export_ply(target),
        "cast": lambda: cast_file.save(Cast(), target), "text": lambda: write_text(target, "new"),
    }  # fmt: skip
    writers[write]()
    assert target.is_file()
    assert victim.read_text() == SECRET
    assert not target.is_symlink()


@pytest.mark.parametrize("texture", ["pipe.png", "../secret.png", "/etc/passwd", "link.png"])
def test_a_mesh_brings_along_only_what_lies_beside_it(tmp_path, texture):
    """A pipe would be read for ever; a picture from outside would be shown."""
    import cv2

    folder = tmp_path / "in"
    folder.mkdir()
    green = np.zeros((2, 2, 3), np.uint8)
    green[..., 1] = 200
    for name in ("secret.png", "in/beside.png"):
        cv2.imwrite(str(tmp_path / name), green)
    os.mkfifo(folder / "pipe.png")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "a.obj").write_text("mtllib a.mtl\no a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nusemtl m\nf 1/1 2/1 3/1\n")
    shown = {}
    for name in (texture, "beside.png"):
        (folder / "a.mtl").write_text(f"newmtl m\nKd 1 0 0\nmap_Kd {name}\n")
        shown[name] = read_mesh(folder / "a.obj").textures[0].shape[:2]
    assert shown == {texture: (1, 1), "beside.png": (2, 2)}


@pytest.mark.parametrize(
    "head", ["<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>", "<!DOCTYPE lolz [<!ENTITY a 'aaa'>]>"]
)
def test_a_document_with_entities_is_not_parsed(tmp_path, head):
    (tmp_path / "a.dae").write_text(f"{head}<COLLADA/>")
    with pytest.raises(SpatiaError, match="document type"):
        read_mesh(tmp_path / "a.dae")
    (tmp_path / "a.dae").write_bytes(f"<?xml version='1.0' encoding='utf-16'?>{head}<COLLADA/>".encode("utf-16"))
    with pytest.raises(SpatiaError, match="another encoding"):
        read_mesh(tmp_path / "a.dae")


def test_nothing_outside_was_there_by_accident(folder):
    assert (Path(folder) / "link.txt").read_text() == SECRET, "the links of the fixture do lead out"
