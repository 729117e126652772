"""Following what appeared where space was free, from frame to frame, and telling what moves from what stays."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linear_sum_assignment

from spatia_ros import geometry
from spatia_ros.actors.mover import State
from spatia_ros.slam.witnesses import Cells
from spatia_ros.types import Bool, Camera, Float32, Float64

MAX_POINTS = 256
"""Points of one observation that are kept to see whether it stayed."""
FOLLOWED_M = 0.3
"""A track may have strayed this far (plus its size) from where it was expected."""
LOST_S, RESTING_LOST_S = 1.0, 5.0
"""A track that nothing was matched to for this long is over."""
GLANCE_S = 0.2
"""Observations at least this old are asked whether the thing has left them."""
LEFT_SHARE, STAYED_SHARE = 0.25, 0.1
"""Share of an old observation that is seen through now: above, the thing moves; below, it may rest."""
TOUCH_M = 0.1
"""Tracks no farther apart that move alike are one."""
FEWEST_POINTS = 8
"""Of an old observation in view, for it to say anything."""
DOUBT_S = 0.5
"""What does not fit is kept out this long; if it has not moved by then, it is let in (and removed, should it move later)."""
LEAVING = 2
"""Frames on end that must see through where it was: a pose that is wrong once is soon another."""
STRIDE_M = 0.3
"""Moving this far is moving, seen through or not (what comes nearer hides where it was)."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """A group of cells of one frame: bool [h, w], its points float64 [N, 3] in the world, and their box [3], [3], m."""

    cells: Bool
    points: Float64
    low: Float64
    high: Float64


@dataclass(slots=True, eq=False)
class Track:
    """One thing, followed."""

    id: int
    stamp_ns: int
    low: Float64
    high: Float64
    velocity: Float64
    origin: Float64
    first_ns: int
    state: State = "tentative"
    leaving: int = 0
    """In how many frames on end it was seen to have left where it was."""
    seen: deque[tuple[int, Float64]] = field(default_factory=deque)


    @property
    def centre(self) -> Float64:
        """float64 [3], m."""
        return 0.5 * (self.low + self.high)

    def expected(self, stamp_ns: int) -> tuple[Float64, Float64]:
        """Its box, low and high corner [3], m, at a time, if it goes on as it did."""
        shift = self.velocity * ((stamp_ns - self.stamp_ns) * 1e-9)
        return self.low + shift, self.high + shift

    def box_ahead(self, share: float, around: float) -> tuple[Float64, Float64]:
        """Its box, low and high corner [3], m, longer by a share of it the way it moves, and of its largest side all around."""
        speed, slack = float(np.linalg.norm(self.velocity)), around * float((self.high - self.low).max())
        ahead = share * (self.high - self.low) * self.velocity / max(speed, 1e-3)
        return self.low + np.minimum(ahead, 0.0) - slack, self.high + np.maximum(ahead, 0.0) + slack

    def holds(self, cluster: Cluster) -> bool:
        """Whether a cluster lies in its box."""
        return bool((cluster.low >= self.low - TOUCH_M).all() and (cluster.high <= self.high + TOUCH_M).all())

    @property
    def young(self) -> bool:
        """Whether it has not moved much farther than its own length."""
        return float(np.linalg.norm(self.travelled)) < 1.5 * self.length

    @property
    def length(self) -> float:
        """Of its box's diagonal, m."""
        return float(np.linalg.norm(self.high - self.low))

    def passing_s(self) -> float:
        """How long it takes to move by its own length, s."""
        speed = float(np.linalg.norm(self.velocity))
        return float(np.abs(self.velocity) @ (self.high - self.low)) / max(speed, 1e-3) ** 2

    def held(self, stamp_ns: int) -> bool:
        """Whether it is kept out of memory: what moves is, and for a short while what may."""
        return self.state == "moving" or (self.state == "tentative" and stamp_ns - self.first_ns <= DOUBT_S * 1e9)

    @property
    def travelled(self) -> Float64:
        """float64 [3], from where it was first seen, m."""
        return self.centre - self.origin


def left(points: Float64, cells: Cells) -> tuple[float, float]:
    """Of world points [N, 3] in view of a frame: the share not hidden, and the share of those that is seen through."""
    pixels, depth = geometry.project(points, cells.camera, cells.T_world_cam)
    inside = (depth > 0) & (pixels >= 0).all(1) & (pixels[:, 0] < cells.camera.width) & (pixels[:, 1] < cells.camera.height)
    if inside.sum() < FEWEST_POINTS:
        return 0.0, 0.0
    u, v = pixels[inside].astype(np.int64).T
    z = depth[inside].astype(np.float32)
    margin = cells.margin(z)
    unhidden = (cells.depth[v, u] > z - margin) & (cells.depth[v, u] > 0)
    through = unhidden & (cells.lowest[v, u] > z + margin)
    return float(unhidden.mean()), float(through.sum() / max(int(unhidden.sum()), 1))


