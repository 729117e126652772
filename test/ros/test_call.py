"""spatia ros call: any service of a running node, from a shell."""

import subprocess
import sys

import pytest
import yaml
from geometry_msgs.msg import PoseStamped
from harness import walled_world
from nav_msgs.msg import Path

from spatia_ros.nodes.tools.call import fill, plain, went_well
from spatia_ros.types import SpatiaError


@pytest.fixture(scope="module")
def folder(graph, tmp_path_factory):
    path = tmp_path_factory.mktemp("call")
    walled_world(graph, path)
    return path


def called(*words):
    program = [sys.executable, "-m", "spatia_ros.nodes.tools.call"]
    return subprocess.run([*program, *words], capture_output=True, text=True, timeout=120)


def test_a_service_is_called_by_its_name_alone(folder):
    done = called("memory/save", "{path: saved.spatia}")
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["success"] is True
    assert (folder / "saved.spatia").is_file()


def test_what_fails_is_seen_in_the_exit_status(folder):
    done = called("memory/load", "{path: ../elsewhere.spatia}")
    assert done.returncode == 1
    assert yaml.safe_load(done.stdout)["message"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("memory/save", "{file: a}"), "expected one of path"),
        (("memory/save", "{path: [1}"), "request"),
        (("memory/save", "7"), "expected fields"),
        (("get_entities", "{filters: {filter: 7}}"), "request.filters.filter: expected str"),
        (("get_entities", "{filters: {categories: [one]}}"), "request.filters.categories"),
        (("no/such", "{}", "--wait-s", "0.5"), "found none"),
    ],
)
def test_a_request_that_cannot_be_says_why(folder, words, says):
    done = called(*words)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_messages_are_filled_from_trees_and_become_trees():
    path = Path()
    fill(path, {"header": {"frame_id": "map"}, "poses": [{"pose": {"position": {"x": 1}}}, {}]}, "request")
    assert path.poses[0].pose.position.x == 1.0
    assert path.poses[1] == PoseStamped()
    assert plain(path)["poses"][0]["pose"]["position"] == {"x": 1.0, "y": 0.0, "z": 0.0}
    with pytest.raises(SpatiaError, match=r"request.header.frame_id"):
        fill(path, {"header": {"frame_id": 7}}, "request")


def test_an_answer_by_the_standard_is_understood():
    assert went_well({"result": {"result": 1}})
    assert not went_well({"result": {"result": 4}})
    assert went_well({"success": True})
    assert not went_well({"success": False})
