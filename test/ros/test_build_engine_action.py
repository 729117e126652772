"""The action build_engine: in a process of its own, told as it goes; cancelled with all it started; refused in words."""

import os
import sys

import pytest
from action_client import Goals, cancel, outcome
from harness import parameters, wait, wall_memory

from spatia_ros.action import BuildEngine
from spatia_ros.engine.bundle import engines_folder, read_bundle
from spatia_ros.nodes.actions import building
from spatia_ros.nodes.world_node import WorldNode

SLOW = """
import json, os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("warming up", flush=True)
print(json.dumps({"stage": "build", "progress": 0.25, "log": f"{os.getpid()} {child.pid}"}), flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def node(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    wall_memory().save(folder / "wall.spatia")
    values = parameters(generator__name="projection", source__memory="wall.spatia", data_dir=str(folder))
    made = graph.add(WorldNode(context=graph.context, namespace="/build", parameter_overrides=values))
    yield made
    graph.remove(made)


@pytest.fixture(scope="module")
def goals(graph, node):
    out = Goals(graph, BuildEngine, "/build/build_engine")
    yield out
    out.close()


@pytest.fixture
def slow(monkeypatch):
    """A stand-in for a build, with a child, that does not end by itself."""
    monkeypatch.setattr(building, "BUILDER", (sys.executable, "-c", SLOW))


def running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"


def pids(feedback):
    return [int(word) for word in feedback.log.split()]


def test_onnx_runtime_for_real(goals):
    handle, heard = goals.send(name="nano", runtime="onnxruntime")
    answer = outcome(handle)
    assert answer.success, answer.message
    assert "onnxruntime runs nano as it is" in answer.message
    assert answer.path == str(engines_folder() / "nano" / "manifest.json")
    assert answer.sha256 == read_bundle(engines_folder() / "nano").files["fp32"]["weights"].sha256
    assert answer.seconds > 0
    assert {f.stage for f in heard} == {"check", "build", "compare"}
    assert heard[-1].progress > heard[0].progress


def test_cancelled_nothing_goes_on_running(goals, slow):
    handle, heard = goals.send(name="nano")
    wait(lambda: heard and heard[-1].stage == "build", "the build")
    assert heard[0].log == "warming up", "what the tools underneath say is told, too"
    assert heard[-1].progress == 0.25
    assert all(running(pid) for pid in pids(heard[-1]))
    cancel(handle)
    answer = outcome(handle)
    assert (answer.success, answer.message) == (False, "cancelled")
    wait(lambda: not any(running(pid) for pid in pids(heard[-1])), "the end of the process and its child")


def test_a_newer_build_takes_the_place_of_the_older(goals, slow):
    first, heard = goals.send(name="nano")
    wait(lambda: heard and heard[-1].stage == "build", "the build")
    second, later = goals.send(name="nano")
    assert "newer goal" in outcome(first).message
    wait(lambda: later and later[-1].stage == "build", "the second build")
    assert not any(running(pid) for pid in pids(heard[-1]))
    cancel(second)
    outcome(second)


@pytest.mark.parametrize(
    ("goal", "says"),
    [
        ({"name": ""}, "expected the name"),
        ({"name": "../engines/nano"}, "inside the data folder"),
        ({"name": "wall.spatia"}, "expected one of ['nano'"),
        ({"name": "nano", "runtime": "onnxruntime", "force": True}, "shipped engines are not written again"),
    ],
)
def test_what_cannot_be_built_is_refused_in_words(goals, goal, says):
    answer = goals.result(**goal)
    assert (answer.success, answer.path) == (False, "")
    assert says in answer.message


@pytest.mark.skipif("tensorrt" in sys.modules, reason="TensorRT is installed here")
def test_without_tensorrt_it_is_said_what_to_install(goals):
    answer = goals.result(name="nano", runtime="tensorrt")
    assert not answer.success
    assert "TensorRT is not installed here" in answer.message
    assert "pip install tensorrt" in answer.message


def test_a_build_that_dies_is_told_with_its_last_word(goals, monkeypatch):
    monkeypatch.setattr(building, "BUILDER", (sys.executable, "-c", "raise SystemExit('out of workspace')"))
    answer = goals.result(name="nano")
    assert not answer.success
    assert "ended with 1: out of workspace" in answer.message
