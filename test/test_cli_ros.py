"""What ``spatia ros`` hands on to the nodes."""

import pytest

from spatia_ros.cli import main, ros
from spatia_ros.cli.camera_topics import DEVICES


@pytest.fixture
def handed(monkeypatch):
    """The words that the node's program would be started with."""
    out = []
    monkeypatch.setattr(ros, "become", lambda module, *words: out.extend(words) or 0)
    return out


def test_a_robot_has_a_namespace_and_prefixed_frames(handed, tmp_path):
    assert main(["ros", "world", "--memory", str(tmp_path / "m.spatia"), "--robot", "robot2", "--ros-args", "-r", "a:=b"]) == 0
    assert "frames.prefix=robot2/" in handed
    assert handed[handed.index("--ros-args") :] == ["--ros-args", "-r", "__ns:=/robot2", "-r", "a:=b"]


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_has_its_drivers_topics(handed, device):
    assert main(["ros", "mapper", "--device", device]) == 0
    assert f"color/image_raw:={DEVICES[device].color}" in handed
    assert f"depth/image_rect:={DEVICES[device].depth}" in handed
    assert f"color/camera_info:={DEVICES[device].camera_info}" in handed


def test_nothing_is_added_that_was_not_asked_for(handed):
    assert main(["ros", "world"]) == 0
    assert handed == ["world"]


def test_a_rig_file_is_handed_on_by_its_full_path(handed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["ros", "world", "--rig", "rig.yaml"]) == 0
    assert f"rig.file={tmp_path.resolve() / 'rig.yaml'}" in handed
