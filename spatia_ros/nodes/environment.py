"""The environment variables ROS needs here, in one place: for child processes, for a shell, and for this process.

    eval "$(python -m spatia_ros.nodes.environment)"             # in a shell
    python -m spatia_ros.nodes.environment ros2 topic list       # around one command

Standard library only, and rclpy is not imported: all of this must be settled before it is. What
the user has set is kept, except what would break rclpy.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": str(256 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_TOP_PAD_": str(32 << 20),
    "MALLOC_ARENA_MAX": "1",
}
"""glibc returns and re-faults the pages of every large message otherwise; the first three halve image latency.

What is kept that way is kept for each arena, and glibc makes one for nearly every thread: memory use would grow for hours,
towards the sum of what each thread needed at its worst moment. With one arena it stays (docs/reliability.md has the figures).
"""

ROOMY_SHM_BYTES = 256 << 20
"""From this size of /dev/shm on, every participant may take 32 MB of it."""

_ENTERED = "SPATIA_ROS_ENVIRONMENT"
_WHEELS_HOOK = "_ROS_WHEELS_BOOTSTRAP_COMPLETE"


def ros_environment(base: Mapping[str, str]) -> dict[str, str]:
    """``base`` completed so that a Python started with it can use rclpy, our messages, and send images.

    - ``AMENT_PREFIX_PATH`` names this environment (package shares, message type descriptions);
    - Fast DDS gets a profile whose shared memory holds images, smaller where ``/dev/shm`` is small;
    - malloc keeps the memory of large messages;
    - discovery is left to that profile: this machine only, and the domain is the user's ROS_DOMAIN_ID;
    - the ROS wheels' start-up hook runs afresh: its mark and library path, inherited from another
      environment, would load that one's libraries.
    """
    env, prefix = dict(base), Path(sys.prefix)
    if env.pop(_WHEELS_HOOK, None):
        _keep(env, "LD_LIBRARY_PATH", lambda path: not _of_wheels(path))
    if (prefix / "share" / "ament_index").is_dir():
        _put_first(env, "AMENT_PREFIX_PATH", prefix)
        if runs_on_wheels():
            env["RMW_IMPLEMENTATION"] = "rmw_fastrtps_cpp"  # the only one there is as a wheel
        else:
            _put_first(env, "LD_LIBRARY_PATH", prefix / "lib")
    profile = str(fastdds_profile())
    for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        env.setdefault(name, profile)
    env.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "SYSTEM_DEFAULT")
    for name, value in MALLOC.items():
        env.setdefault(name, value)
    return env


def runs_on_wheels() -> bool:
    """Whether rclpy comes from wheels in this environment rather than from an installed ROS."""
    site = Path(sys.prefix) / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    return (site / "ros_wheels_bootstrapper").is_dir()


def fastdds_profile(shm: Path = Path("/dev/shm")) -> Path:
    """The Fast DDS profile that fits this machine's shared memory.

    Raises:
        FileNotFoundError: when the configuration folder is neither beside the package nor in its share.
    """
    name = "fastdds.xml" if _size_bytes(shm) >= ROOMY_SHM_BYTES else "fastdds_small.xml"
    folders = [f for parent in Path(__file__).parents for f in (parent / "config", parent / "share" / "spatia_ros" / "config")]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"config/{name}: expected it beside the package or in share/spatia_ros, found it in neither")


def enter() -> None:
    """Make this process run in :func:`ros_environment`: restart it once when a value differs.

    Call it first thing in a program that will import rclpy; malloc and the loader read theirs only
    at the start of a process. It does nothing in a process that is already set up.
    """
    env = ros_environment(os.environ)
    if os.environ.get(_ENTERED) == sys.prefix:
        return
    env[_ENTERED] = sys.prefix
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], env)


def shell_lines(base: Mapping[str, str]) -> list[str]:
    """The ``export`` and ``unset`` lines that bring a shell from ``base`` to :func:`ros_environment`."""
    env = ros_environment(base)
    gone = [f"unset {name}" for name in sorted(base) if name not in env]
    return gone + [f"export {name}={shlex.quote(value)}" for name, value in sorted(env.items()) if base.get(name) != value]


def _of_wheels(path: Path) -> bool:
    """Whether the wheels' hook put this folder on the library path: an environment's lib, or libraries packed in a wheel."""
    return path.match("ros_*.libs") or (path.name == "lib" and (path.parent / "pyvenv.cfg").is_file())


def _keep(env: dict[str, str], name: str, wanted: Callable[[Path], bool]) -> None:
    kept = [p for p in env.pop(name, "").split(os.pathsep) if p and wanted(Path(p))]
    if kept:
        env[name] = os.pathsep.join(kept)


def _put_first(env: dict[str, str], name: str, path: Path) -> None:
    _keep(env, name, lambda other: other != path)
    env[name] = os.pathsep.join(filter(None, [str(path), env.get(name, "")]))


def _size_bytes(folder: Path) -> int:
    if not folder.is_dir():
        return 0
    status = os.statvfs(folder)
    return status.f_blocks * status.f_frsize


def main(arguments: list[str]) -> None:
    """Print the lines for a shell, or become the given command in the environment."""
    if not arguments:
        sys.stdout.write("\n".join(shell_lines(os.environ)) + "\n")
        return
    env = ros_environment(os.environ)
    program = shutil.which(arguments[0], path=env.get("PATH"))
    if program is None:
        raise SystemExit(f"{arguments[0]}: no such command")
    os.execve(program, arguments, env)


if __name__ == "__main__":
    main(sys.argv[1:])
