"""What a command becomes: poses of the rig, one a frame, with the time each of them takes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from scipy.spatial.transform import Rotation

from spatia_ros import geometry
from spatia_ros.nodes.rig.frames import Rig
from spatia_ros.nodes.settings import MotionSettings
from spatia_ros.types import Float64, Int64, Step

if TYPE_CHECKING:
    from spatia_ros.world import World

LATENESSES = 100
"""Frames over which jitter is measured."""
TOLERATED = 0.1
"""Share of its period by which a frame may be late and still count as punctual."""


class Move(NamedTuple):
    """One frame's worth of motion."""

    T_map_base: Float64  # 4x4, where the rig is when the frame is exposed
    dt_ns: int | None  # since the last frame; None: one frame period
    jump: bool  # not a motion: odom stays where it is
    index: int  # type: ignore[assignment]  # of this frame in its command; hides the method of tuples
    length: int  # frames of the command
    since_s: float  # time.perf_counter() when it was asked for


class Motion(Protocol):
    """A command being carried out, one frame at a time."""

    @property
    def cameras(self) -> frozenset[str]:
        """Cameras of the rig to be made even if nobody listens to them."""

    @property
    def gives_way(self) -> bool:
        """Whether a frame may be less than configured where there is no time for more."""

    @property
    def ahead_ns(self) -> int | None:
        """Time from the last frame to the next; 0: at once; None: one frame period."""

    @property
    def unfinished(self) -> bool:
        """Whether something is lost when a newer command takes its place."""

    def next(self, rig: Rig, settings: MotionSettings, period_ns: int) -> Move | None:
        """The next frame's pose, or None when the command is done.

        Args:
            period_ns: from the last frame to this one, where the command has no timing of its own.
        """

    def skip(self, frames: int) -> None:
        """Leave out so many frames of a timing of its own, so that fewer frames take as long; never the last."""

    def making(self, world: World) -> AbstractContextManager[None]:
        """Within, the world makes a frame of this motion."""

    def made(self, camera: str, step: Step, stamp_ns: int) -> None:
        """A camera's frame (a step of one) of this motion was published; called on the worker's thread."""


class Plain:
    """A motion whose frames are like any other, and nobody's in particular."""

    cameras: frozenset[str] = frozenset()
    """Cameras of the rig to be made even if nobody listens to them."""
    gives_way: bool = True
    """Whether a frame may be less than configured where there is no time for more."""

    def making(self, world: World) -> AbstractContextManager[None]:  # noqa: ARG002
        """As the world makes frames by itself."""
        return nullcontext()

    def made(self, camera: str, step: Step, stamp_ns: int) -> None:
        """Nobody waits for it."""


@dataclass
class Follow(Plain):
    """Go through poses of the rig given in one of its frames; to the first of them at once.

    Args:
        frame_id: frame of the poses. offsets_ns: int64 [N], time since the first.
        T: float64 [N, 4, 4]. teleport: the first pose is a jump however near it is.
        keep_height: a z of exactly 0 in the map means the height the rig has.
    """

    frame_id: str
    offsets_ns: Int64
    T: Float64
    teleport: bool = False
    keep_height: bool = False
    received_s: float = field(default_factory=time.perf_counter)
    _index: int = 0
    _made: int = -1  # the pose of the last frame

    @property
    def ahead_ns(self) -> int | None:
        """The path's own timing."""
        i = self._index
        return int(self.offsets_ns[i] - self.offsets_ns[self._made]) if 0 < i < len(self.T) else 0

    @property
    def unfinished(self) -> bool:
        """Whether poses are left."""
        return self._index < len(self.T)

    @property
    def begun(self) -> int:
        """Poses whose frame was begun."""
        return self._index

    def next(self, rig: Rig, settings: MotionSettings, period_ns: int) -> Move | None:  # noqa: ARG002
        """The next pose of the path, in the map."""
        i = self._index
        if i == len(self.T):
            return None
        if i == 0:  # what a frame or a height means is settled when the motion begins
            self.T = rig.in_map(self.frame_id, self.T)
            if self.keep_height:
                z = self.T[:, 2, 3]
                z[z == 0.0] = rig.pose.T_map_base[2, 3]
        jump = (self.teleport and i == 0) or rig.is_jump(self.T[i], settings.jump_m, settings.jump_rad)
        move = Move(self.T[i], self.ahead_ns or None, jump, i, len(self.T), time.perf_counter() if i else self.received_s)
        self._index, self._made = i + 1, i
        return move

    def skip(self, frames: int) -> None:
        """Go past poses of a path that has begun."""
        if self._index:
            self._index = max(self._index, min(self._index + frames, len(self.T) - 1))


