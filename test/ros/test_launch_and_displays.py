"""Launch files: they name executables, parameters and files that exist.

``launch`` is not on PyPI; where it is missing, a stand-in of the same signatures runs the files.
"""

import importlib.util
import os
import sys
import tempfile
import types
from pathlib import Path
from types import SimpleNamespace

import pytest

from spatia_ros.cli.camera_topics import DEVICES
from spatia_ros.nodes.parameters import leaves
from spatia_ros.nodes.settings import MapperSettings, WorldSettings

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {"world": WorldSettings, "mapper": MapperSettings}
PROGRAMS = {"world": "world", "mapper": "mapper", "replay": "mapper", "two_robots": "world", "secured": "world"}
"""By launch file, the node it starts."""


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
    actions = ("DeclareLaunchArgument", "OpaqueFunction", "SetEnvironmentVariable", "ExecuteProcess")
    modules = {
        "launch": {"LaunchContext": dict, "LaunchDescription": list},
        "launch.actions": {n: recorder(n) for n in actions},
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
    for name in ("launching", "launching_sensor"):
        monkeypatch.delitem(sys.modules, f"spatia_ros.nodes.{name}", raising=False)
    yield
    for name in ("launching", "launching_sensor"):
        sys.modules.pop(f"spatia_ros.nodes.{name}", None)


def described(name):
    """The actions of a launch file."""
    path = ROOT / "launch" / f"{name}.launch.py"
    spec = importlib.util.spec_from_file_location(f"{name}_launch", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.generate_launch_description()


def of_kind(actions, kind):
    return [a for a in actions if a.kind == kind]


def started(name, **given):
    """What a launch file starts when it is given these arguments."""
    actions = described(name)
    (function,) = of_kind(actions, "OpaqueFunction")
    context = {a.args[0]: a.default_value for a in of_kind(actions, "DeclareLaunchArgument")}
    assert given.keys() <= context.keys()
    needed = {"bag": "a.mcap", "keystore": keystore()}
    return function.function(context | {n: value for n, value in needed.items() if n in context} | given)


def keystore():
    """A folder that looks like one."""
    folder = Path(tempfile.mkdtemp())
    (folder / "enclaves" / "spatia" / "world").mkdir(parents=True)
    return str(folder)


def ours(things):
    return [n for n in of_kind(things, "Node") if n.package == "spatia_ros"]


def test_every_launch_file_is_tried_here():
    assert {p.name.removesuffix(".launch.py") for p in (ROOT / "launch").glob("*.launch.py")} == set(PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_launch_file_starts_a_node_that_exists_with_parameters_it_has(stand_in, name):
    arguments = {a.args[0]: a for a in of_kind(described(name), "DeclareLaunchArgument")}
    assert all(a.description for a in arguments.values())
    assert Path(arguments["params"].default_value).is_file()
    program, known = PROGRAMS[name], {leaf.name for leaf in leaves(SETTINGS[PROGRAMS[name]])} | {"use_sim_time"}
    assert f" {program} " in (ROOT / "CMakeLists.txt").read_text(), "installed as a program"
    for node in ours(started(name, data_dir="y")):
        assert (node.executable, node.name) == (program, program)
        given = set(node.parameters[1]) - {"frames.prefix"}
        assert given == {"data_dir", "use_sim_time", "autostart"}, "what is not given is left to the parameter file"
        assert node.parameters[1]["data_dir"] == ("y", str)
    every = started(name, **{n: "given" for n in arguments if n not in ("device", "keystore")})
    for node in ours(every):
        assert set(node.parameters[1]) <= known
        assert len(node.parameters[1]) > 4


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_launch_file_shows_displays_that_exist(stand_in, name):
    (rviz,) = [n for n in of_kind(started(name), "Node") if n.package == "rviz2"]
    assert Path(rviz.arguments[1]).is_file()
    assert rviz.condition.args[0].name == "rviz"


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_launch_file_sets_the_environment_that_images_need(stand_in, name, monkeypatch):
    monkeypatch.delenv("FASTRTPS_DEFAULT_PROFILES_FILE", raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    values = dict(a.args for a in of_kind(described(name), "SetEnvironmentVariable"))
    assert Path(values["FASTRTPS_DEFAULT_PROFILES_FILE"]).is_file()


@pytest.mark.parametrize("name", ["mapper", "replay"])
def test_a_device_names_the_topics_and_a_topic_overrides_it(stand_in, name):
    (mapper,) = ours(started(name, device="realsense", color="/mine"))
    topics = dict(mapper.remappings)
    assert topics == DEVICES["realsense"].remappings() | {"color/image_raw": "/mine"}
    assert ours(started(name))[0].remappings == [], "no device: the mapper's own names"
    with pytest.raises(ValueError, match="realsense"):
        started(name, device="webcam")


def test_two_robots_differ_in_namespace_and_frames(stand_in):
    one, other = ours(started("two_robots", memory="house.spatia"))
    assert {one.namespace, other.namespace} == {"robot1", "robot2"}
    assert one.parameters[1]["frames.prefix"] == "robot1/"
    assert other.parameters[1]["frames.prefix"] == "robot2/"
    assert one.parameters[1]["source.memory"] == other.parameters[1]["source.memory"] == ("house.spatia", str)


def test_a_secured_world_refuses_whoever_has_no_keys(stand_in):
    things = started("secured")
    values = dict(a.args for a in of_kind(things, "SetEnvironmentVariable"))
    assert values["ROS_SECURITY_ENABLE"] == "true"
    assert values["ROS_SECURITY_STRATEGY"] == "Enforce"
    assert Path(values["ROS_SECURITY_KEYSTORE"]).is_dir()
    policies = (ROOT / "config" / "sros2" / "policies.xml").read_text()
    for node in of_kind(things, "Node"):
        enclave = node.ros_arguments[node.ros_arguments.index("--enclave") + 1]
        assert f'<enclave path="{enclave}">' in policies
    with pytest.raises(ValueError, match="keystore"):
        started("secured", keystore="/nowhere")


def test_a_replay_plays_the_bag_on_its_own_clock(stand_in):
    things = started("replay", bag="room.mcap")
    (player,) = of_kind(things, "ExecuteProcess")
    assert player.cmd[:4] == ["ros2", "bag", "play", "room.mcap"]
    assert "--clock" in player.cmd
    arguments = {a.args[0]: a.default_value for a in of_kind(described("replay"), "DeclareLaunchArgument")}
    assert arguments["use_sim_time"] == "true"
    with pytest.raises(ValueError, match="bag:="):
        started("replay", bag="")


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_launch_file_under_the_real_launch(name, monkeypatch, tmp_path):
    pytest.importorskip("launch_ros", reason="launch is not installed here")
    import ament_index_python.packages as packages

    (tmp_path / "config").symlink_to(ROOT / "config")
    monkeypatch.setattr(packages, "get_package_share_directory", lambda package: str(tmp_path))
    assert described(name).get_launch_arguments()
