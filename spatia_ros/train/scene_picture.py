"""Textures that show something: posters, pages, screens, book spines, doors, windows, facades, skies.

Every function gives uint8 [H, W, 3]; row 0 is the top.
"""

from __future__ import annotations

import cv2
import numpy as np

from spatia_ros.train.scene_texture import colour, mixed, near, noise, to_bytes
from spatia_ros.types import Float64, UInt8


def picture(rng: np.random.Generator, height: int = 192, width: int = 192) -> UInt8:
    """A framed picture's content: abstract shapes, a landscape, blobs, or a printed poster."""
    kind = rng.choice(("shapes", "landscape", "cells", "poster"), p=(0.4, 0.25, 0.15, 0.2))
    image = {"shapes": _shapes, "landscape": _landscape, "cells": _cells, "poster": _poster}[kind](rng, height, width)
    if rng.random() < 0.3:
        image = mixed(
            image, image.mean(-1, keepdims=True) * colour(rng, (0, 0.2), (0.8, 1)), np.full((height, width), rng.uniform(0.6, 1))
        )
    return _framed(rng, to_bytes(image))


def _shapes(rng: np.random.Generator, height: int, width: int) -> Float64:
    image = _gradient(rng, height, width)
    for _ in range(int(np.exp(rng.uniform(1.0, 4.2)))):
        tone = tuple(colour(rng, (0, 0.95), (0.05, 1)))
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        radius = np.exp(rng.uniform(np.log(2), np.log(0.45 * width)))
        match rng.integers(4):
            case 0:
                axes = (int(radius), int(radius * rng.uniform(0.2, 1)))
                cv2.ellipse(image, centre, axes, rng.uniform(0, 180), 0, 360, tone, int(rng.choice((-1, -1, 2))), cv2.LINE_AA)
            case 1:
                corners = centre + rng.normal(0, radius, (int(rng.integers(3, 7)), 2))
                cv2.fillPoly(image, [corners.astype(np.int32)], tone, cv2.LINE_AA)
            case 2:
                cv2.line(
                    image,
                    centre,
                    tuple((centre + rng.normal(0, radius * 2, 2)).astype(int).tolist()),
                    tone,
                    int(rng.integers(1, 6)),
                    cv2.LINE_AA,
                )
            case _:
                far = (centre[0] + int(radius), centre[1] + int(radius * rng.uniform(0.3, 2)))
                cv2.rectangle(image, centre, far, tone, int(rng.choice((-1, 2))), cv2.LINE_AA)
    return image * (1 + 0.1 * noise(rng, height, width, rng.uniform(0.5, 2))[..., None])


def _landscape(rng: np.random.Generator, height: int, width: int) -> Float64:
    top, low = colour(rng, (0.1, 0.7), (0.5, 1)), colour(rng, (0, 0.4), (0.6, 1))
    image = mixed(
        top, low, np.broadcast_to(np.linspace(0, 1, height)[:, None], (height, width)) + 0.1 * noise(rng, height, width, 2.0)
    )
    horizon = rng.uniform(0.3, 0.6)
    for layer in range(int(rng.integers(2, 6))):
        ridge = height * (horizon + 0.12 * layer + 0.08 * noise(rng, 1, width, rng.uniform(1.2, 2))[0])
        below = np.arange(height)[:, None] > ridge
        tone = colour(rng, (0.1, 0.7), (0.1, 0.7))
        image = np.where(below[..., None], tone * (1 + 0.2 * noise(rng, height, width, 1.2))[..., None], image)
    return image


def _cells(rng: np.random.Generator, height: int, width: int) -> Float64:
    seeds = rng.uniform(0, (height, width), (int(rng.integers(6, 50)), 2))
    i, j = np.mgrid[:height, :width]
    distance = np.hypot(i[..., None] - seeds[:, 0], j[..., None] - seeds[:, 1])
    tones = np.stack([colour(rng, (0.1, 0.9), (0.1, 1)) for _ in seeds])
    two = np.partition(distance, 1, -1)
    return tones[distance.argmin(-1)] * np.clip((two[..., 1] - two[..., 0]) / rng.uniform(1, 8), 0.3, 1)[..., None]


def _poster(rng: np.random.Generator, height: int, width: int) -> Float64:
    image = np.ones((height, width, 3)) * colour(rng, (0, 0.5), (0.5, 1))
    y = int(height * 0.08)
    while y < height * 0.92:
        block = int(rng.uniform(0.05, 0.35) * height)
        if rng.random() < 0.35:
            inset = int(rng.uniform(0.05, 0.2) * width)
            window = image[y : y + block, inset : width - inset]
            window[:] = cv2.resize(_shapes(rng, 64, 64), (window.shape[1], window.shape[0]))
        else:
            _write(rng, image, (y, y + block), (int(width * 0.08), int(width * 0.92)), int(rng.choice((3, 4, 6, 12))))
        y += block + int(0.04 * height)
    return image


