"""Camera paths as text, one pose a line: what evo, TUM's tools and our own readers take."""

from __future__ import annotations

from pathlib import Path

from spatia_ros.geometry import quat_xyzw
from spatia_ros.record.files import write_text
from spatia_ros.types import Float64, Trajectory

HEADER = "# timestamp tx ty tz qx qy qz qw (T_world_cam, OpenCV axes, metres, seconds)\n"


def stamp_text(stamp_ns: int) -> str:
    """Decimal seconds with every nanosecond, which a float would round."""
    return f"{stamp_ns // 10**9}.{stamp_ns % 10**9:09d}"


def pose_line(stamp_ns: int, T_world_cam: Float64) -> str:
    """``t tx ty tz qx qy qz qw``."""
    numbers = [*T_world_cam[:3, 3], *quat_xyzw(T_world_cam)]
    return stamp_text(stamp_ns) + "".join(f" {value:.9f}" for value in numbers) + "\n"


def write_poses(path: Path, trajectory: Trajectory) -> None:
    """Write a trajectory (TUM format), atomically."""
    lines = [pose_line(int(t), T) for t, T in zip(trajectory.stamps_ns, trajectory.T_world_cam, strict=True)]
    write_text(path, HEADER + "".join(lines))
