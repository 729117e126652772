"""The cameras of a robot, from its URDF: sensors of type camera, and links named ``*_optical_frame``.

Read are links, fixed joints, ``<gazebo reference><sensor type="camera">`` and ``<sensor><camera>`` of URDF itself. A document
type (which is where entities come from) is refused, and nothing outside the file is ever fetched. xacro is not evaluated.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.nodes.convert import T_LINK_OPTICAL
from spatia_ros.rig import Lens, RigCamera
from spatia_ros.types import Camera, Float64, SpatiaError

MAX_DEPTH = 64
SENSORS = ("camera", "depth", "depth_camera", "rgbd", "rgbd_camera")
OPTICAL = re.compile(r"(?P<name>.+?)(_color)?_optical(_frame|_link)")


class _Joint(NamedTuple):
    parent: str
    name: str
    kind: str
    T_parent_child: Float64


class _Robot:
    """The tree of links."""

    def __init__(self, path: Path, root: Element) -> None:
        self.path = path
        self.links = [_attribute(path, link, "name") for link in root.findall("link")]
        self._above: dict[str, _Joint] = {}
        for joint in root.findall("joint"):
            parent, child = (_attribute(path, _one(path, joint, tag), "link") for tag in ("parent", "child"))
            kind, name = joint.get("type", ""), joint.get("name", "")
            if child in self._above:
                raise SpatiaError(f"{path}: expected one joint above each link, {child} has {self._above[child].name} and {name}")
            self._above[child] = _Joint(parent, name, kind, _origin(path, joint.find("origin")))

    def below(self, link: str) -> list[str]:
        """Links right below a link, in the file's order."""
        return [name for name in self.links if name in self._above and self._above[name].parent == link]

    def pose(self, base: str, link: str) -> Float64:
        """``T_base_link`` along fixed joints."""
        T, at = np.eye(4), link
        for _ in range(len(self._above) + 1):
            if at == base:
                return T
            joint = self._above.get(at)
            if joint is None:
                raise SpatiaError(f"{self.path}: expected {base} above {link}, got a tree that begins at {at} (set frames.base)")
            if joint.kind != "fixed":
                got = f"{joint.kind} joint {joint.name}"
                raise SpatiaError(f"{self.path}: expected fixed joints from {base} to {link}, got {got}")
            T, at = joint.T_parent_child @ T, joint.parent
        raise SpatiaError(f"{self.path}: expected a tree of links, {link} is above itself")


def read_urdf(path: Path, base: str, usual: Camera, most_bytes: int) -> tuple[RigCamera, ...]:
    """The cameras of a URDF, sensors first, each in the file's order.

    Args:
        base: the link that commands move. usual: what an optical frame without a sensor is taken for.

    Raises:
        SpatiaError: naming the file, what was expected in it, and what came.
    """
    root = parsed(path, most_bytes)
    if root.tag != "robot":
        raise SpatiaError(f"{path}: expected a URDF, whose root is <robot>, got <{root.tag}>")
    robot, cameras, used = _Robot(path, root), list[RigCamera](), set[str]()
    for link, sensor, T_link_sensor in _sensors(path, root):
        T_base_sensor = robot.pose(base, link) @ T_link_sensor
        optical = next((name for name in robot.below(link) if OPTICAL.fullmatch(name)), "")
        used.add(optical)
        T_base_cam = robot.pose(base, optical) if optical else T_base_sensor @ T_LINK_OPTICAL
        name = re.sub(r"\W", "_", _attribute(path, sensor, "name"))
        cameras.append(_camera(path, name, T_base_cam, robot.pose(base, link), link, optical, _lens(path, sensor, usual)))
    for optical in robot.links:
        match = OPTICAL.fullmatch(optical)
        if match and optical not in used:
            T = robot.pose(base, optical)
            name = re.sub(r"\W", "_", match["name"])
            cameras.append(_camera(path, name, T, np.full((4, 4), np.nan), "", optical, Lens(usual)))
    if not cameras:
        raise SpatiaError(f"{path}: expected a sensor of type camera or a link named *_optical_frame, found none")
    return tuple(cameras)


def _camera(path: Path, name: str, T_base_cam: Float64, T_base_link: Float64, link: str, optical: str, lens: Lens) -> RigCamera:
    """A camera whose frames have the URDF's names; the link's only where it stands as a camera's link does."""
    same = np.allclose(T_base_link @ T_LINK_OPTICAL, T_base_cam, atol=1e-6)
    try:
        return RigCamera(name, T_base_cam, lens, link=link if same else "", optical=optical)
    except SpatiaError as error:
        raise SpatiaError(f"{path}: {error}") from None