def page(rng: np.random.Generator, height: int = 160, width: int = 112) -> UInt8:
    """A printed sheet or a cover: lines of text-like marks, perhaps a figure."""
    paper = colour(rng, (0, 0.1), (0.8, 1)) if rng.random() < 0.7 else colour(rng, (0.2, 0.9), (0.2, 0.8))
    image = np.ones((height, width, 3)) * paper
    _write(
        rng, image, (int(0.08 * height), int(0.92 * height)), (int(0.1 * width), int(0.9 * width)), int(rng.choice((2, 3, 4, 8)))
    )
    if rng.random() < 0.5:
        h, w = int(rng.uniform(0.2, 0.5) * height), int(rng.uniform(0.3, 0.8) * width)
        y, x = rng.integers(0, height - h), rng.integers(0, width - w)
        image[y : y + h, x : x + w] = _shapes(rng, h, w)
    return to_bytes(image)


def _write(rng: np.random.Generator, image: Float64, rows: tuple[int, int], columns: tuple[int, int], size: int) -> None:
    """Words: runs of strokes of one height, with ragged right edges."""
    if rows[1] - rows[0] <= size or columns[1] - columns[0] <= 2 * size:
        return
    ink = colour(rng, (0, 0.8), (0.0, 0.35)) if image[rows[0], columns[0]].mean() > 0.5 else colour(rng, (0, 0.3), (0.8, 1))
    for y in range(rows[0], rows[1] - size, int(size * 1.7) + 1):
        x, end = columns[0], columns[1] - int(rng.random() ** 2 * 0.5 * (columns[1] - columns[0]))
        while x < end:
            for _ in range(rng.integers(2, 9)):
                h = int(size * rng.choice((0.6, 0.6, 1.0)))
                cv2.line(
                    image, (x, y + size), (x + int(rng.integers(-1, 2) * size / 4), y + size - h), tuple(ink), max(1, size // 4)
                )
                x += max(1, int(size * 0.45))
            x += size


def screen(rng: np.random.Generator) -> UInt8:
    """What a monitor shows: windows, text, a picture, or nothing."""
    height, width = 144, 256
    kind = rng.random()
    if kind < 0.2:
        return to_bytes(np.full((height, width, 3), 0.02) * (1 + 0.2 * noise(rng, height, width, 2.0))[..., None])
    image = _gradient(rng, height, width) if kind < 0.6 else _shapes(rng, height, width)
    for _ in range(rng.integers(1, 4)):
        h, w = int(rng.uniform(0.3, 0.8) * height), int(rng.uniform(0.3, 0.8) * width)
        y, x = rng.integers(0, height - h), rng.integers(0, width - w)
        image[y : y + h, x : x + w] = rng.choice((0.06, 0.95))
        image[y : y + 6, x : x + w] = colour(rng, (0, 0.7), (0.3, 0.8))
        _write(rng, image, (y + 10, y + h), (x + 4, x + w - 4), int(rng.choice((2, 3, 4))))
    return to_bytes(image)


def spine(rng: np.random.Generator) -> UInt8:
    """A book's cloth with a title running up it."""
    image = np.ones((24, 96, 3)) * colour(rng, (0, 0.9), (0.08, 0.9))
    if rng.random() < 0.8:
        _write(rng, image, (7, 20), (int(rng.integers(6, 30)), 84), 8)
    for x in rng.integers(0, 96, rng.integers(0, 4)):
        image[:, x : x + 3] = colour(rng, (0, 0.8), (0.2, 1))
    return to_bytes(np.rot90(image, rng.choice((0, 2))))


def door(rng: np.random.Generator) -> UInt8:
    """A leaf with sunken panels, or plain, or glazed."""
    height, width = 256, 112
    base = colour(rng, (0.0, 0.6), (0.25, 0.95))
    image = np.ones((height, width, 3)) * base * (1 + 0.03 * noise(rng, height, width, 1.5, 1 / 3))[..., None]
    rows, columns = rng.choice((0, 1, 2, 3)), rng.choice((1, 2))
    for i in range(rows):
        for j in range(columns):
            y0, y1 = (int(height * (i + f) / rows) for f in (0.12, 0.9))
            x0, x1 = (int(width * (j + f) / columns) for f in (0.15, 0.85))
            if rng.random() < 0.15:
                image[y0:y1, x0:x1] = mixed(colour(rng, (0, 0.3), (0.3, 0.9)), base, 0.2 * noise(rng, y1 - y0, x1 - x0, 2.0))
            cv2.rectangle(image, (x0, y0), (x1, y1), tuple(base * 0.6), 2)
            cv2.line(image, (x0 + 2, y1 - 1), (x1, y1 - 1), tuple(np.minimum(base * 1.25, 1)), 2)
    return to_bytes(image)


def outside(rng: np.random.Generator) -> UInt8:
    """The bright world behind a window: sky, trees, roofs, out of focus."""
    image = _landscape(rng, 160, 160)
    for _ in range(rng.integers(0, 6)):
        x, y, w = rng.integers(0, 160), int(rng.uniform(60, 130)), rng.integers(10, 50)
        cv2.rectangle(image, (int(x), y), (int(x + w), 160), tuple(colour(rng, (0, 0.4), (0.3, 0.8))), -1)
    image = 0.35 + 0.65 * cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 3))
    return to_bytes(image)


