"""Small charts as inline SVG: no script, no font, nothing fetched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT = 720, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 14, 26, 30
COLOURS = ("#40baa0", "#f5b43c", "#de5496", "#5aa2f0", "#a98bf0", "#9aa5b4")


def line_chart(x: Sequence[float], series: Mapping[str, Sequence[float]], x_name: str, y_name: str) -> str:
    """An SVG of lines over a common x; the names label the axes and the lines."""
    top = _round_up(max((max(values, default=0.0) for values in series.values()), default=1.0))
    body = [_axes(x, top, x_name, y_name, "g")]
    for colour, values in zip(COLOURS, series.values(), strict=False):
        points = " ".join(f"{_x(a, x):.1f},{_y(b, top):.1f}" for a, b in zip(x, values, strict=True))
        body.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round"/>')
    return _svg(body, list(series))


def share_chart(x: Sequence[float], series: Mapping[str, Sequence[float]], x_name: str, y_name: str) -> str:
    """An SVG of shares (0..1) stacked on one another."""
    body, floor = [], np.zeros(len(x))
    for colour, values in zip(COLOURS, series.values(), strict=False):
        ceiling = floor + np.asarray(values)
        there = [f"{_x(a, x):.1f},{_y(b, 1.0):.1f}" for a, b in zip(x, ceiling, strict=True)]
        back = [f"{_x(a, x):.1f},{_y(b, 1.0):.1f}" for a, b in zip(x, floor, strict=True)][::-1]
        body.append(f'<polygon points="{" ".join(there + back)}" fill="{colour}" fill-opacity="0.85"/>')
        floor = ceiling
    return _svg([*body, _axes(x, 1.0, x_name, y_name, ".0%")], list(series))


def _x(value: float, x: Sequence[float]) -> float:
    span = (x[-1] - x[0]) or 1.0
    return _LEFT + (value - x[0]) / span * (WIDTH - _LEFT - _RIGHT)


def _y(value: float, top: float) -> float:
    return HEIGHT - _BOTTOM - value / top * (HEIGHT - _TOP - _BOTTOM)


def _round_up(value: float) -> float:
    """The next of 1, 2, 5 times a power of ten."""
    if value <= 0:
        return 1.0
    unit = 10.0 ** np.floor(np.log10(value))
    return float(next(step * unit for step in (1, 2, 5, 10) if step * unit >= value))


def _axes(x: Sequence[float], top: float, x_name: str, y_name: str, form: str) -> str:
    parts = []
    for value in np.linspace(0, top, 5):
        y = _y(value, top)
        parts.append(f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:{form}}</text>')
    step = _round_up((x[-1] - x[0]) / 8)
    for value in np.arange(np.ceil(x[0] / step), np.floor(x[-1] / step) + 1) * step:
        parts.append(f'<text x="{_x(value, x):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{value:g}</text>')
    parts.append(f'<text x="{WIDTH - _RIGHT}" y="{HEIGHT + 1}" text-anchor="end" class="faint">{escape(x_name)}</text>')
    parts.append(f'<text x="2" y="12" class="faint">{escape(y_name)}</text>')
    return "".join(parts)


def _svg(body: Sequence[str], names: Sequence[str]) -> str:
    legend, at = [], float(_LEFT)
    for colour, name in zip(COLOURS, names, strict=False):
        legend.append(f'<rect x="{at:.0f}" y="{HEIGHT + 4}" width="11" height="11" rx="3" fill="{colour}"/>')
        legend.append(f'<text x="{at + 16:.0f}" y="{HEIGHT + 14}">{escape(name)}</text>')
        at += 16 + 6.6 * len(name) + 20
    inside = "".join([*body, *legend])
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT + 22}" role="img" xmlns="http://www.w3.org/2000/svg">{inside}</svg>'
