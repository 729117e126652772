"""Make or refresh the virtual environment that every ``make`` target runs in.

    python3 scripts/provision [run|test]

``run`` is enough for the demo, the world and the benches; ``test`` adds pytest, the linters and torch.
It runs on any Python from 3.9 and makes the environment with a supported one that it finds.
Each stage leaves a stamp keyed by the content it was made from, so a second run does nothing, an
interrupted run goes on where it stopped, and a changed pin or message redoes its own stage only.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import time
from pathlib import Path

import host
from build import blank_foreign_includes, build_package, build_where_missing, prove
from host import InstalledRos, Interpreter, SetupError
from stages import Log, Stage, content_key, is_done, only_one, run_stages

ROOT = Path(__file__).resolve().parents[2]
VENV, BUILD = ROOT / ".venv", ROOT / "build" / "setup"
STAMPS, REQUIREMENTS, PYTHON = VENV / ".setup", ROOT / "requirements", VENV / "bin" / "python"
OLDEST_TO_START = (3, 9)
STAND_INS = {"tf2_msgs": "tf2_msgs.msg:TFMessage", "simulation_interfaces": "simulation_interfaces.srv:SpawnEntity"}
"""Interface packages built where the host has none, and a type of each that must load."""
COMMAND = f"""#!{PYTHON}
import sys

from spatia_ros.cli import main

if __name__ == "__main__":
    sys.exit(main())
"""


def main() -> int:
    """Bring the environment up to date; returns the exit status."""
    sys.dont_write_bytecode = True
    parser = argparse.ArgumentParser(prog="python3 scripts/provision", description=(__doc__ or "").partition("\n")[0])
    described = "run: enough for the demo, the world, the benches; test: also pytest, linters, torch (default)"
    parser.add_argument("profile", nargs="?", default="test", choices=["run", "test"], help=described)
    profile = parser.parse_args().profile
    if sys.version_info < OLDEST_TO_START:
        sys.exit("set-up: python3 is older than 3.9: install Python 3.10, 3.11 or 3.12, or name one: make PYTHON=python3.11")
    start = time.monotonic()
    env = host.clean_environment(dict(os.environ), VENV)
    try:
        with only_one(BUILD / "lock"):
            stages = plan(profile, env)
            if all(is_done(stage, STAMPS) for stage in stages):
                return 0
            whole = not is_done(stages[0], STAMPS)
            print(f"Setting up {VENV.name} (once: about 5 minutes)" if whole else f"Bringing {VENV.name} up to date", flush=True)
            check_before(stages, env)
            run_stages(stages, STAMPS, BUILD, env)
    except SetupError as error:
        print(f"\nset-up: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nset-up: interrupted; the next run goes on from here", file=sys.stderr)
        return 130
    print(f"Set up in {time.monotonic() - start:.0f} s", flush=True)
    return 0


def plan(profile: str, env: dict[str, str]) -> list[Stage]:
    """The stages of a profile, in order, each keyed by what its result depends on."""
    ros = host.find_ros(env)
    python = choose_python(ros, env)
    site = VENV / "lib" / python.name() / "site-packages"
    base = content_key(python.executable, str(python.version), str(VENV), ros.prefixes if ros else "wheels")
    core, ros_pins = REQUIREMENTS / "runtime.txt", REQUIREMENTS / ("ros-host.txt" if ros else "ros.txt")
    messages = [ROOT / "CMakeLists.txt", ROOT / "package.xml"]
    messages += [path for kind in ("msg", "srv", "action") for path in (ROOT / kind).iterdir()]
    ros_key = content_key(base, files=[ros_pins])
    stages = [
        Stage("venv", f"{python.name()} environment", base, lambda log: make_venv(python, ros, log), PYTHON),
        pip_stage("runtime", "packages of the core", base, [core], replace_with=ros_pins if ros else None),
        pip_stage("ros", f"build tools beside ROS {ros.distro}" if ros else "ROS 2 Jazzy", base, [ros_pins]),
        *(stand_in(name, ros_key) for name in STAND_INS),
        Stage("command", "command spatia", content_key(base, COMMAND), make_command, VENV / "bin/spatia"),
        Stage("messages", "messages of spatia_ros", content_key(ros_key, files=messages), make_messages, site / "spatia_ros/msg"),
    ]
    if profile == "test":
        stages.append(pip_stage("test", "pytest, ruff, mypy", base, [REQUIREMENTS / "test.txt"]))
        stages.append(pip_stage("train", "torch, diffusers", base, [REQUIREMENTS / "train.txt", REQUIREMENTS / "big.txt"]))
    return stages


def choose_python(ros: InstalledRos | None, env: dict[str, str]) -> Interpreter:
    """The Python of a sourced ROS; else the one named by PYTHON; else that of the present environment; else the host's."""
    wanted = env.get("PYTHON") or None
    if ros:
        return host.find_python(env, ros.python)
    present = host.ask(str(PYTHON), env) if PYTHON.exists() and not wanted else None
    return present if present and not present.lacks() else host.find_python(env, wanted)