def match(tracks: list[Track], clusters: list[Cluster], stamp_ns: int) -> dict[int, list[Cluster]]:
    """Clusters by track id: what lies within something that rests, one to one by distance to where each track is expected,
    then left-over pieces of it.

    Clusters that no track explains are not in the answer.
    """
    if not tracks or not clusters:
        return {}
    resting = [t for t in tracks if t.state == "resting"]
    within = {id(c): next((t for t in resting if t.holds(c)), None) for c in clusters}
    found: dict[int, list[Cluster]] = {}
    for cluster in clusters:
        if (track := within[id(cluster)]) is not None:
            found.setdefault(track.id, []).append(cluster)
    tracks, clusters = [t for t in tracks if t.id not in found], [c for c in clusters if within[id(c)] is None]
    if not tracks or not clusters:
        return found
    cost = np.empty((len(tracks), len(clusters)))
    for i, track in enumerate(tracks):
        for j, cluster in enumerate(clusters):
            cost[i, j] = _apart(*track.expected(stamp_ns), cluster.low, cluster.high)
    for i, j in zip(*linear_sum_assignment(cost), strict=True):
        if cost[i, j] < FOLLOWED_M:
            found[tracks[i].id] = [clusters[j]]
    taken = {id(c) for group in found.values() for c in group}
    for j in np.flatnonzero([id(c) not in taken for c in clusters]):
        i = int(np.argmin(cost[:, j]))
        if cost[i, j] <= 0.0:
            found.setdefault(tracks[i].id, []).append(clusters[j])
    return found


def together(a: Track, b: Track) -> bool:
    """Whether two tracks are parts of one thing: both move, alike, and touch."""
    if a.state != "moving" or b.state != "moving" or _apart(a.low, a.high, b.low, b.high) > TOUCH_M:
        return False
    speed = max(float(np.linalg.norm(a.velocity)), float(np.linalg.norm(b.velocity)))
    return float(np.linalg.norm(a.velocity - b.velocity)) < 0.5 * speed


def join(older: Track, younger: Track) -> None:
    """Make one track of two."""
    before = older.centre
    older.low, older.high = np.minimum(older.low, younger.low), np.maximum(older.high, younger.high)
    older.origin = older.origin + older.centre - before  # a larger box is no way travelled
    stamp_ns, points = older.seen[-1]
    if younger.seen[-1][0] == stamp_ns:
        older.seen[-1] = stamp_ns, np.concatenate([points, younger.seen[-1][1]])


def _apart(low_a: Float64, high_a: Float64, low_b: Float64, high_b: Float64) -> float:
    """Gap between two boxes, m; when they overlap, minus their intersection over union."""
    gap = np.maximum(np.maximum(low_a - high_b, low_b - high_a), 0.0)
    if gap.any():
        return float(np.linalg.norm(gap))
    both = np.prod(np.minimum(high_a, high_b) - np.maximum(low_a, low_b))
    union = np.prod(high_a - low_a) + np.prod(high_b - low_b) - both
    return -float(both / union) if union > 0 else 0.0


def started(number: int, cluster: Cluster, stamp_ns: int) -> Track:
    """A new track; it is tentative."""
    centre = 0.5 * (cluster.low + cluster.high)
    track = Track(number, stamp_ns, cluster.low, cluster.high, np.zeros(3), centre, stamp_ns)
    track.seen.append((stamp_ns, _some(cluster.points)))
    return track


def follow(track: Track, pieces: list[Cluster], cells: Cells, settle_s: float) -> None:
    """Take what was matched into a track (constant velocity, smoothed) and judge whether it moves or rests."""
    stamp_ns = cells.stamp_ns
    before, seconds = track.centre, (stamp_ns - track.stamp_ns) * 1e-9
    # Once memory shows what rests, only pieces of it are still noticed: they make it no smaller.
    if track.state != "resting" or not all(track.holds(piece) for piece in pieces):
        track.low, track.high = np.min([p.low for p in pieces], 0), np.max([p.high for p in pieces], 0)
    if seconds > 0:
        track.velocity = track.velocity + 0.4 * ((track.centre - before) / seconds - track.velocity)
    track.stamp_ns = stamp_ns
    track.seen.append((stamp_ns, _some(np.concatenate([p.points for p in pieces]))))
    while len(track.seen) > 2 and stamp_ns - track.seen[1][0] >= settle_s * 1e9:
        track.seen.popleft()
    track.state = _judged(track, settle_s, cells)
    if track.state == "resting":
        track.origin = track.centre


def _judged(track: Track, settle_s: float, cells: Cells) -> State:
    stamp_ns = cells.stamp_ns
    glances = [points for seen_ns, points in track.seen if stamp_ns - seen_ns >= GLANCE_S * 1e9]
    unhidden, through = left(glances[0], cells) if glances else (0.0, 0.0)
    track.leaving = track.leaving + 1 if unhidden > 0.2 and through > LEFT_SHARE else 0
    if track.leaving >= LEAVING and np.linalg.norm(track.travelled) > _margin_at(track, cells):
        return "moving"
    waited = stamp_ns - track.seen[0][0] >= settle_s * 1e9
    if waited and unhidden > 0.5 and through < STAYED_SHARE:
        return "resting"
    if track.state == "tentative" and np.linalg.norm(track.travelled) > STRIDE_M:
        return "moving"
    return track.state


def _margin_at(track: Track, cells: Cells) -> float:
    """What may be noise where a track is, m."""
    away = np.linalg.norm(track.centre - cells.T_world_cam[:3, 3])
    return float(cells.margin(np.array([away], np.float32))[0])


def over(track: Track, stamp_ns: int) -> bool:
    """Whether a track has been without a match for too long."""
    patience_s = RESTING_LOST_S if track.state == "resting" else LOST_S
    return stamp_ns - track.stamp_ns > patience_s * 1e9


def _some(points: Float64) -> Float64:
    return points[:: max(1, -(-len(points) // MAX_POINTS))]


def cluster_of(cells: Bool, depth: Float32, camera: Camera, T_world_cam: Float64) -> Cluster:
    """The cluster of some cells; its box leaves out the outermost hundredth of points on every side."""
    points, _ = geometry.backproject(np.where(cells, depth, np.float32(0)), camera, T_world_cam)
    low, high = np.quantile(points, (0.01, 0.99), axis=0)
    return Cluster(cells, points, low, high)
