"""PCD files whose headers say what is not so: each is refused with a sentence before Open3D, which dies of some, reads on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spatia_ros.formats.cloud_file import read_pieces
from spatia_ros.formats.pcd_header import check_pcd
from spatia_ros.o3d import o3d
from spatia_ros.types import SpatiaError

HEAD = (
    "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F U\nCOUNT 1 1 1 1\nWIDTH 3\nHEIGHT 1\n"
    "VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 3\nDATA ascii\n"
)
TEXT = HEAD + "0 0 1 4\n\n1 2e-3 3 5\n4 .5 nan 7\n"


def checked(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "a.pcd"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("latin-1"))
    check_pcd(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("\n", "\n"), ("COUNT 1 1 1 1\n", ""), ("VIEWPOINT 0 0 0 1 0 0 0\n", ""), ("WIDTH 3\nHEIGHT 1", "WIDTH 1\nHEIGHT 3"),
        ("SIZE 4 4 4 4", "SIZE 8 8 8 4"), ("# .PCD v0.7\n", "# a\n# b\n"), ("\n", "\r\n"),
    ],
)  # fmt: skip
def test_a_header_that_is_right_is_taken(tmp_path: Path, old: str, new: str) -> None:
    checked(tmp_path, TEXT.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("COUNT 1 1 1 1", "COUNT 1 \xff\xfe 1 1", "COUNT: expected 4 whole numbers"),
        ("COUNT 1 1 1 1", "COUNT 1 1 1 9999999", "COUNT: expected 4 whole numbers of 1..65536"),
        ("COUNT 1 1 1 1", "COUNT 1 1 1 0", "COUNT: expected 4 whole numbers of 1"),
        ("WIDTH 3", "WIDTH 2001-13-993", "WIDTH: expected 1 whole number"),
        ("WIDTH 3", "WIDTH 4", "POINTS: expected WIDTH x HEIGHT, 4, got '3'"),
        ("HEIGHT 1\n", "", "header with HEIGHT"),
        ("FIELDS x y z rgb", "FIELDS x y z", "SIZE: expected 3 whole numbers"),
        ("FIELDS x y z rgb", "FIELDS x y x rgb", "FIELDS: expected 1..256 different names"),
        ("FIELDS x y z rgb", "FIELDS", "FIELDS: expected 1..256 different names"),
        ("SIZE 4 4 4 4", "SIZE 4 4 4 3", "TYPE: expected F, U or I"),
        ("SIZE 4 4 4 4", "SIZE 2 4 4 4", "of a size it has"),
        ("TYPE F F F U", "TYPE F F F", "TYPE: expected F, U or I"),
        ("TYPE F F F U", "TYPE F F F X", "TYPE: expected F, U or I"),
        ("HEIGHT 1\n", "HEIGHT 1\nHEIGHT 1\n", "expected one line HEIGHT, got two"),
        ("DATA ascii", "DATA text", "DATA: expected ascii, binary or binary_compressed, got 'text'"),
        ("DATA ascii\n", "", "ends with DATA"),
        ("1 2e-3 3 5", "1 2 &a [*a] 5", "point 2: expected 4 numbers"),
        ("1 2e-3 3 5", "1 2 3 -", "point 2: expected 4 numbers"),
        ("4 .5 nan 7\n", "", "cut short: expected 3 points, got 2"),
        ("DATA ascii", "DATA binary", "cut short: expected 3 points of 16 bytes"),
        ("DATA ascii", "DATA binary_compressed", "expected compressed points that unpack to 48 bytes"),
    ],
)  # fmt: skip
def test_a_header_that_is_wrong_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in TEXT
    with pytest.raises(SpatiaError, match=words.replace("[", r"\[")):
        checked(tmp_path, TEXT.replace(old, new))


@pytest.mark.parametrize("how", [{}, {"write_ascii": True}, {"compressed": True}])
def test_what_open3d_writes_is_taken_whole_and_refused_in_part(tmp_path: Path, how: dict) -> None:
    points = o3d.t.geometry.PointCloud(o3d.core.Tensor(np.arange(90, dtype=np.float32).reshape(30, 3)))
    o3d.t.io.write_point_cloud(str(tmp_path / "a.pcd"), points, **how)
    assert sum(len(piece.xyz) for piece in read_pieces(tmp_path / "a.pcd")) == 30
    whole = (tmp_path / "a.pcd").read_bytes()
    with pytest.raises(SpatiaError):
        checked(tmp_path, whole[:-12])


def test_compressed_points_are_as_many_as_the_header_says(tmp_path: Path) -> None:
    points = o3d.t.geometry.PointCloud(o3d.core.Tensor(np.arange(90, dtype=np.float32).reshape(30, 3)))
    o3d.t.io.write_point_cloud(str(tmp_path / "a.pcd"), points, compressed=True)
    whole = (tmp_path / "a.pcd").read_bytes()
    for said in (b"29", b"31"):
        with pytest.raises(SpatiaError, match="expected compressed points that unpack to"):
            checked(tmp_path, whole.replace(b"WIDTH 30", b"WIDTH " + said).replace(b"POINTS 30", b"POINTS " + said))
