"""The one place of ROS's environment variables: what is set, what is kept, what is dropped."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from spatia_ros.nodes import environment
from spatia_ros.nodes.environment import fastdds_profile, ros_environment, shell_lines

ROOT = Path(__file__).resolve().parents[1]
NAMESPACE = "{http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles}"


def run_python(code, env):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_the_user_set_is_kept():
    base = {"ROS_DOMAIN_ID": "7", "FASTRTPS_DEFAULT_PROFILES_FILE": "/mine.xml", "MALLOC_TOP_PAD_": "1", "PATH": "/bin"}
    env = ros_environment(base)
    assert {name: env[name] for name in base} == base
    assert env["MALLOC_MMAP_THRESHOLD_"] == str(256 << 20)
    assert env["MALLOC_ARENA_MAX"] == "1"


def test_it_is_settled_after_one_pass():
    env = ros_environment({"PATH": "/bin", "AMENT_PREFIX_PATH": "/opt/ros/jazzy"})
    assert ros_environment(env) == env
    assert env["AMENT_PREFIX_PATH"].endswith("/opt/ros/jazzy")


def test_libraries_of_other_wheels_are_dropped_and_others_kept(tmp_path):
    (tmp_path / "lib" / "ros_rcl.libs").mkdir(parents=True)
    (tmp_path / "pyvenv.cfg").touch()
    paths = f"{tmp_path}/lib:{tmp_path}/lib/ros_rcl.libs:/opt/mine/lib"
    env = ros_environment({"_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1", "LD_LIBRARY_PATH": paths})
    assert "_ROS_WHEELS_BOOTSTRAP_COMPLETE" not in env
    assert str(tmp_path) not in env["LD_LIBRARY_PATH"]
    assert "/opt/mine/lib" in env["LD_LIBRARY_PATH"]


@pytest.mark.parametrize(("size", "name"), [(64 << 20, "fastdds_small.xml"), (24 << 30, "fastdds.xml"), (0, "fastdds_small.xml")])
def test_the_profile_follows_the_size_of_shared_memory(monkeypatch, size, name):
    monkeypatch.setattr(environment, "_size_bytes", lambda folder: size)
    assert fastdds_profile().name == name


@pytest.mark.parametrize(
    ("name", "segment", "three_fit_in"), [("fastdds.xml", 32 << 20, 256 << 20), ("fastdds_small.xml", 16 << 20, 64 << 20)]
)
def test_a_profile_holds_images_and_three_participants_fit(name, segment, three_fit_in):
    root = ElementTree.parse(ROOT / "config" / name).getroot()
    transports = {t.findtext(f"{NAMESPACE}type"): t for t in root.iter(f"{NAMESPACE}transport_descriptor")}
    assert int(transports["SHM"].findtext(f"{NAMESPACE}segment_size")) == segment
    assert int(transports["SHM"].findtext(f"{NAMESPACE}maxMessageSize")) >= 1920 * 1080 * 3
    assert 3 * segment <= three_fit_in
    assert [a.text for a in transports["UDPv4"].iter(f"{NAMESPACE}address")] == ["127.0.0.1"]
    used = [t.text for t in root.find(f".//{NAMESPACE}userTransports")]
    assert sorted(used) == sorted(t.findtext(f"{NAMESPACE}transport_id") for t in transports.values())


def test_a_shell_that_evaluates_the_lines_is_in_the_environment():
    base = {"PATH": "/usr/bin:/bin", "ODD": "a 'quoted' $value", "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1"}
    script = "\n".join([*shell_lines(base), "env -0"])
    done = subprocess.run(["bash", "--norc", "-c", script], env=base, capture_output=True, text=True, check=True)
    shell = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    wanted = ros_environment(base)
    assert {name: shell.get(name) for name in wanted} == wanted
    assert "_ROS_WHEELS_BOOTSTRAP_COMPLETE" not in shell


def test_a_program_enters_it_once():
    code = "from spatia_ros.nodes.environment import enter; enter(); import os; print(os.environ['MALLOC_TOP_PAD_'])"
    assert run_python(code, {"PATH": "/usr/bin:/bin"}).split() == [str(32 << 20)]


def test_it_needs_only_the_standard_library():
    code = "import sys; import spatia_ros.nodes.environment; print('numpy' in sys.modules, 'rclpy' in sys.modules)"
    assert run_python(code, {"PATH": "/usr/bin:/bin"}).split() == ["False", "False"]