@dataclass
class Drive(Plain):
    """Move with a velocity [6] in the rig's own axes until it grows old (cmd_vel): by the wall's clock, or by the frames'.

    Args:
        until_s: time.perf_counter() at which it is too old. lasts_ns: time of the frames after which it is.
    """

    twist: Float64
    until_s: float = np.inf
    lasts_ns: int | None = None
    ahead_ns: int | None = None
    unfinished: bool = False
    _driven_ns: int = 0

    def next(self, rig: Rig, settings: MotionSettings, period_ns: int) -> Move | None:
        """One period on along the arc; None when the velocity is zero or too old."""
        twist = self.twist * (1, 0, 0, 0, 0, 1) if settings.twist_model == "unicycle" else self.twist
        now_s = time.perf_counter()
        spent = self.lasts_ns is not None and self._driven_ns >= self.lasts_ns
        if spent or now_s > self.until_s or not twist.any():
            return None
        self._driven_ns += period_ns
        return Move(rig.pose.T_map_base @ exponential(twist * (period_ns * 1e-9)), None, False, 0, 1, now_s)

    def skip(self, frames: int) -> None:
        """Nothing to leave out: a longer period goes farther."""


@dataclass
class Stand(Plain):
    """Stay where the rig is: so many frames, or frame after frame while streaming is on."""

    frames: int = 0
    ahead_ns: int | None = None
    unfinished: bool = False

    def next(self, rig: Rig, settings: MotionSettings, period_ns: int) -> Move | None:  # noqa: ARG002
        """The present pose again."""
        if not (self.frames or settings.stream):
            return None
        self.frames = max(self.frames - 1, 0)
        return Move(rig.pose.T_map_base, None, False, 0, 1, time.perf_counter())

    def skip(self, frames: int) -> None:
        """Nothing to leave out."""


def exponential(twist: Float64) -> Float64:
    """The rigid transform [4, 4] that a velocity [6] (linear, angular, body axes) becomes in unit time.

    The exponential map of SE(3): a constant velocity and turn make a circular arc, exactly.
    """
    v, w = twist[:3], twist[3:]
    angle = float(np.linalg.norm(w))
    W = np.array([[0.0, -w[2], w[1]], [w[2], 0.0, -w[0]], [-w[1], w[0], 0.0]])
    if angle < 1e-6:  # the series, where the closed form divides by nearly zero
        V = np.eye(3) + W / 2 + W @ W / 6
    else:
        V = np.eye(3) + (1 - np.cos(angle)) / angle**2 * W + (angle - np.sin(angle)) / angle**3 * W @ W
    return geometry.pose(Rotation.from_rotvec(w).as_matrix(), V @ v)


class Exposures:
    """The stamps of the frames: simulated exposure times, increasing, uniform unless a path says otherwise.

    Args:
        period_ns: time between frames. start_ns: the time before the first frame.
    """

    def __init__(self, period_ns: int, start_ns: int) -> None:
        self.period_ns, self.last_ns = period_ns, start_ns

    def next(self, dt_ns: int | None, now_ns: int | None = None, periods: int = 1) -> int:
        """The next stamp, ``dt_ns`` (or so many periods) after the last.

        With a clock to keep up with (``now_ns``) and no timing of its own, a frame takes the newest
        tick of the same uniform grid that the clock has passed.
        """
        ahead = dt_ns or periods * self.period_ns
        if dt_ns is None and now_ns is not None:
            ahead = max(ahead, (now_ns - self.last_ns) // self.period_ns * self.period_ns)
        self.last_ns += ahead
        return self.last_ns


class Pace:
    """When the next frame is due, by a clock of seconds (the host's, or simulated time), and how late the last ones were."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s, self._last_s = now_s, -np.inf
        self._late_s: deque[float] = deque(maxlen=LATENESSES)
        self.late = 0
        """Frames published later than a tenth of their period after they were due."""

    def pause_s(self, ahead_s: float) -> float:
        """Seconds until a frame ``ahead_s`` after the last is due; never more than that, should the clock jump back."""
        return min(self._last_s + ahead_s - self._now_s(), ahead_s)

    def begin(self, ahead_s: float) -> None:
        """A frame begins now. One that is late by its whole period does not make the next ones hurry."""
        due, now = self._last_s + ahead_s, self._now_s()
        self._last_s = due if abs(now - due) < ahead_s else now

    def published(self, period_s: float) -> None:
        """The frame that was begun is out: it was due when the next one may begin, a period after its own beginning."""
        late_s = self._now_s() - (self._last_s + period_s)
        self._late_s.append(late_s)
        self.late += late_s > TOLERATED * period_s

    @property
    def jitter_s(self) -> float:
        """Standard deviation of publication minus due time, over the last frames."""
        return float(np.std(list(self._late_s))) if self._late_s else 0.0
