"""Where the camera is, from what it sees: frames registered to keyframes, keyframes chosen by information.

A frame is registered to the keyframes that show most of what it shows, from where its last motion would have brought it.
If that fit is poor, the motion is looked for by features; if no motion explains the frame, tracking is *lost*: this
is said, no pose is made up, and every later frame is held against the keyframes until one of them is recognised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from spatia_ros import geometry
from spatia_ros.config import TrackingConfig
from spatia_ros.memory.keyframes import shown_in_each
from spatia_ros.slam.odometry import Registration, exp, register_to_many, twist_of
from spatia_ros.slam.relocalise import alike, by_features, plausible, turned
from spatia_ros.slam.tracked_image import TrackedImage, TrackingKeyframe
from spatia_ros.types import Camera, Float32, Float64, UInt8, check_pose

State = Literal["started", "tracked", "lost", "relocalised"]
SAME_SURFACE = 0.1
"""Relative depth agreement when overlap is counted."""
MIN_OVERLAP = 0.1
"""Share of a frame that a keyframe must show to be registered to."""
CORRELATED_PX = 50.0
"""Residuals of so many neighbouring pixels are worth one: depth and colour err together in patches."""
NOTHING = np.zeros((6, 6))


@dataclass(frozen=True, slots=True)
class Tracked:
    """What the tracker says of one frame.

    Args:
        T_world_cam: float64 [4, 4]; the last known pose while ``state`` is "lost".
        state: "started" (the first frame), "tracked", "lost", or "relocalised" (found again).
        fitness: share of the frame's known pixels that lie on a keyframe's surface, 0..1.
        rmse_m: of their distances to it, metres.
        information: float64 [6, 6] of (translation, rotation) in camera axes; zeros when started or lost.
        keyframe: whether the frame became a keyframe of the tracker.
    """

    T_world_cam: Float64
    state: State
    fitness: float
    rmse_m: float
    information: Float64
    keyframe: bool = False


class Tracker:
    """Tracks one camera.

    Args:
        config: of tracking. camera: intrinsics of every frame.
        T_world_cam: where the first frame was taken; the world's origin if None.
    """

    def __init__(self, config: TrackingConfig, camera: Camera, T_world_cam: Float64 | None = None) -> None:
        self.config, self.camera = config, camera
        self.keyframes: list[TrackingKeyframe] = []
        self.T_world_cam = np.eye(4) if T_world_cam is None else T_world_cam
        check_pose("T_world_cam", self.T_world_cam)
        self.stamp_ns = 0
        self.lost = False
        self._last: TrackingKeyframe | None = None
        self._velocity: Float64 = np.zeros(6)
        self._best_information = 0.0

    def track(self, rgb: UInt8, depth: Float32, stamp_ns: int) -> Tracked:
        """Find the pose of the next frame.

        Args:
            rgb: uint8 [H, W, 3]. depth: float32 [H, W], metres, 0 = unknown. stamp_ns: its time.

        Raises:
            SpatiaError: on images of another size or type, or depth that is not finite.
        """
        image = TrackedImage(rgb, depth, self.camera, self.config)
        if self._last is None:
            return self._start(image, stamp_ns)
        dt_s = max((stamp_ns - self.stamp_ns) * 1e-9, 1e-3)
        found = None
        if image.has_depth:
            predicted = self.T_world_cam @ exp(self._velocity * dt_s)
            found = self._best(image, [predicted, self.T_world_cam], dt_s) or self._search(image, dt_s)
        if found is None:
            self.lost, self._velocity = True, np.zeros(6)
            return Tracked(self.T_world_cam, "lost", 0.0, 0.0, NOTHING)
        return self._accept(image, found, stamp_ns, dt_s)

    def correct(self, T_world_cam: Mapping[int, Float64]) -> None:
        """Move keyframes to corrected poses, by their times (a loop was closed).

        What is not mentioned, and the present pose, move with the mentioned keyframe nearest in time.
        """
        before = {k.stamp_ns: k.T_world_cam for k in self.keyframes if k.stamp_ns in T_world_cam}
        if not before:
            return

        def corrected(T: Float64, stamp_ns: int) -> Float64:
            nearest = min(before, key=lambda known: abs(known - stamp_ns))
            return T_world_cam[nearest] @ geometry.inverse(before[nearest]) @ T

        self.T_world_cam = corrected(self.T_world_cam, self.stamp_ns)
        for keyframe in {id(k): k for k in (*self.keyframes, self._last) if k is not None}.values():
            keyframe.move(corrected(keyframe.T_world_cam, keyframe.stamp_ns))

    def _start(self, image: TrackedImage, stamp_ns: int) -> Tracked:
        if not image.has_depth:
            return Tracked(self.T_world_cam, "lost", 0.0, 0.0, NOTHING)
        self.stamp_ns, self._last = stamp_ns, TrackingKeyframe(image, self.T_world_cam, stamp_ns)
        self._keep(self._last)
        return Tracked(self.T_world_cam, "started", 1.0, 0.0, NOTHING, keyframe=True)

    def _search(self, image: TrackedImage, dt_s: float) -> Registration | None:
        """The pose by features: of the frames seen last or, when lost, of any that look alike; else by turning about."""
        assert self._last is not None
        near = [self._last, *self._overlapping(image, self.T_world_cam)[:2]]
        found = self._best(image, by_features(image, near, self.config.min_matches), dt_s)
        if found is not None:
            return found
        if not self.lost:
            return self._best(image, turned(self.T_world_cam), dt_s)
        candidates = alike(image, self.keyframes, self.config.relocalise_keyframes)
        for guess in by_features(image, candidates, self.config.min_matches):
            found = self._best(image, [guess], None)
            if found is not None:
                return found
        return None

    def _best(self, image: TrackedImage, guesses: Iterable[Float64], dt_s: float | None) -> Registration | None:
        """The registration that explains the frame best, from several guesses, if it is to be believed.

        Args:
            dt_s: time since the last known pose, within which the motion must be plausible; None: any motion is.
        """
        assert self._last is not None
        coarsest = len(image.pyramid.levels) - 1
        rough = [r for r in (self._register(image, self._overlapping(image, g), g, coarsest) for g in guesses) if r is not None]
        if not rough:
            return None
        guess = max(rough, key=self.fit).T_target_source
        found = self._register(image, self._overlapping(image, guess), guess)
        if found is None or self.fit(found) < self.config.sure_fit:
            # Keyframes whose poses disagree pull a frame apart; the last frame alone cannot.
            alone = self._register(image, [self._last], guess)
            found = max((r for r in (found, alone) if r is not None), key=self.fit)
        return found if self._holds(found, dt_s) else None

    def _register(
        self, image: TrackedImage, keyframes: list[TrackingKeyframe], T_guess: Float64, last_level: int = 0
    ) -> Registration | None:
        if not keyframes:
            return None
        return register_to_many(image.pyramid, [k.target for k in keyframes], T_guess, self.config, last_level)

    def fit(self, found: Registration) -> float:
        """How well a registration explains a frame, 0..1: agreement in depth times agreement in colour.

        Colours agree by the share of contrast that is explained, or by how far the difference stays below what is
        allowed: contrast alone would refuse a plain wall, of which only noise remains to be explained.
        """
        bounded = 1.0 - (found.colour_rmse / self.config.max_colour_error) ** 2
        return found.agreement * max(found.explained, bounded, 0.0)

    def _holds(self, found: Registration, dt_s: float | None) -> bool:
        """Whether a registration is to be believed."""
        c = self.config
        if found.fitness < c.min_fitness or self.fit(found) < c.min_fit or uncertainty_m(found.information) > c.max_uncertainty_m:
            return False
        return dt_s is None or plausible(self.T_world_cam, found.T_target_source, dt_s, c.max_speed_m_s, c.max_turn_rad_s)

    def _accept(self, image: TrackedImage, found: Registration, stamp_ns: int, dt_s: float) -> Tracked:
        """Move to a pose that holds, and keep the frame if the keyframes tell too little about it."""
        T = found.T_target_source
        self._velocity = np.zeros(6) if self.lost else twist_of(geometry.inverse(self.T_world_cam) @ T) / dt_s
        state: State = "relocalised" if self.lost else "tracked"
        self.T_world_cam, self.stamp_ns, self.lost = T, stamp_ns, False
        self._last = TrackingKeyframe(image, T, stamp_ns)
        information = spread_of(found.information) * self.fit(found)
        self._best_information = max(self._best_information, information)
        keep = information < self.config.keyframe_information * self._best_information
        if keep:
            self._keep(self._last)
        return Tracked(T, state, found.fitness, found.rmse_m, found.information, keep)

    def _keep(self, keyframe: TrackingKeyframe) -> None:
        if len(self.keyframes) >= self.config.keyframes:
            del self.keyframes[_most_redundant(self.keyframes)]
        self.keyframes.append(keyframe)
        self._best_information = 0.0

    def _overlapping(self, image: TrackedImage, T_world_cam: Float64) -> list[TrackingKeyframe]:
        """The keyframes that show most of an image at a pose, best first."""
        view, samples = image.samples(T_world_cam), [k.samples for k in self.keyframes]
        grids, intrinsics, T = (np.stack([getattr(s, name) for s in samples]) for name in ("grid", "intrinsics", "T_cam_world"))
        shown = shown_in_each(view.points[None], view.reach[None], grids, intrinsics, T, SAME_SURFACE, np.inf).sum(1)
        enough = MIN_OVERLAP * float((view.reach > 0).sum())
        return [self.keyframes[i] for i in np.argsort(-shown, kind="stable")[: self.config.targets] if shown[i] > enough]


def uncertainty_m(information: Float64) -> float:
    """Standard deviation of the pose in its weakest direction: metres, turns as what they move at 1 m."""
    weakest = float(np.linalg.eigvalsh(information)[0]) / CORRELATED_PX
    return float("inf") if weakest <= 0 else float(1.0 / np.sqrt(weakest))


def spread_of(information: Float64) -> float:
    """The geometric mean of an information matrix's eigenvalues: how much is known in an average direction."""
    sign, logarithm = np.linalg.slogdet(information)
    return float(np.exp(logarithm / 6.0)) if sign > 0 else 0.0


def _most_redundant(keyframes: list[TrackingKeyframe]) -> int:
    """The keyframe nearest to another one, by where it stands and looks; the last is never the one."""
    places = np.stack([k.T_world_cam[:3, 3] + k.T_world_cam[:3, 2] for k in keyframes])
    apart = np.linalg.norm(places[:, None] - places, axis=-1) + np.diag(np.full(len(places), np.inf))
    return int(apart[:-1].min(1).argmin())
