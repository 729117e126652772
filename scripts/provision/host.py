"""What this machine offers: a Python to build on, a compiler, perhaps an installed ROS.

Everything missing is one sentence that says what to install. Standard library only; must at least
parse on old Pythons, because it is what tells their users to get a newer one.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SUPPORTED = ((3, 10), (3, 11), (3, 12))
USUAL_PYTHONS = ("python3", "python3.12", "python3.11", "python3.10", "/usr/bin/python3")
NEEDED, INSTALL = "Python 3.10, 3.11 or 3.12", "sudo apt install python3 python3-venv python3-dev"
WHEEL_MACHINE, WHEEL_GLIBC = "x86_64", (2, 28)

# What a Python is asked about itself. `base` is the interpreter behind a virtual environment, if it is one.
_QUESTIONS = """
import importlib.util, json, os, sys, sysconfig
print(json.dumps({
    "version": sys.version_info[:2],
    "base": getattr(sys, "_base_executable", None) or sys.executable,
    "venv": all(importlib.util.find_spec(m) for m in ("venv", "ensurepip")),
    "headers": os.path.isfile(os.path.join(sysconfig.get_path("include"), "Python.h")),
}))
"""


class SetupError(RuntimeError):
    """Set-up cannot go on; the message is a sentence for the user."""


@dataclass(frozen=True)
class Interpreter:
    """A Python as it describes itself."""

    executable: str
    version: tuple[int, int]
    venv: bool
    headers: bool

    def name(self) -> str:
        """Its usual name, as in ``lib/python3.11``."""
        return f"python{self.version[0]}.{self.version[1]}"

    def lacks(self) -> str:
        """What must be installed before this Python can be used; empty when nothing."""
        if self.version not in SUPPORTED:
            return f"{NEEDED} is needed and {self.executable} is {self.name()}: install one of them ({INSTALL})"
        missing = [f"{self.name()}-venv"] if not self.venv else []
        missing += [f"{self.name()}-dev"] if not self.headers else []
        return f"{self.executable} is missing parts of itself: sudo apt install {' '.join(missing)}" if missing else ""


@dataclass(frozen=True)
class InstalledRos:
    """A sourced ROS installation: its name and the Python that its rclpy belongs to."""

    distro: str
    python: str
    prefixes: str


def clean_environment(environ: dict[str, str], prefix: Path) -> dict[str, str]:
    """``environ`` without what an activated environment of ours, or of other ROS wheels, leaves behind.

    The wheels' start-up hook marks the environment as done and sets the library path; a child of
    another environment that inherits the mark would run on the wrong libraries.
    """
    env = dict(environ)
    if env.pop("_ROS_WHEELS_BOOTSTRAP_COMPLETE", None):
        paths = [Path(p) for p in env.get("LD_LIBRARY_PATH", "").split(os.pathsep)]
        ours = [p for p in paths if p.match("ros_*.libs") or (p.parent / "pyvenv.cfg").is_file()]
        env["LD_LIBRARY_PATH"] = os.pathsep.join(str(p) for p in paths if p not in ours)
    for name in ("PYTHONHOME", "VIRTUAL_ENV"):
        env.pop(name, None)
    for name in ("PATH", "AMENT_PREFIX_PATH", "CMAKE_PREFIX_PATH", "LD_LIBRARY_PATH"):
        kept = [p for p in env.get(name, "").split(os.pathsep) if p and not Path(p).is_relative_to(prefix)]
        env.pop(name, None)
        if kept:
            env[name] = os.pathsep.join(kept)
    return env


def ask(executable: str, env: dict[str, str]) -> Interpreter | None:
    """The interpreter behind a command, or None when it does not run (a version manager's dead shim, say)."""
    try:
        # -S: without site packages, whose start-up hooks are slow
        done = subprocess.run([executable, "-S", "-c", _QUESTIONS], env=env, capture_output=True, text=True, timeout=60)
        answer = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return Interpreter(os.path.realpath(answer["base"]), tuple(answer["version"]), answer["venv"], answer["headers"])


def find_python(env: dict[str, str], preferred: str | None = None) -> Interpreter:
    """The first complete, supported Python among ``preferred`` or the usual names.

    Raises:
        SetupError: when there is none; the sentence is about the one the user would expect to be used.
    """
    found = []
    for name in [preferred] if preferred else USUAL_PYTHONS:
        python = ask(name, env) if shutil.which(name, path=env.get("PATH")) else None
        if python and not python.lacks():
            return python
        found += [python] if python else []
    if not found:
        raise SetupError(f"{preferred or 'python3'} does not run: install {NEEDED} ({INSTALL})")
    nearest = next((p for p in found if p.version in SUPPORTED), found[0])
    raise SetupError(nearest.lacks())


def find_ros(env: dict[str, str]) -> InstalledRos | None:
    """The sourced ROS installation whose rclpy ``python3`` imports, or None."""
    if not (env.get("ROS_DISTRO") and env.get("AMENT_PREFIX_PATH")):
        return None
    try:
        done = subprocess.run(["python3", "-c", "import rclpy.node"], env=env, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        done = None
    if done is None or done.returncode != 0:
        name = env["ROS_DISTRO"]
        print(f"  ROS_DISTRO is {name} but python3 cannot import its rclpy: using the ROS wheels instead", file=sys.stderr)
        return None
    python = shutil.which("python3", path=env.get("PATH"))
    return InstalledRos(env["ROS_DISTRO"], python or "python3", env["AMENT_PREFIX_PATH"])


def check_wheels() -> None:
    """Raise unless the ROS wheels run on this machine."""
    if sys.platform != "linux":
        raise SetupError(f"Linux is needed, this is {sys.platform}: use a Linux machine, a container or WSL 2")
    machine, (libc, version) = platform.machine(), platform.libc_ver()
    if machine != WHEEL_MACHINE:
        advice = "install ROS 2 (Jazzy or Humble), source its setup.bash, and try again"
        raise SetupError(f"the ROS wheels are for {WHEEL_MACHINE} and this is {machine}: {advice}")
    if libc != "glibc" or tuple(int(n) for n in version.split(".")[:2]) < WHEEL_GLIBC:
        has = f"{libc or 'another libc'} {version}".strip()
        raise SetupError(f"the ROS wheels need glibc 2.28 or newer and this system has {has}: use Debian 12 or Ubuntu 22.04")


def check_compiler(env: dict[str, str]) -> None:
    """Raise unless there is a C and C++ compiler to build the messages with."""
    needed = (env.get("CXX", "g++"), env.get("CC", "gcc"))
    missing = [name for name in needed if not shutil.which(name.split()[0], path=env.get("PATH"))]
    if missing:
        names = " and ".join(missing)
        raise SetupError(f"{names} not found, and the ROS messages must be compiled: install a compiler (sudo apt install g++)")