def _sensors(path: Path, root: Element) -> list[tuple[str, Element, Float64]]:
    """``(link, sensor, T_link_sensor)`` of every camera, Gazebo's and URDF's own."""
    found = []
    for extension in root.findall("gazebo"):
        for sensor in extension.findall("sensor"):
            kind = sensor.get("type", "")
            if kind.startswith("wideangle"):
                known = ", ".join(SENSORS)
                raise SpatiaError(f"{path}: expected sensors of type {known}, got {kind}: describe its lens in a YAML rig")
            if kind in SENSORS:
                pose = _numbers(path, "pose", sensor.findtext("pose") or "0 0 0 0 0 0", 6)
                found.append((_attribute(path, extension, "reference"), sensor, _rigid(pose[:3], pose[3:])))
    for sensor in root.findall("sensor"):
        if sensor.find("camera") is not None:
            link = _attribute(path, _one(path, sensor, "parent"), "link")
            found.append((link, sensor, _origin(path, sensor.find("origin"))))
    return found


def _lens(path: Path, sensor: Element, usual: Camera) -> Lens:
    camera = sensor.find("camera")
    if camera is None:
        return Lens(usual)
    image = _one(path, camera, "image")

    def number(name: str, alternative: str | None) -> float:
        text = image.get(name) or alternative
        if not text:
            raise SpatiaError(f"{path}: expected <{name}> of camera {sensor.get('name')}, found none")
        return float(_numbers(path, name, text, 1)[0])

    width, height = (number(name, image.findtext(name)) for name in ("width", "height"))
    hfov_rad = number("hfov", camera.findtext("horizontal_fov"))
    if not 0.0 < hfov_rad < np.pi or not 16 <= min(width, height) <= max(width, height) <= 4096:
        got = f"{width:g}x{height:g} px and {hfov_rad:g} rad"
        raise SpatiaError(f"{path}: expected an image of 16..4096 px a side and a field of view of 0..3.14 rad, got {got}")
    bent = camera.find("distortion")
    k1, k2, p1, p2, k3 = (
        float(_numbers(path, name, (bent.findtext(name) if bent is not None else "") or "0", 1)[0])
        for name in ("k1", "k2", "p1", "p2", "k3")
    )
    return Lens(Camera.from_fov(round(width), round(height), hfov_rad), "plumb_bob", (k1, k2, p1, p2, k3))


def _one(path: Path, element: Element, tag: str) -> Element:
    found = element.find(tag)
    if found is None:
        raise SpatiaError(f"{path}: expected <{tag}> in <{element.tag}> {element.get('name', '')!r}, found none")
    return found


def _attribute(path: Path, element: Element, name: str) -> str:
    value = element.get(name)
    if not value:
        raise SpatiaError(f"{path}: expected <{element.tag} {name}=...>, found none")
    return value


def _numbers(path: Path, name: str, text: str, count: int) -> Float64:
    try:
        out = np.array([float(word) for word in text.split()], np.float64)
    except ValueError:
        out = np.empty(0)
    if len(out) != count or not np.isfinite(out).all():
        raise SpatiaError(f"{path}: expected {count} finite numbers for {name}, got {text!r:.80}")
    return out


def _rigid(xyz: Float64, rpy: Float64) -> Float64:
    return geometry.pose(Rotation.from_euler("xyz", rpy).as_matrix(), xyz)


def _origin(path: Path, origin: Element | None) -> Float64:
    if origin is None:
        return np.eye(4)
    xyz, rpy = (_numbers(path, name, origin.get(name, "0 0 0"), 3) for name in ("xyz", "rpy"))
    return _rigid(xyz, rpy)


def parsed(path: Path, most_bytes: int) -> Element:
    """The root of an XML file without a document type.

    Raises:
        SpatiaError: when there is none, it is too large or nested too deep, is no XML, brings a document type, or is xacro.
    """
    if not path.is_file():
        raise SpatiaError(f"{path}: expected a URDF file, found none")
    if path.stat().st_size > most_bytes:
        raise SpatiaError(f"{path}: expected at most {most_bytes} bytes, got {path.stat().st_size}")
    builder, parser, depth = TreeBuilder(), expat.ParserCreate(), 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise SpatiaError(f"{path}: expected at most {MAX_DEPTH} levels, got more")
        if tag.startswith("xacro:"):
            raise SpatiaError(f"{path}: expected plain URDF, got <{tag}>: write one with `xacro {path.name} > robot.urdf`")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: object) -> None:
        raise SpatiaError(f"{path}: expected a URDF without a document type, got one")

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    try:
        parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as error:
        raise SpatiaError(f"{path}: expected XML, got {error}") from None
    return builder.close()
