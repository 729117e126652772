"""Targets that read clouds, meshes and pictures, and valid ones of each kind."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from file_target import FileTarget

from spatia_ros.actors import from_file
from spatia_ros.formats import cloud_file, mesh_file
from spatia_ros.seed import photo
from spatia_ros.sequence.image_file import decode_depth, decode_rgb

PLY = (
    b"ply\nformat binary_little_endian 1.0\ncomment a\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
    b"property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n" + bytes(range(60))
)
TEXT_PLY = (
    b"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nelement face 1\n"
    b"property list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
)
PLY_WORDS = (
    b"element face 1",
    b"property list uchar int a",
    b"double",
    b"uint",
    b"format ascii 1.0",
    b"end_header\n",
    b"property float f_dc_0",
    b"4294967295",
)
PCD = (
    b"# .PCD v0.7\nVERSION 0.7\nFIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F U\nCOUNT 1 1 1 1\nWIDTH 3\nHEIGHT 1\n"
    b"VIEWPOINT 0 0 0 1 0 0 0\nPOINTS 3\nDATA %s\n"
)
PCDS = (PCD % b"binary" + bytes(range(48)), PCD % b"ascii" + b"0 0 1 4\n1 2 3 5\n4 5 6 7\n")
PCD_WORDS = (
    b"binary_compressed",
    b"ascii",
    b"binary",
    b"COUNT 1 1 1 9999999",
    b"SIZE 8",
    b"POINTS 3",
    b"WIDTH",
    b"FIELDS",
    b"TYPE U",
)
OBJ = b"mtllib a.mtl\no a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvn 0 0 1\nusemtl m\nf 1/1/1 2/1/1 3/1/1\nf -3 -2 -1\n"
STL = bytes(80) + (1).to_bytes(4, "little") + np.array([0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0], "<f4").tobytes() + bytes(2)


def picture(kind: str, wide: bool = False) -> bytes:
    """A PNG or JPEG of 24 x 16 px, 16 bits and grey when ``wide``."""
    image = (
        np.arange(24 * 16, dtype=np.uint16).reshape(16, 24)
        if wide
        else np.random.default_rng(0).integers(0, 255, (16, 24, 3), np.uint8)
    )
    return cv2.imencode(kind, image)[1].tobytes()


def models() -> Iterator[FileTarget]:
    """Clouds, meshes and pictures."""
    import trimesh

    pieces = lambda p: list(cloud_file.read_pieces(p))  # noqa: E731
    yield FileTarget("cloud_ply", "a.ply", [PLY, TEXT_PLY], pieces, words=PLY_WORDS)
    yield FileTarget("cloud_pcd", "a.pcd", PCDS, pieces, words=PCD_WORDS)
    yield FileTarget("cloud_las", "a.las", [_las("las")], pieces)
    yield FileTarget("cloud_laz", "a.laz", [_las("laz"), _las("laz", 7, "1.4")], pieces)
    box = trimesh.creation.box()
    glb, dae = trimesh.Scene(box).export(file_type="glb"), trimesh.exchange.dae.export_collada(box)
    gltf = _gltf(glb)
    yield FileTarget(
        "mesh_obj",
        "a.obj",
        [OBJ],
        mesh_file.read_mesh,
        words=[b"f 1 2 99999999", b"mtllib ../../x", b"usemtl", b"l 1 2", b"o a", b"vt nan 0"],
    )
    yield FileTarget(
        "mesh_glb",
        "a.glb",
        [glb],
        mesh_file.read_mesh,
        words=[b'"uri":"../../../etc/passwd"', b'"byteLength":4294967295', b'"count":1000000000'],
    )
    yield FileTarget("mesh_gltf", "a.gltf", [json.dumps(gltf).encode()], mesh_file.read_mesh, tree=gltf)
    yield FileTarget(
        "mesh_dae",
        "a.dae",
        [dae],
        mesh_file.read_mesh,
        words=[b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]>", b"<up_axis>", b'count="99999999"', b"<unit meter='0'/>"],
    )
    yield FileTarget("mesh_ply", "m.ply", [TEXT_PLY], mesh_file.read_mesh, words=PLY_WORDS)
    yield FileTarget(
        "mesh_stl",
        "a.stl",
        [
            STL,
            b"solid a\nfacet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 1 0 0\nvertex 0 1 0\nendloop\nendfacet\nendsolid\n",
        ],
        mesh_file.read_mesh,
    )
    yield FileTarget(
        "actor_obj", "a.obj", [OBJ.replace(b"mtllib a.mtl\n", b"")], lambda p: from_file.shape_from_file(p, spacing_m=0.2)
    )
    rgb = lambda p: decode_rgb(p.read_bytes(), p.name, 24, 16)  # noqa: E731
    yield FileTarget("image_png", "a.png", [picture(".png")], rgb)
    yield FileTarget("image_jpg", "a.jpg", [picture(".jpg")], rgb)
    yield FileTarget("image_depth", "d.png", [picture(".png", True)], lambda p: decode_depth(p.read_bytes(), p.name, 24, 16))
    big = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8))[1].tobytes()
    yield FileTarget("photo", "p.jpg", [big], lambda p: photo.read_photo(p, 1.0))


def _gltf(glb: bytes) -> dict[str, Any]:
    """The document of a .glb with its data in it."""
    end = 20 + int.from_bytes(glb[12:16], "little")
    document = json.loads(glb[20:end])
    document["buffers"][0]["uri"] = "data:application/octet-stream;base64," + base64.b64encode(glb[end + 8 :]).decode()
    return document


def _las(kind: str, points: int = 3, version: str = "1.2") -> bytes:
    import laspy

    las = laspy.create(point_format=points, file_version=version)
    las.x, las.y, las.z = (np.arange(5.0) * k for k in (1, 2, 3))
    data = io.BytesIO()
    las.write(data, do_compress=kind == "laz")
    return data.getvalue()
