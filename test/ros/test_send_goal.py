"""spatia ros goal: any action of a running node, from a shell."""

import signal
import subprocess
import sys

import pytest
import yaml
from harness import START, parameters, wait, wall_memory

from spatia_ros.action import NavigateToObject
from spatia_ros.nodes import endpoints
from spatia_ros.nodes.world_node import WorldNode
from spatia_ros.record.poses import HEADER, pose_line
from spatia_ros.sequence import open_sequence


@pytest.fixture(scope="module")
def folder(graph, tmp_path_factory):
    path = tmp_path_factory.mktemp("goal")
    wall_memory().save(path / "wall.spatia")
    settings = parameters(generator__name="projection", source__memory="wall.spatia", data_dir=str(path), camera__width_px=96)
    graph.add(WorldNode(context=graph.context, parameter_overrides=settings))
    for name, count in (("short", 3), ("long", 300)):
        (path / f"{name}.txt").write_text(HEADER + "".join(pose_line(10**8 * (k + 1), START) for k in range(count)))
    return path


def command(*words):
    return [sys.executable, "-m", "spatia_ros.nodes.tools.send_goal", *map(str, words)]


def sent(*words):
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=120)


def test_a_data_set_along_a_file_of_poses(folder):
    done = sent("export_dataset", "{format: 1, folder: short, seed: 1}", "--trajectory", folder / "short.txt")
    assert done.returncode == 0, done.stderr
    assert "# {frames_done: 3, frames_total: 3" in done.stdout
    assert yaml.safe_load(done.stdout)["frames"] == 3
    assert len(open_sequence(folder / "short").stamps_ns) == 3


def test_what_came_of_a_goal_is_kept_for_a_while_and_no_longer(graph, monkeypatch):
    def execute(goal):
        goal.succeed()
        return NavigateToObject.Result(success=True)

    monkeypatch.setattr(endpoints, "RESULT_KEPT_S", 2)
    opened = endpoints.Endpoints(graph.client)
    server = opened.action(NavigateToObject, "kept", execute)
    done = sent("kept", "{phrase: the piano}")
    assert done.returncode == 0, done.stderr
    assert len(server._goal_handles) == 1
    wait(lambda: not (server._goal_handles or server._result_futures), "what is kept to go")
    opened.close()


def test_ctrl_c_cancels_and_shows_what_was_done(folder):
    words = command("export_dataset", "{format: 1, folder: long, seed: 1}", "--trajectory", folder / "long.txt")
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("# {frames_done: 1,")
        process.send_signal(signal.SIGINT)
        result = yaml.safe_load(process.stdout.read())
        assert process.wait(60) == 1
    assert result["message"] == "cancelled"
    assert 0 < result["frames"] == len(open_sequence(folder / "long").stamps_ns) < 300


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("navigate_to_object", "{phrase: the piano}"), 1, "success: false"),
        (("navigate_to_object", "{words: the piano}"), 2, "goal: expected one of phrase"),
        (("navigate_to_object", "{phrase: [}"), 2, "goal"),
        (("no/such", "{}", "--wait-s", "0.5"), 2, "found none"),
    ],
)
def test_what_fails_is_seen_in_the_exit_status(folder, words, status, says):
    done = sent(*words)
    assert done.returncode == status
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
