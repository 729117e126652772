"""Build interface packages with CMake straight into the virtual environment: nothing to source afterwards."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from stages import Log

# The include path of the container the wheels were made in; CMake refuses targets that name a missing folder.
_FOREIGN_INCLUDE = re.compile(r'/opt/python/cp[^;"]*;?')

_ORIGIN = "import importlib.util as u; s = u.find_spec('{0}'); print(s.origin if s else '')"
_PROOF = """
import importlib, sys
from rclpy.type_support import check_for_type_support
for name in sys.argv[1:]:
    module, kind = name.split(":")
    check_for_type_support(getattr(importlib.import_module(module), kind))
"""


def build_environment(env: dict[str, str], venv: Path) -> dict[str, str]:
    """The environment in which CMake finds the packages of ``venv`` first, then those of a sourced ROS."""
    out = dict(env, VIRTUAL_ENV=str(venv))
    for name, first in (("PATH", venv / "bin"), ("AMENT_PREFIX_PATH", venv), ("CMAKE_PREFIX_PATH", venv)):
        out[name] = os.pathsep.join(filter(None, [str(first), env.get(name, "")]))
    return out


def blank_foreign_includes(venv: Path) -> None:
    """Make the wheels' CMake files usable here (they name a folder of the machine they were built on)."""
    for path in venv.glob("share/*/cmake/*rosidl_generator_pyExport.cmake"):
        text = path.read_text()
        clean = _FOREIGN_INCLUDE.sub("", text)
        if clean != text:
            path.write_text(clean)


def build_package(source: Path, build: Path, venv: Path, options: list[str], log: Log) -> None:
    """Configure, build and install one interface package; a build folder left by an interrupted run is made anew."""
    shutil.rmtree(build, ignore_errors=True)
    env = build_environment(log.env, venv)
    cmake, python = str(venv / "bin/cmake"), f"{venv}/bin/python"
    where = ["-S", str(source), "-B", str(build), f"-DCMAKE_INSTALL_PREFIX={venv}"]
    which = [f"-DPython3_EXECUTABLE={python}", "-DPython3_FIND_VIRTUALENV=ONLY"]
    log.run([cmake, "-G", "Ninja", *where, *which, "-DCMAKE_BUILD_TYPE=Release", "-DBUILD_TESTING=OFF", *options], env)
    log.run([cmake, "--build", str(build)], env)
    log.run([cmake, "--install", str(build)], env)


def build_where_missing(source: Path, build: Path, venv: Path, proof: str, log: Log) -> None:
    """Build a stand-in (its folder has the package's name) only where none is installed; an installed one is never shadowed.

    Args:
        proof: ``module:Type`` that rclpy must then be able to load.
    """
    origin = log.output([str(venv / "bin/python"), "-c", _ORIGIN.format(source.name)])
    if origin and not Path(origin).is_relative_to(venv):
        return
    build_package(source, build, venv, [], log)
    prove([proof], venv, log)


def prove(types: list[str], venv: Path, log: Log) -> None:
    """Raise unless rclpy can load the type support of ``module:Type`` s, as its publishers will."""
    env = build_environment(log.env, venv)
    if log.env.get("LD_LIBRARY_PATH"):
        env["LD_LIBRARY_PATH"] = os.pathsep.join([str(venv / "lib"), log.env["LD_LIBRARY_PATH"]])
    log.run([str(venv / "bin/python"), "-c", _PROOF, *types], env, cwd=venv)
