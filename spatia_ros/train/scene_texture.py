"""Surface textures: noise, paint, wallpaper, brick, planks, tiles, fabric, stone, ground. All tile seamlessly.

Every function gives uint8 [H, W, 3]; row 0 is the top. Colours are float [3] in 0..1.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import cv2
import numpy as np

from spatia_ros.types import Float64, UInt8

SIZE = 256


def colour(
    rng: np.random.Generator, saturation: tuple[float, float] = (0.0, 0.6), value: tuple[float, float] = (0.2, 0.9)
) -> Float64:
    """A random colour [3] with saturation and brightness in the given ranges, warm more often than not."""
    hue = rng.normal(0.085, 0.03) % 1.0 if rng.random() < 0.55 else rng.random()
    return np.array(colorsys.hsv_to_rgb(hue, rng.uniform(*saturation), rng.uniform(*value)))


def near(rng: np.random.Generator, base: Float64, spread: float = 0.08) -> Float64:
    """A colour like ``base``: brighter or darker, and slightly shifted."""
    return np.clip(base * rng.uniform(1 - 2 * spread, 1 + 2 * spread) + rng.normal(0, spread / 3, 3), 0.02, 0.98)


def noise(
    rng: np.random.Generator, height: int = SIZE, width: int = SIZE, slope: float = 1.6, stretch: float = 1.0, finest: float = 0.5
) -> Float64:
    """Seamless fractal noise [H, W] of mean 0 and deviation 1, its spectrum falling as f^-slope.

    ``stretch`` > 1 draws it out along x; ``finest`` is the highest frequency kept, cycles/px.
    """
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None] * stretch
    f = np.hypot(fx, fy)
    f[0, 0] = 1.0
    weight = f**-slope * (f <= finest * max(1.0, stretch))
    weight[0, 0] = 0.0
    field = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((height, width))) * weight, (height, width))
    return field / max(float(field.std()), 1e-9)


def to_bytes(image: Float64) -> UInt8:
    """uint8 of colours 0..1, clipped."""
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def mixed(a: Float64, b: Float64, weight: Float64) -> Float64:
    """Colours [H, W, 3] from ``a`` (0) to ``b`` (1)."""
    w = np.clip(weight, 0, 1)[..., None]
    return a * (1 - w) + b * w


def paint(rng: np.random.Generator, base: Float64, grain: float = 0.01) -> UInt8:
    """A wall's paint: nearly flat, faint roller grain, sometimes faint stains."""
    stain = noise(rng, slope=2.0) * rng.choice((0.0, 0.006, 0.02)) + noise(rng, slope=0.4) * grain
    return to_bytes(base * (1 + stain[..., None]))


def speckle(rng: np.random.Generator, base: Float64) -> UInt8:
    """Two-coloured fractal noise: plaster, concrete, stone, felt, as slope and contrast fall."""
    other = near(rng, base, rng.uniform(0.05, 0.3))
    return to_bytes(mixed(base, other, 0.5 + noise(rng, slope=rng.uniform(0.3, 2.2)) * rng.uniform(0.1, 0.5)))


