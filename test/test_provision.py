"""The set-up's own logic, on tiny stages and stand-in interpreters: nothing is installed here."""

import fcntl
import importlib.util
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import host
import stages
from host import SetupError
from stages import Log, Stage, content_key, only_one, run_stages

spec = importlib.util.spec_from_file_location("provision_main", host.__file__.replace("host.py", "__main__.py"))
provision = importlib.util.module_from_spec(spec)
spec.loader.exec_module(provision)


@pytest.fixture
def ran():
    return []


def stage(name, ran, key="k", fails=False, leaves=None):
    def work(log):
        ran.append(name)
        log.run(["false"] if fails else ["true"])

    return Stage(name, name, key, work, leaves)


def run(tmp_path, *todo):
    return run_stages(list(todo), tmp_path / "stamps", tmp_path / "logs", {"PATH": "/usr/bin:/bin"})


def test_a_second_run_does_nothing(tmp_path, ran):
    todo = [stage("a", ran), stage("b", ran)]
    assert run(tmp_path, *todo) == 2
    assert run(tmp_path, *todo) == 0
    assert ran == ["a", "b"]


def test_a_failed_stage_is_where_the_next_run_goes_on(tmp_path, ran):
    with pytest.raises(SetupError):
        run(tmp_path, stage("a", ran), stage("b", ran, fails=True), stage("c", ran))
    run(tmp_path, stage("a", ran), stage("b", ran), stage("c", ran))
    assert ran == ["a", "b", "b", "c"]


def test_a_stage_cut_off_while_it_runs_again_is_not_taken_for_done(tmp_path, ran):
    run(tmp_path, stage("a", ran, key="old"))
    with pytest.raises(SetupError):
        run(tmp_path, stage("a", ran, key="new", fails=True))
    assert not stages.is_done(stage("a", ran, key="old"), tmp_path / "stamps")


def test_only_what_changed_runs_again(tmp_path, ran):
    run(tmp_path, stage("a", ran), stage("b", ran, key="1"))
    run(tmp_path, stage("a", ran), stage("b", ran, key="2"))
    assert ran == ["a", "b", "b"]


def test_a_stage_whose_result_was_removed_runs_again(tmp_path, ran):
    made = tmp_path / "made"
    made.touch()
    run(tmp_path, stage("a", ran, leaves=made))
    made.unlink()
    assert run(tmp_path, stage("a", ran, leaves=made)) == 1


def test_a_stage_that_wipes_the_environment_makes_the_later_ones_run(tmp_path, ran):
    made = tmp_path / "stamps" / "python"

    def wipe(log):
        ran.append("venv")
        shutil.rmtree(tmp_path / "stamps", ignore_errors=True)
        (tmp_path / "stamps").mkdir()
        made.touch()

    todo = [Stage("venv", "venv", "k", wipe, made), stage("a", ran)]
    run(tmp_path, *todo)
    made.unlink()
    assert run(tmp_path, *todo) == 2
    assert ran == ["venv", "a", "venv", "a"]


