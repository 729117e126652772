"""Rigs from YAML and URDF: the cameras they describe, and what cannot be a rig."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.nodes.convert import T_LINK_OPTICAL
from spatia_ros.nodes.rig.file import open_rig
from spatia_ros.types import Camera, SpatiaError

RIGS = Path(__file__).resolve().parents[2] / "config" / "rigs"
USUAL = Camera.from_fov(96, 64, 1.2)


def at(xyz, rpy=(0.0, 0.0, 0.0)):
    return geometry.pose(Rotation.from_euler("xyz", rpy).as_matrix(), np.array(xyz, float))


def test_the_yaml_example_is_three_cameras():
    front, left, rear = open_rig(RIGS / "mobile_base.yaml", "base_link", USUAL)
    assert [c.name for c in (front, left, rear)] == ["front", "left", "rear"]
    np.testing.assert_allclose(front.T_rig_cam, at((0.15, 0, 0.3)) @ T_LINK_OPTICAL, atol=1e-12)
    assert front.lens.camera == Camera.from_fov(320, 240, np.radians(69))
    assert front.plain
    np.testing.assert_allclose(left.T_rig_cam[:3, 2], [0, 1, 0], atol=1e-4)  # it looks left
    np.testing.assert_allclose(left.lens.camera.calibration(), (231.4, 231.9, 158.7, 121.2))
    assert (left.lens.model, left.lens.coefficients) == ("plumb_bob", (-0.21, 0.05, 0.0006, -0.0003, 0.0))
    assert (left.shutter.readout_s, left.shutter.direction) == (0.016, "down")
    assert (rear.lens.model, len(rear.lens.coefficients), rear.every) == ("equidistant", 4, 3)
    assert (rear.link, rear.optical) == ("rear_link", "rear_color_optical_frame")


def test_the_urdf_example_is_three_cameras():
    front, rear, wrist = open_rig(RIGS / "mobile_base.urdf", "base_link", USUAL)
    assert [c.name for c in (front, rear, wrist)] == ["front", "rear", "wrist"]
    np.testing.assert_allclose(front.T_rig_cam, at((0.15, 0, 0.3), (0, 0.2, 0)) @ T_LINK_OPTICAL, atol=1e-9)
    assert front.lens.camera == Camera.from_fov(320, 240, 1.204)
    assert front.lens.coefficients == (-0.08, 0.01, 0.0002, -0.0001, 0.0)
    assert (front.link, front.optical) == ("front_link", "front_color_optical_frame")  # the URDF's own
    np.testing.assert_allclose(rear.T_rig_cam, at((-0.18, 0, 0.27), (0, 0, np.pi)) @ T_LINK_OPTICAL, atol=1e-7)
    assert rear.lens.camera == Camera.from_fov(240, 160, 1.5)
    np.testing.assert_allclose(wrist.T_rig_cam, at((0.2, 0, 0.6)) @ T_LINK_OPTICAL, atol=1e-9)
    assert (wrist.lens.camera, wrist.optical, wrist.link) == (USUAL, "wrist_optical_frame", "wrist_link")
    from_footprint = open_rig(RIGS / "mobile_base.urdf", "base_footprint", USUAL)[0]
    np.testing.assert_allclose(from_footprint.T_rig_cam[:3, 3], [0.15, 0, 0.4], atol=1e-9)


ONE = "cameras: [{name: a, width_px: 64, height_px: 48, hfov_deg: 60"
LINKS = '<link name="base_link"/><link name="c"/><joint name="j" type="fixed"><parent link="base_link"/><child link="c"/></joint>'
IMAGE = "<image><width>64</width><height>48</height></image>"
SENSOR = f'<gazebo reference="c"><sensor name="s" type="camera"><camera>{IMAGE}{{}}</camera></sensor></gazebo>'
FOV = "<horizontal_fov>1</horizontal_fov>"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.yaml", "cameras: []", "at least 1 item"),
        ("a.yaml", "", "file"),
        ("a.yaml", ONE + ", lens: 3}]", "cameras.0.lens"),
        ("a.yaml", ONE + ", intrinsics: {fx: 1, fy: 1, cx: 1, cy: 1}}]", "one of them"),
        ("a.yaml", ONE + ", xyz_m: [0, 0, .nan]}]", "finite"),
        ("a.yaml", ONE + ", every: 2}]", "first camera at every frame"),
        ("a.yaml", ONE + ", distortion: {model: fov, coefficients: [1]}}]", "plumb_bob"),
        ("a.yaml", ONE + ", distortion: {model: equidistant, coefficients: [0, 0, 0, 0, 0]}}]", "expected 4 finite numbers"),
        ("a.yaml", ONE + "}, {name: a, width_px: 64, height_px: 48, hfov_deg: 60}]", "more than once"),
        ("a.yaml", "cameras: [{name: ../a, width_px: 64, height_px: 48, hfov_deg: 60}]", "camera name"),
        ("a.yaml", "cameras: !!python/object/apply:os.system [ls]", "tag"),
        ("a.yaml", ONE.replace("64", "64000") + "}]", "less than or equal"),
        ("a.json", "{}", ".yaml or .urdf"),
        ("a.urdf.xacro", "<robot/>", "xacro a.urdf.xacro"),
        ("a.urdf", "<robot><link", "expected XML"),
        ("a.urdf", "<model/>", "root is <robot>"),
        ("a.urdf", '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><robot name="&x;"/>', "without a document type"),
        ("a.urdf", '<robot><xacro:include filename="b"/></robot>', "plain URDF"),
        ("a.urdf", "<robot>" + "<a>" * 100 + "</a>" * 100 + "</robot>", "levels"),
        ("a.urdf", f"<robot>{LINKS}</robot>", "found none"),
        ("a.urdf", f"<robot>{LINKS.replace('fixed', 'revolute')}{SENSOR.format(FOV)}</robot>", "revolute joint j"),
        ("a.urdf", f"<robot>{LINKS.replace('base_link', 'body')}{SENSOR.format(FOV)}</robot>", "begins at body"),
        ("a.urdf", f"<robot>{LINKS}{SENSOR.format('')}</robot>", "expected <hfov>"),
        ("a.urdf", f"<robot>{LINKS}{SENSOR.format(FOV.replace('1', 'wide'))}</robot>", "finite numbers for hfov"),
        ("a.urdf", f"<robot>{LINKS}{SENSOR.format(FOV.replace('1', '7'))}</robot>", "field of view"),
        ("a.urdf", f"<robot>{LINKS}{LINKS}{SENSOR.format(FOV)}</robot>", "one joint above"),
        ("a.urdf", f"<robot>{LINKS}{2 * SENSOR.format(FOV)}</robot>", "more than once"),
    ],
)  # fmt: skip
def test_what_is_no_rig_is_refused_with_a_sentence(tmp_path, name, text, words):
    (tmp_path / name).write_text(text)
    with pytest.raises(SpatiaError) as refused:
        open_rig(tmp_path / name, "base_link", USUAL)
    assert words in str(refused.value)
    assert "rig.file" in str(refused.value) or str(tmp_path) in str(refused.value)


def test_a_loop_of_links_ends(tmp_path):
    joint = '<joint name="{0}{1}" type="fixed"><parent link="{0}"/><child link="{1}"/></joint>'
    robot = f"<robot>{joint.format('c', 'd')}{joint.format('d', 'c')}{SENSOR.format(FOV)}</robot>"
    (tmp_path / "a.urdf").write_text(robot)
    with pytest.raises(SpatiaError, match="above itself"):
        open_rig(tmp_path / "a.urdf", "base_link", USUAL)
