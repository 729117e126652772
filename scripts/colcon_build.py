"""Build this package with colcon, as a ROS workspace would: ``make ros-build``.

The "installed ROS" is the one you sourced, or the wheels in .venv. colcon itself comes from the PATH,
or into an environment of its own. Results go to build/colcon/install; source its setup.bash.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / "build" / "colcon"


def find_colcon() -> str:
    """The colcon on the PATH, else one installed (once) into build/colcon/tools."""
    own = WORK / "tools"
    found = shutil.which("colcon") or shutil.which("colcon", path=str(own / "bin"))
    if found:
        return found
    venv.create(own, with_pip=True, clear=True)
    pip = [str(own / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(ROOT / "requirements" / "colcon.txt")], check=True, env=outside_wheels())
    return str(own / "bin" / "colcon")


def outside_wheels() -> dict[str, str]:
    """The environment for a Python of another environment: without the mark of this one's start-up hook."""
    marks = ("_ROS_WHEELS_BOOTSTRAP_COMPLETE", "LD_LIBRARY_PATH")
    return {name: value for name, value in os.environ.items() if name not in marks}


def main(arguments: list[str]) -> int:
    """Run ``colcon build`` on this package alone; further arguments go to it."""
    colcon, env = find_colcon(), outside_wheels() if not os.environ.get("ROS_DISTRO") else dict(os.environ)
    prefix = Path(sys.prefix)
    env["PATH"] = os.pathsep.join([str(prefix / "bin"), env["PATH"]])
    env["CMAKE_PREFIX_PATH"] = os.pathsep.join(filter(None, [str(prefix), env.get("CMAKE_PREFIX_PATH", "")]))
    bases = ["--build-base", str(WORK / "build"), "--install-base", str(WORK / "install")]
    python = [f"-DPython3_EXECUTABLE={sys.executable}", "-DPython3_FIND_VIRTUALENV=ONLY"]
    build = [colcon, "--log-base", str(WORK / "log"), "build", "--paths", str(ROOT), *bases]
    done = subprocess.run([*build, *arguments, "--cmake-args", "-DBUILD_TESTING=OFF", *python], env=env, cwd=ROOT, check=False)
    if done.returncode == 0:
        sys.stdout.write(f"now: source {os.path.relpath(WORK / 'install' / 'setup.bash')}\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
