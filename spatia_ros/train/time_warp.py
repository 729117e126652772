"""Animation time along a clip: the temporal warps that SpaceTimePilot trains with (arXiv 2512.25075), and their opposites.

A warp says which animation time each of T frames shows, whatever the camera does meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from spatia_ros.train.scene_actors import TAU_S
from spatia_ros.types import Float64, SpatiaError


def _forward(s: Float64) -> Float64:
    return s


def _reverse(s: Float64) -> Float64:
    return 1.0 - s


def _accelerate(s: Float64) -> Float64:
    return s**2


def _freeze(s: Float64) -> Float64:
    return np.full_like(s, 0.5)


def _slow_segment(s: Float64) -> Float64:
    """The second half takes a quarter of its pace."""
    return np.where(s < 0.5, s, 0.5 + 0.25 * (s - 0.5))


def _zigzag(s: Float64) -> Float64:
    return 1.0 - np.abs(2.0 * s - 1.0)


def _ramp_then_freeze(s: Float64) -> Float64:
    return np.minimum(2.0 * s, 1.0)


WARPS: dict[str, Callable[[Float64], Float64]] = {
    "forward": _forward, "reverse": _reverse, "accelerate": _accelerate, "freeze": _freeze,
    "slow segment": _slow_segment, "zigzag": _zigzag, "ramp then freeze": _ramp_then_freeze,
}
SHARES = {
    "forward": 0.3, "reverse": 0.15, "accelerate": 0.12, "freeze": 0.15, "slow segment": 0.1, "zigzag": 0.1,
    "ramp then freeze": 0.08,
}


def warp(name: str, start_s: float, length_s: float, n: int) -> Float64:
    """Animation times [n], s, of a warp that plays ``length_s`` from ``start_s``, cut to 0..TAU_S.

    Raises:
        SpatiaError: for an unknown name.
    """
    if name not in WARPS:
        raise SpatiaError(f"warp: expected one of {', '.join(WARPS)}, got {name!r}")
    s = np.linspace(0.0, 1.0, n) if n > 1 else np.zeros(1)
    return np.clip(start_s + length_s * WARPS[name](s), 0.0, TAU_S)


def random_warp(rng: np.random.Generator, n: int) -> tuple[str, Float64]:
    """A warp's name and its n animation times, s."""
    name = str(rng.choice(list(SHARES), p=list(SHARES.values())))
    length = rng.uniform(0.15, 0.5) * n * 0.5
    return name, warp(name, rng.uniform(0.0, max(TAU_S - length, 0.0)), length, n)
