"""Launch files and rviz displays: they name executables, parameters, topics and files that exist.

``launch`` is not on PyPI; where it is missing, a stand-in of the same signatures runs the files.
"""

import importlib.util
import os
import sys
import types
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from harness import parameters

from spatia_ros.nodes.parameters import leaves
from spatia_ros.nodes.settings import MapperSettings, WorldSettings
from spatia_ros.nodes.world_node import WorldNode

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"world": WorldSettings, "mapper": MapperSettings}


class Configuration:
    def __init__(self, name):
        self.name = name

    def perform(self, context):
        return context[self.name]


def recorder(kind):
    return lambda *args, **values: SimpleNamespace(kind=kind, args=args, **values)


@pytest.fixture
def stand_in(monkeypatch, tmp_path):
    """The names the launch files import, each keeping what it was given."""
    (tmp_path / "config").symlink_to(ROOT / "config")
    modules = {
        "launch": {"LaunchContext": dict, "LaunchDescription": list},
        "launch.actions": {n: recorder(n) for n in ("DeclareLaunchArgument", "OpaqueFunction", "SetEnvironmentVariable")},
        "launch.conditions": {"IfCondition": recorder("IfCondition")},
        "launch.substitutions": {"LaunchConfiguration": Configuration},
        "launch_ros": {},
        "launch_ros.actions": {"Node": recorder("Node")},
        "launch_ros.parameter_descriptions": {"ParameterValue": lambda value, value_type: (value, value_type)},
        "ament_index_python.packages": {"get_package_share_directory": lambda package: str(tmp_path)},
    }
    for name, content in modules.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)


def described(name):
    """The actions of a launch file."""
    path = ROOT / "launch" / f"{name}.launch.py"
    spec = importlib.util.spec_from_file_location(f"{name}_launch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def of_kind(actions, kind):
    return [a for a in actions if a.kind == kind]


@pytest.mark.parametrize("name", SETTINGS)
def test_a_launch_file_starts_a_node_that_exists_with_parameters_it_has(stand_in, name):
    actions = described(name)
    arguments = {a.args[0]: a for a in of_kind(actions, "DeclareLaunchArgument")}
    assert all(a.description for a in arguments.values())
    assert Path(arguments["params"].default_value).is_file()
    context = {n: a.default_value for n, a in arguments.items()} | {"data_dir": "y"}
    (function,) = of_kind(actions, "OpaqueFunction")
    node = function.function(context)[0]
    assert (node.package, node.executable, node.name) == ("spatia_ros", name, name)
    assert f" {name} " in (ROOT / "CMakeLists.txt").read_text(), "installed as a program"
    known = {leaf.name for leaf in leaves(SETTINGS[name])} | {"use_sim_time"}
    assert set(node.parameters[1]) == {"data_dir", "use_sim_time"}, "what is not given is left to the parameter file"
    assert node.parameters[1]["data_dir"] == ("y", str)
    everything = function.function(dict.fromkeys(arguments, "given"))[0].parameters[1]
    assert set(everything) <= known
    assert len(everything) > 3


@pytest.mark.parametrize("name", SETTINGS)
def test_a_launch_file_sets_the_environment_that_images_need(stand_in, name, monkeypatch):
    monkeypatch.delenv("FASTRTPS_DEFAULT_PROFILES_FILE", raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    values = dict(a.args for a in of_kind(described(name), "SetEnvironmentVariable"))
    assert Path(values["FASTRTPS_DEFAULT_PROFILES_FILE"]).is_file()


@pytest.mark.parametrize("name", SETTINGS)
def test_a_launch_file_under_the_real_launch(name, monkeypatch, tmp_path):
    pytest.importorskip("launch_ros", reason="launch is not installed here")
    import ament_index_python.packages as packages

    (tmp_path / "config").symlink_to(ROOT / "config")
    monkeypatch.setattr(packages, "get_package_share_directory", lambda package: str(tmp_path))
    assert described(name).get_launch_arguments()


def test_rviz_shows_topics_that_the_world_node_has(graph):
    settings = parameters(generator__name="projection", camera__width_px=96, camera__height_px=64)
    node = graph.add(WorldNode(context=graph.context, parameter_overrides=settings))
    published = {topic for topic, _ in node.get_publisher_names_and_types_by_node("world", "/")}
    subscribed = {topic for topic, _ in node.get_subscriber_names_and_types_by_node("world", "/")}
    manager = yaml.safe_load((ROOT / "config" / "spatia.rviz").read_text())["Visualization Manager"]
    shown = {"/" + d["Topic"]["Value"] for d in manager["Displays"] if "Topic" in d}
    assert len(shown) >= 5
    assert shown <= published
    assert {"/" + t["Topic"]["Value"] for t in manager["Tools"] if "Topic" in t} <= subscribed
    assert manager["Global Options"]["Fixed Frame"] == WorldSettings().frames.map
