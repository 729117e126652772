"""Time of day and weather: what they do to a scene's light, to its sky, and to what lies between it and the camera."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from spatia_ros.train.scene_light import Lamp, Lighting
from spatia_ros.train.scene_shade import Look
from spatia_ros.types import Float64

DAY = ("morning", "noon", "evening", "night")
WEATHER = ("clear", "overcast", "fog", "rain", "snow")
LIGHT = ("bright", "dim", "warm", "cold")


@dataclass(frozen=True, slots=True)
class Air:
    """What a scene is seen in.

    Args:
        words: that say it, of :data:`DAY`, :data:`WEATHER` and :data:`LIGHT`.
        haze_per_m: share of light lost per metre (its natural logarithm). haze: [3], colour (0..1) of what takes its place.
        exposure: factor. tint: [3], factors of the channels.
        sun, sky: factors of direct light and of light from the sky. elevation_rad: of the sun; None: as the scene has it.
        cover: 0..1, how far the sky is hidden by even cloud.
    """

    words: tuple[str, ...] = ()
    haze_per_m: float = 0.0
    haze: tuple[float, float, float] = (0.7, 0.72, 0.75)
    exposure: float = 1.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    sun: float = 1.0
    sky: float = 1.0
    elevation_rad: float | None = None
    cover: float = 0.0

    def lit(self, lighting: Lighting, lanterns: tuple[Lamp, ...] = ()) -> Lighting:
        """The light as this air lets it through; ``lanterns`` burn at night."""
        lamps = tuple(self._sun(lamp) if lamp.sun else lamp for lamp in lighting.lamps)
        lamps += lanterns if "night" in self.words else ()
        lamps = tuple(sorted(lamps, key=lambda lamp: -max(lamp.colour) / (1.0 if lamp.sun else 10.0)))
        ambient, sky = (tuple(self.sky * np.array(x)) for x in (lighting.ambient, lighting.sky))
        return replace(lighting, lamps=lamps, ambient=ambient, sky=sky)

    def _sun(self, lamp: Lamp) -> Lamp:
        way = np.array(lamp.position)
        if self.elevation_rad is not None:
            level = way[:2] / max(float(np.linalg.norm(way[:2])), 1e-9)
            way = np.linalg.norm(way) * np.append(level * np.cos(self.elevation_rad), np.sin(self.elevation_rad))
        # By day the sun of a clear sky always shines, also where the scene was drawn without one.
        strength = max(1.5, max(lamp.colour)) * self.sun
        return replace(lamp, position=tuple(way), colour=tuple(strength * np.array(lamp.colour) / max(max(lamp.colour), 1e-9)))

    def seen(self, look: Look) -> Look:
        """The camera's response in this air."""
        grey = np.array(self.haze) * 255.0
        sky = look.sky * (1 - self.cover) * np.array(self.tint) + grey * self.cover
        tinted = np.array(look.cast) * self.tint
        bytes_of_sky = np.clip(sky, 0, 255).astype(np.uint8)
        return replace(look, exposure=look.exposure * self.exposure, cast=tuple(tinted), sky=bytes_of_sky)

    def through(self, colour: Float64, distance_m: np.ndarray) -> Float64:
        """Colours [N, 3] (0..1, gamma 2) as seen from a distance [N], m; infinite for the sky."""
        if not self.haze_per_m:
            return colour
        kept = np.exp(-self.haze_per_m * distance_m)[:, None]
        # Light adds, gamma-coded values do not.
        return np.sqrt(kept * colour**2 + (1 - kept) * np.array(self.haze) ** 2)


CLEAR = Air()


def outdoors(rng: np.random.Generator) -> Air:
    """A random time and weather."""
    time = str(rng.choice(DAY, p=(0.22, 0.38, 0.22, 0.18)))
    weather = str(rng.choice(WEATHER, p=(0.5, 0.18, 0.14, 0.1, 0.08)))
    air = {
        "morning": Air(exposure=0.9, tint=(1.06, 1.0, 0.95), sun=0.8, sky=0.8, elevation_rad=rng.uniform(0.2, 0.5)),
        "noon": Air(elevation_rad=rng.uniform(0.8, 1.3)),
        "evening": Air(exposure=0.75, tint=(1.15, 0.95, 0.78), sun=0.7, sky=0.5, elevation_rad=rng.uniform(0.12, 0.35)),
        "night": Air(exposure=0.4, tint=(0.8, 0.88, 1.15), sun=0.06, sky=0.12, elevation_rad=rng.uniform(0.5, 1.2)),
    }[time]
    bright = {"morning": 0.7, "noon": 0.78, "evening": 0.55, "night": 0.13}[time]
    grey = tuple(np.clip(bright * rng.uniform(0.9, 1.1) * np.array((0.97, 1.0, 1.03)) * air.tint, 0, 1))
    haze, cover, sun = {
        "clear": (0.0, 0.0, 1.0),
        "overcast": (rng.uniform(0.0, 0.006), rng.uniform(0.75, 1.0), 0.0),
        "fog": (float(np.exp(rng.uniform(*np.log((0.025, 0.12))))), 1.0, 0.0),
        "rain": (rng.uniform(0.01, 0.025), 0.95, 0.0),
        "snow": (rng.uniform(0.012, 0.03), 0.95, 0.0),
    }[weather]
    if time == "night":
        cover, grey = max(cover, 0.85), grey if haze else (0.04, 0.05, 0.09)
    dark = 0.8 if weather == "rain" else 1.0
    return replace(
        air, words=(time, weather), haze_per_m=haze, haze=grey, cover=cover, sun=air.sun * sun, exposure=air.exposure * dark,
    )


def indoors(rng: np.random.Generator) -> Air:
    """A random kind of room light."""
    if rng.random() < 0.4:
        return CLEAR
    word = str(rng.choice(LIGHT))
    exposure = {"bright": 1.35, "dim": 0.5}.get(word, 1.0)
    tint = {"warm": (1.15, 0.98, 0.78), "cold": (0.85, 0.98, 1.15)}.get(word, (1.0, 1.0, 1.0))
    return Air((word,), exposure=exposure, tint=tint)