def wallpaper(rng: np.random.Generator, base: Float64) -> UInt8:
    """Stripes of several widths, or a repeated small motif."""
    image = np.ones((SIZE, SIZE, 3)) * base
    if rng.random() < 0.5:
        repeat = SIZE // int(rng.choice((2, 4, 8)))
        for _ in range(rng.integers(1, 4)):
            start, width = rng.integers(repeat), rng.integers(2, max(3, repeat // 2))
            image[:, (np.arange(SIZE) - start) % repeat < width] = near(rng, base, 0.2)
    else:
        cell = SIZE // int(rng.choice((4, 8)))
        motif = np.ones((cell, cell, 3)) * base
        for _ in range(rng.integers(1, 4)):
            centre = (int(cell / 2), int(rng.uniform(0.3, 0.7) * cell))
            axes = (int(rng.uniform(0.1, 0.4) * cell), int(rng.uniform(0.1, 0.4) * cell))
            cv2.ellipse(
                motif,
                centre,
                axes,
                rng.uniform(0, 180),
                0,
                360,
                tuple(near(rng, base, 0.25)),
                int(rng.choice((-1, 1, 2))),
                cv2.LINE_AA,
            )
        image = np.tile(motif, (SIZE // cell, SIZE // cell, 1))
    return to_bytes(image * (1 + 0.02 * noise(rng, slope=0.5)[..., None]))


def brick(rng: np.random.Generator, base: Float64) -> UInt8:
    """Courses of bricks, each its own shade, in mortar."""
    rows, columns = int(rng.choice((8, 12, 16))), int(rng.choice((3, 4, 6)))
    return _cells(rng, base, rows, columns, offset=0.5, joint=int(rng.integers(2, 5)), spread=0.12, rough=0.08)


def tiles(rng: np.random.Generator, base: Float64) -> UInt8:
    """Square tiles with grout: one colour, checkered, or shaded each."""
    count = int(rng.choice((2, 4, 6, 8)))
    return _cells(
        rng,
        base,
        count,
        count,
        0.0,
        int(rng.integers(1, 5)),
        rng.choice((0.0, 0.03, 0.2)),
        rng.choice((0.01, 0.04)),
        rng.random() < 0.25,
    )


def _cells(
    rng: np.random.Generator,
    base: Float64,
    rows: int,
    columns: int,
    offset: float,
    joint: int,
    spread: float,
    rough: float,
    checkered: bool = False,
) -> UInt8:
    y = np.arange(SIZE)[:, None] * rows / SIZE
    x = np.arange(SIZE)[None] * columns / SIZE + offset * (y.astype(int) % 2)
    i, j = np.broadcast_arrays(y.astype(int), x.astype(int) % columns)
    shades = np.stack([near(rng, base, spread) if spread else base for _ in range(rows * columns)]).reshape(rows, columns, 3)
    if checkered:
        shades = np.where(
            ((np.arange(rows)[:, None] + np.arange(columns)) % 2)[..., None], shades, near(rng, 1 - base * 0.8, 0.1)
        )
    image = shades[i, j] * (1 + rough * noise(rng, slope=1.0)[..., None])
    gap = (y % 1 * SIZE / rows < joint) | (x % 1 * SIZE / columns < joint)
    image[gap] = near(rng, base * rng.uniform(0.5, 1.0) + rng.uniform(0, 0.3), 0.05)
    return to_bytes(image)


def planks(rng: np.random.Generator, base: Float64) -> UInt8:
    """Boards along x of unequal shade, with grain and ends."""
    count = int(rng.choice((3, 4, 6, 8)))
    width = SIZE // count
    image = np.concatenate([_board(rng, near(rng, base, rng.choice((0.03, 0.1))), width, SIZE) for _ in range(count)])
    image = np.pad(image, ((0, SIZE - len(image)), (0, 0), (0, 0)), mode="edge")
    for k in range(count):
        image[k * width : k * width + max(1, width // 40)] *= 0.55
        end = rng.integers(SIZE)
        image[k * width : (k + 1) * width, end : end + 2] *= 0.55
    return to_bytes(image)


def wood(rng: np.random.Generator, base: Float64) -> UInt8:
    """One board with grain along x."""
    return to_bytes(_board(rng, base, SIZE, SIZE))


def _board(rng: np.random.Generator, base: Float64, height: int, width: int) -> Float64:
    flow = noise(rng, height, width, 1.8, stretch=6.0)
    rings = np.sin((np.arange(height)[:, None] / SIZE * rng.uniform(8, 30) + flow * rng.uniform(0.5, 2)) * 2)
    fibre = noise(rng, height, width, 0.7, stretch=12.0)
    return base * (1 + rng.uniform(0.03, 0.12) * rings + 0.06 * fibre)[..., None]


def fabric(rng: np.random.Generator, base: Float64) -> UInt8:
    """Woven cloth: plain weave, stripes, or checks."""
    i, j = np.mgrid[:SIZE, :SIZE]
    weave = 0.5 + 0.25 * (np.sin(i * np.pi / 2) + np.cos(j * np.pi / 2))
    image = base * (0.9 + 0.12 * weave + 0.05 * noise(rng, slope=0.6))[..., None]
    kind = rng.random()
    if kind < 0.35:
        other, repeat = near(rng, base, 0.3), SIZE // int(rng.choice((4, 8, 16)))
        across = (j % repeat < repeat * rng.uniform(0.15, 0.5)).astype(float)
        down = (i % repeat < repeat * rng.uniform(0.15, 0.5)).astype(float) if kind < 0.2 else 0
        image = mixed(image, image / base * other, 0.5 * (across + down))
    return to_bytes(image)


def rug(rng: np.random.Generator, base: Float64) -> UInt8:
    """A bordered carpet with nested ornament, symmetric in both directions."""
    half = SIZE // 2
    i, j = np.mgrid[:half, :half] / half
    quarter = np.ones((half, half, 3)) * base
    for _ in range(rng.integers(2, 7)):
        tone = colour(rng, (0.1, 0.8), (0.15, 0.9))
        centre, inner = rng.random(2), rng.uniform(0.03, 0.4)
        metric = (np.maximum if rng.random() < 0.5 else np.hypot)(np.abs(i - centre[0]), np.abs(j - centre[1]))
        quarter[(metric > inner) & (metric < inner + rng.uniform(0.02, 0.15))] = tone
    edge = np.minimum(i, j)
    for _ in range(rng.integers(1, 4)):
        start = rng.uniform(0, 0.2)
        quarter[(edge > start) & (edge < start + rng.uniform(0.02, 0.1))] = colour(rng, (0.1, 0.8), (0.1, 0.9))
    top = np.concatenate([quarter, quarter[:, ::-1]], 1)
    return to_bytes(np.concatenate([top, top[::-1]]) * (1 + 0.1 * noise(rng, slope=0.3)[..., None]))


def marble(rng: np.random.Generator, base: Float64) -> UInt8:
    """Veined stone."""
    veins = np.abs(noise(rng, slope=2.0)) ** rng.uniform(0.4, 0.8)
    return to_bytes(mixed(near(rng, base, 0.25), base, 0.15 + veins) * (1 + 0.02 * noise(rng, slope=0.8)[..., None]))


def leaves(rng: np.random.Generator, base: Float64) -> UInt8:
    """Dense foliage or grass: overlapping small strokes of many shades."""
    image = np.ones((SIZE, SIZE, 3)) * base * 0.4
    for _ in range(500):
        x, y = rng.integers(0, SIZE, 2)
        angle, length = rng.uniform(0, np.pi), rng.uniform(4, 14)
        tip = (int(x + length * np.cos(angle)), int(y + length * np.sin(angle)))
        cv2.line(
            image,
            (int(x), int(y)),
            tip,
            tuple(near(rng, base, 0.2) * rng.uniform(0.5, 1.3)),
            int(rng.integers(1, 4)),
            cv2.LINE_AA,
        )
    return to_bytes(image)


def ground(rng: np.random.Generator, base: Float64) -> UInt8:
    """Asphalt or gravel: fine contrast, patches, a few cracks."""
    image = np.ones((SIZE, SIZE, 3)) * base * (1 + 0.15 * noise(rng, slope=0.2) + 0.08 * noise(rng, slope=2.0))[..., None]
    for _ in range(rng.integers(0, 4)):
        walk = np.cumsum(rng.normal(0, 6, (30, 2)) + rng.normal(0, 3, 2), 0) + rng.uniform(0, SIZE, 2)
        cv2.polylines(image, [walk.astype(np.int32)], False, tuple(base * 0.5), 1, cv2.LINE_AA)
    return to_bytes(image)


WALLS: tuple[Callable[[np.random.Generator, Float64], UInt8], ...] = (paint, speckle, wallpaper, brick, tiles, planks)
FLOORS: tuple[Callable[[np.random.Generator, Float64], UInt8], ...] = (planks, tiles, speckle, marble, fabric, rug)