def facade(rng: np.random.Generator, storeys: int, bays: int) -> UInt8:
    """A house front: a wall with a grid of windows, each with its own blinds or light, and a ground floor."""
    cell_h, cell_w = min(64, 448 // storeys), min(48, 512 // bays)
    height, width = storeys * cell_h, bays * cell_w
    wall = colour(rng, (0.0, 0.5), (0.3, 0.9))
    image = (
        np.ones((height, width, 3))
        * wall
        * (1 + 0.05 * noise(rng, height, width, 1.0) + 0.04 * noise(rng, height, width, 2.2))[..., None]
    )
    if rng.random() < 0.4:
        image[np.arange(height) % max(3, cell_h // 10) == 0] *= 0.8
    x0, x1, y0, y1 = (
        int(f * c)
        for f, c in zip((rng.uniform(0.1, 0.3), rng.uniform(0.7, 0.9), 0.18, 0.75), (cell_w, cell_w, cell_h, cell_h), strict=True)
    )
    frame, bars = near(rng, colour(rng, (0, 0.3), (0.2, 1)), 0.1), rng.integers(1, 3)
    for i in range(storeys):
        for j in range(bays):
            window = image[i * cell_h + y0 : i * cell_h + y1, j * cell_w + x0 : j * cell_w + x1]
            _window(rng, window, frame, bars)
        if rng.random() < 0.5:
            image[i * cell_h : i * cell_h + 2] = wall * 0.65
    shop = image[height - cell_h :]
    if rng.random() < 0.6:
        shop[:] = _shop(rng, cell_h, width)
    return to_bytes(image)


def _window(rng: np.random.Generator, image: Float64, frame: Float64, bars: int) -> None:
    height, width = image.shape[:2]
    glass = colour(rng, (0, 0.4), (0.05, 0.5))
    image[:] = mixed(glass, np.minimum(glass + 0.4, 1), np.broadcast_to(np.linspace(0.8, 0, height)[:, None], (height, width)))
    if rng.random() < 0.5:
        image[: int(rng.uniform(0.1, 0.9) * height)] = colour(rng, (0, 0.4), (0.5, 0.95))
    for x in np.linspace(0, width - 1, bars + 1).astype(int):
        image[:, max(0, x - 1) : x + 1] = frame
    image[:2] = image[-2:] = frame


def _shop(rng: np.random.Generator, height: int, width: int) -> Float64:
    image = np.ones((height, width, 3)) * colour(rng, (0, 0.6), (0.1, 0.6))
    at = 0
    while at < width:
        w = int(rng.uniform(0.5, 1.6) * height)
        glass = image[height // 4 : -2, at + 2 : at + w - 2]
        if glass.shape[1] > 0:
            glass[:] = cv2.resize(_shapes(rng, 48, 48), (glass.shape[1], glass.shape[0]))
        _write(rng, image, (2, height // 4), (at + 4, min(at + w, width) - 4), max(4, height // 7))
        at += w + 4
    return image


def sky(rng: np.random.Generator) -> UInt8:
    """A panorama of open sky, from straight up (row 0) to the horizon, with clouds."""
    height, width = 64, 256
    up, low = colour(rng, (0.1, 0.7), (0.4, 0.9)), colour(rng, (0, 0.25), (0.75, 1))
    image = mixed(up, low, np.broadcast_to(np.linspace(0, 1, height)[:, None], (height, width)) ** 1.5)
    cloud = np.clip(noise(rng, height, width, 1.8) * rng.uniform(0.2, 0.8) + rng.uniform(-0.6, 0.6), 0, 1)
    return to_bytes(mixed(image, np.ones(3) * rng.uniform(0.7, 1), cloud))


def _gradient(rng: np.random.Generator, height: int, width: int) -> Float64:
    i, j = np.mgrid[:height, :width]
    angle = rng.uniform(0, 2 * np.pi)
    t = (np.cos(angle) * j / width + np.sin(angle) * i / height + 1) / 2
    return np.ascontiguousarray(mixed(colour(rng, (0, 0.8), (0.1, 1)), colour(rng, (0, 0.8), (0.1, 1)), t))


def _framed(rng: np.random.Generator, image: UInt8) -> UInt8:
    height, width = image.shape[:2]
    if rng.random() < 0.4:
        mat = int(rng.uniform(0.04, 0.18) * min(height, width))
        inner = cv2.resize(image, (width - 2 * mat, height - 2 * mat), interpolation=cv2.INTER_AREA)
        image = to_bytes(np.ones((height, width, 3)) * colour(rng, (0, 0.1), (0.7, 1)))
        image[mat : height - mat, mat : width - mat] = inner
    return image