def check_before(stages: list[Stage], env: dict[str, str]) -> None:
    """Refuse before the long work begins what would fail at its end."""
    due = {stage.name for stage in stages if not is_done(stage, STAMPS)}
    if due & {*STAND_INS, "messages"}:
        host.check_compiler(env)
    if "ros" in due and host.find_ros(env) is None:
        host.check_wheels()


def make_venv(python: Interpreter, ros: InstalledRos | None, log: Log) -> None:
    """A new environment in place of whatever is there."""
    shutil.rmtree(VENV, ignore_errors=True)
    log.run([python.executable, "-m", "venv", *(["--system-site-packages"] if ros else []), str(VENV)])


def pip_stage(name: str, title: str, base: str, files: list[Path], replace_with: Path | None = None) -> Stage:
    """Install requirement files; pins of ``replace_with`` take the place of those of the same name."""
    extra = [REQUIREMENTS / "constraints.txt", *([replace_with] if replace_with else [])]

    def work(log: Log) -> None:
        drop_half_installed()
        lines = [line for path in files for line in path.read_text().splitlines() if re.match(r"\w", line)]
        replaced = {requirement_name(line): line for line in replace_with.read_text().splitlines()} if replace_with else {}
        merged = BUILD / f"{name}.txt"
        merged.write_text("\n".join(replaced.get(requirement_name(line), line) for line in lines) + "\n")
        pip = [str(PYTHON), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
        log.run([*pip, "-r", str(merged), "-c", str(REQUIREMENTS / "constraints.txt")])

    return Stage(name, title, content_key(base, files=[*files, *extra]), work)


def requirement_name(line: str) -> str:
    """The package a requirement line is about."""
    return re.split(r"[^\w.-]", line.strip(), maxsplit=1)[0].lower()


def drop_half_installed() -> None:
    """Forget packages whose installation was cut off: without its RECORD file pip can neither keep nor replace them."""
    for info in VENV.glob("lib/python*/site-packages/*.dist-info"):
        if not (info / "RECORD").exists():
            shutil.rmtree(info)


def stand_in(name: str, ros_key: str) -> Stage:
    """An interface package of interfaces/, built where the host has none."""
    source = ROOT / "interfaces" / name

    def work(log: Log) -> None:
        blank_foreign_includes(VENV)
        build_where_missing(source, BUILD / name, VENV, STAND_INS[name], log)

    files = [path for path in source.rglob("*") if path.is_file()]
    return Stage(name, f"{name}, where missing", content_key(ros_key, files=files), work)


def make_messages(log: Log) -> None:
    """Our messages, services and actions, generated into the environment."""
    blank_foreign_includes(VENV)
    build_package(ROOT, BUILD / "spatia_ros", VENV, ["-DSPATIA_INTERFACES_ONLY=ON"], log)
    prove(["spatia_ros.msg:SimStatus"], VENV, log)


def make_command(_log: Log) -> None:
    """The command ``spatia``, running the source checkout, which comes first on the path (the generated messages join it).

    Not by ``pip install --editable``: pip would take the generated messages for an older version and remove them.
    """
    command = VENV / "bin" / "spatia"
    command.write_text(COMMAND)
    command.chmod(0o755)
    for site in VENV.glob("lib/python*/site-packages"):
        (site / "spatia_ros.pth").write_text(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n")


if __name__ == "__main__":
    sys.exit(main())
