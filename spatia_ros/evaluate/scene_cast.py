"""The movers of a procedural scene as actors: what a perfect lift of a recording would know of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from spatia_ros.actors import Actor, BodyPoints, Cast
from spatia_ros.train.scene import Hits
from spatia_ros.train.scene_actors import TAU_S
from spatia_ros.train.scene_actors import Actor as Mover
from spatia_ros.train.scene_at import SceneAt
from spatia_ros.train.scene_shade import gamma_bytes
from spatia_ros.types import Camera, Float64, Int64, SpatiaError

STEP_S = 1e-3
MOST_POINTS = 400_000
"""Of one mover."""
LONGEST = 1.0
"""Side of a triangle that one point stands for at most, in spacings."""


def scene_cast(scene: SceneAt, camera: Camera, eye: Float64, spacing_m: float) -> Cast:
    """Every mover of a scene with points all over its surface.

    Args:
        camera: it is looked at with: textures are as fine as that sees them from ``eye`` [3].
        spacing_m: between points.
    """
    cast = Cast()
    for k, mover in enumerate(scene.actors):
        kind = mover.body.kind
        cast.add(Actor(f"{kind} {k + 1}", kind, SceneBody.of(scene, k, camera, eye, spacing_m), colour=mover.body.colour))
    return cast


@dataclass(frozen=True, slots=True, eq=False)
class SceneBody:
    """One mover's surface in the light of its scene, at any animation time.

    Args:
        scene: that it is part of. mover: itself. prim: int64 [N], faces of its own mesh that points lie on. bary: float64 [N, 2].
        first: number of its first face in the scene. camera, eye: see :func:`scene_cast`.
    """

    scene: SceneAt
    mover: Mover
    prim: Int64
    bary: Float64
    first: int
    camera: Camera
    eye: Float64
    spacing_m: float

    @classmethod
    def of(cls, scene: SceneAt, number: int, camera: Camera, eye: Float64, spacing_m: float) -> SceneBody:
        """The body of mover ``number`` of a scene."""
        mover = scene.actors[number]
        prim, bary = spread(mover.posed(0.0)[0][mover.body.mesh.faces], spacing_m)
        if len(prim) > MOST_POINTS:
            raise SpatiaError(f"scene cast: expected at most {MOST_POINTS} points of a mover, got {len(prim)} at {spacing_m} m")
        # Mixed, so that any part of them, taken in order, still covers all of it.
        mixed, first = np.random.default_rng(0).permutation(len(prim)), scene.first_faces[number]
        prim, bary = prim[mixed], bary[mixed]
        return cls(scene, mover, prim, bary, first, camera, np.asarray(eye, np.float64), spacing_m)

    @property
    def span_s(self) -> tuple[float, float]:
        """All of the animation, s."""
        return 0.0, TAU_S

    @property
    def complete(self) -> bool:
        """Always."""
        return True

    @property
    def size(self) -> int:
        """Number of points."""
        return len(self.prim)

    def present(self, tau_s: float) -> bool:  # noqa: ARG002
        """Always."""
        return True

    def points(self, tau_s: float) -> BodyPoints:
        """Its points in the world, coloured as the scene lights them there and then."""
        corners = self.mover.posed(tau_s)[0][self.mover.body.mesh.faces[self.prim]]
        b, c = self.bary.T
        xyz = np.einsum("nk,nkj->nj", np.stack([1 - b - c, b, c], 1), corners)
        away = xyz - self.eye
        distance = np.linalg.norm(away, axis=1)
        hits = Hits((self.first + self.prim).astype(np.uint32), self.bary.astype(np.float32), distance.astype(np.float32))
        colour, T = np.zeros((len(xyz), 3)), np.eye(4)
        T[:3, 3] = self.eye
        self.scene.pose(tau_s)
        self.scene.shade_hits(colour, hits, (away / distance[:, None]).astype(np.float32), self.camera, T)
        return BodyPoints(xyz.astype(np.float32), gamma_bytes(colour), self.spacing_m)

    def pose(self, tau_s: float) -> Float64:
        """``T_world_actor`` [4, 4]."""
        return self.mover.way.at(float(np.clip(tau_s, 0.0, TAU_S)))

    def box(self, tau_s: float) -> tuple[Float64, Float64]:
        """Low and high corner [3] of its world-axis box, m."""
        points = self.mover.posed(tau_s)[0]
        return points.min(0), points.max(0)

    def velocity(self, tau_s: float) -> Float64:
        """float64 [3], of its origin in the world, m per second of animation."""
        if not 0.0 <= tau_s < TAU_S:
            return np.zeros(3)
        return np.asarray((self.pose(tau_s + STEP_S) - self.pose(tau_s))[:3, 3] / STEP_S)


def spread(corners: Float64, spacing_m: float) -> tuple[Int64, Float64]:
    """Points evenly over triangles [F, 3, 3]: the face of each [N], and its barycentric weights [N, 2] of corners 1 and 2.

    Triangles are halved across their longest side until none is longer than a spacing; their middles are the points.
    """
    prim: Int64 = np.arange(len(corners), dtype=np.int64)
    weights = np.repeat(np.eye(3)[None], len(corners), 0)
    done: list[tuple[Int64, Float64]] = []
    while len(prim):
        places = weights @ corners[prim]
        sides = np.linalg.norm(np.roll(places, -1, axis=1) - places, axis=-1)
        fine = sides.max(1) <= LONGEST * spacing_m
        done.append((prim[fine], weights[fine].mean(1)[:, 1:]))
        prim, weights = _halved(prim[~fine], weights[~fine], sides[~fine].argmax(1))
    return np.concatenate([p for p, _ in done]), np.concatenate([w for _, w in done])


def _halved(prim: Int64, weights: Float64, longest: Int64) -> tuple[Int64, Float64]:
    """Both halves of triangles [N, 3, 3] cut across the side that follows corner ``longest`` [N]."""
    rows = np.arange(len(prim))
    middle = 0.5 * (weights[rows, longest] + weights[rows, (longest + 1) % 3])
    one, two = weights.copy(), weights.copy()
    one[rows, longest], two[rows, (longest + 1) % 3] = middle, middle
    return np.concatenate([prim, prim]), np.concatenate([one, two])