def test_the_key_follows_names_and_contents(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("x")
    two.write_text("y")
    before = content_key("base", files=[one, two])
    assert content_key("base", files=[two, one]) == before
    two.write_text("z")
    assert content_key("base", files=[one, two]) != before
    assert content_key("other", files=[one]) != content_key("base", files=[one])


def test_a_failure_shows_the_last_lines_and_names_the_log(tmp_path):
    log = Log(tmp_path / "x.log", "packages", {"PATH": "/usr/bin:/bin"})
    with pytest.raises(SetupError, match="ended with status 3") as caught:
        log.run(["sh", "-c", "for i in $(seq 40); do echo line $i; done; exit 3"])
    message = str(caught.value)
    assert "line 40" in message
    assert "line 9\n" not in message
    assert "x.log" in message


@pytest.mark.parametrize(
    ("words", "sentence"), [("NewConnectionError: x", "check the network"), ("No space left on device", "disk is full")]
)
def test_a_known_cause_is_a_sentence(tmp_path, words, sentence):
    log = Log(tmp_path / "x.log", "packages", {"PATH": "/usr/bin:/bin"})
    with pytest.raises(SetupError, match=sentence):
        log.run(["sh", "-c", f"echo '{words}'; exit 1"])


def test_a_second_set_up_waits_for_the_first(tmp_path):
    order, lock = [], tmp_path / "lock"

    def second():
        with only_one(lock):
            order.append("second")

    thread = threading.Thread(target=second)
    with only_one(lock):
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_a_command_that_outlives_a_killed_set_up_holds_the_lock(tmp_path):
    # the set-up starts a shell that kills it, then waits for the file `end`
    orphan = f"kill -9 $PPID; touch {tmp_path}/alive; until [ -e {tmp_path}/end ]; do sleep 0.05; done"
    code = f"""
from pathlib import Path
import stages
with stages.only_one(Path({str(tmp_path / "lock")!r})):
    stages.Log(Path({str(tmp_path / "log")!r}), "t", {{"PATH": "/usr/bin:/bin"}}).run(["sh", "-c", {orphan!r}])
"""
    killed = subprocess.run([sys.executable, "-c", code], cwd=Path(stages.__file__).parent, check=False)
    assert killed.returncode == -signal.SIGKILL
    while not (tmp_path / "alive").exists():
        time.sleep(0.01)
    with (tmp_path / "lock").open("a") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        (tmp_path / "end").touch()
        fcntl.flock(file, fcntl.LOCK_EX)


def fake_python(folder, name, version, venv=True, headers=True):
    folder.mkdir(exist_ok=True)
    answer = json.dumps({"version": version, "base": str(folder / name), "venv": venv, "headers": headers})
    (folder / name).write_text(f"#!/bin/sh\necho '{answer}'\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def only(tmp_path, monkeypatch):
    """An environment whose PATH is one folder, and no system Python beside it."""
    monkeypatch.setattr(host, "USUAL_PYTHONS", ("python3", "python3.12", "python3.11", "python3.10"))
    return {"PATH": str(tmp_path)}


def test_a_supported_python_is_found_behind_an_unsupported_one(tmp_path, only):
    fake_python(tmp_path, "python3", [3, 14])
    fake_python(tmp_path, "python3.11", [3, 11])
    assert host.find_python(only).name() == "python3.11"


@pytest.mark.parametrize(
    ("python", "sentence"),
    [
        ({"version": [3, 8]}, "Python 3.10, 3.11 or 3.12 is needed and .*python3.8"),
        ({"version": [3, 11], "venv": False}, "sudo apt install python3.11-venv$"),
        ({"version": [3, 12], "venv": False, "headers": False}, "sudo apt install python3.12-venv python3.12-dev$"),
    ],
)
def test_an_unfit_python_gets_a_sentence(tmp_path, only, python, sentence):
    fake_python(tmp_path, "python3", **python)
    with pytest.raises(SetupError, match=sentence):
        host.find_python(only)


def test_no_python_gets_a_sentence(only):
    with pytest.raises(SetupError, match="install Python 3"):
        host.find_python(only)


def test_a_missing_compiler_gets_a_sentence(tmp_path):
    with pytest.raises(SetupError, match=r"g\+\+ and gcc not found.*sudo apt install g\+\+"):
        host.check_compiler({"PATH": str(tmp_path)})


def test_an_unfit_machine_gets_a_sentence(monkeypatch):
    monkeypatch.setattr(host.platform, "machine", lambda: "aarch64")
    with pytest.raises(SetupError, match=r"x86_64 and this is aarch64: install ROS 2"):
        host.check_wheels()


def test_ros_is_used_only_when_its_rclpy_imports(tmp_path, capsys):
    python = tmp_path / "python3"
    python.write_text("#!/bin/sh\nexit $FAILS\n")
    python.chmod(0o755)
    env = {"PATH": f"{tmp_path}:/bin", "FAILS": "0"}
    assert host.find_ros(env) is None
    env |= {"ROS_DISTRO": "jazzy", "AMENT_PREFIX_PATH": "/opt/ros/jazzy"}
    assert host.find_ros(env) == host.InstalledRos("jazzy", str(python), "/opt/ros/jazzy")
    assert host.find_ros(env | {"FAILS": "1"}) is None
    assert "using the ROS wheels instead" in capsys.readouterr().err


def test_an_activated_environment_of_ours_is_stepped_out_of(tmp_path):
    env = {
        "PATH": f"{tmp_path}/bin:/bin", "AMENT_PREFIX_PATH": f"{tmp_path}", "VIRTUAL_ENV": f"{tmp_path}",
        "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1", "LD_LIBRARY_PATH": f"{tmp_path}/lib:/opt/mine",
    }  # fmt: skip
    assert host.clean_environment(env, tmp_path) == {"PATH": "/bin", "LD_LIBRARY_PATH": "/opt/mine"}


def test_half_installed_packages_are_forgotten(tmp_path, monkeypatch):
    site = tmp_path / "lib" / "python3.11" / "site-packages"
    for name in ("whole-1.dist-info", "half-1.dist-info"):
        (site / name).mkdir(parents=True)
    (site / "whole-1.dist-info" / "RECORD").touch()
    monkeypatch.setattr(provision, "VENV", tmp_path)
    provision.drop_half_installed()
    assert [p.name for p in site.iterdir()] == ["whole-1.dist-info"]


def test_every_requirement_is_pinned():
    for path in provision.REQUIREMENTS.glob("*.txt"):
        lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
        assert lines
        assert all("==" in line for line in lines), path


def test_every_stand_in_has_its_definitions():
    for name, proof in provision.STAND_INS.items():
        module, kind = proof.split(":")
        folder = provision.ROOT / "interfaces" / name
        assert f"<name>{name}</name>" in (folder / "package.xml").read_text()
        assert module.split(".")[0] == name
        assert (folder / module.split(".")[1] / f"{kind}.{module.split('.')[1]}").is_file()
        assert f"<exec_depend>{name}</exec_depend>" in (provision.ROOT / "package.xml").read_text(), "named to rosdep"
