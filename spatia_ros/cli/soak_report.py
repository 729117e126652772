"""What a soak says: whether memory use drifts, a chart of it, and a page with all figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from spatia_ros.record.files import encode_png, write_bytes, write_text
from spatia_ros.types import Float64, UInt8

FEWEST = 6
"""Readings that a slope is made of."""
DRAWS = 2000
HOURS = 24


@dataclass(frozen=True, slots=True)
class Sample:
    """How much memory a process had, at a second of the trial."""

    at_s: float
    pid: int
    resident_mb: float


class Slope(NamedTuple):
    """Growth in a unit an hour, and where 95 of 100 such trials would find it."""

    slope: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Drift:
    """The growth of memory use in one life of a process.

    Args:
        pid: the process. seconds: of its life that were looked at, its last. mb: its memory use then, the median of the blocks.
        slope: MB an hour, the median of the slopes between all pairs of readings (Theil and Sen). low, high: where 95 of 100
            such trials would find it (readings drawn with replacement).
    """

    pid: int
    seconds: float
    mb: float
    slope: float
    low: float
    high: float

    @property
    def growth(self) -> Slope:
        """Its slope."""
        return Slope(self.slope, self.low, self.high)

    @property
    def in_a_day(self) -> float:
        """MB more after a day of this."""
        return HOURS * self.slope


def slope_of(at_s: Float64, mb: Float64) -> float:
    """The median slope between all pairs of points, MB an hour."""
    i, j = np.triu_indices(len(at_s), 1)
    dt = at_s[j] - at_s[i]
    return float(np.median((mb[j] - mb[i])[dt != 0] / dt[dt != 0]) * 3600.0) if (dt != 0).any() else 0.0


def drift_of(samples: Sequence[Sample], since_s: float, seed: int = 0) -> Drift | None:
    """The drift of the process that lives at the end, from a second of the trial on; None where that is too short to say.

    Args:
        samples: each taken in the same state: at home, after a rest in which the node gave back what it needs no more.
    """
    life = [s for s in samples if s.at_s >= since_s and s.pid == samples[-1].pid]
    if len(life) < FEWEST:
        return None
    at_s, mb = np.array([s.at_s for s in life]), np.array([s.resident_mb for s in life])
    low, high = _interval(at_s, mb, seed)
    return Drift(life[0].pid, float(at_s[-1] - at_s[0]), float(np.median(mb)), slope_of(at_s, mb), low, high)


def held_drift(homes: Sequence[tuple[float, int, float]], pid: int, since_s: float, seed: int = 0) -> Slope | None:
    """How what a process holds at home grows, in a unit an hour.

    Args:
        homes: second of the trial, process, and what it held, each time it was at home. pid: the process that is meant.
        since_s: second of the trial from which on it is looked at.
    """
    life = [(at_s, value) for at_s, process, value in homes if process == pid and at_s >= since_s]
    if len(life) < FEWEST:
        return None
    at_s, value = np.array([at for at, _ in life]), np.array([v for _, v in life])
    return Slope(slope_of(at_s, value), *_interval(at_s, value, seed))


def _interval(at_s: Float64, value: Float64, seed: int) -> tuple[float, float]:
    """Where 95 of 100 trials would find the slope: points drawn with replacement."""
    rng = np.random.default_rng(seed)
    drawn = [slope_of(at_s[k], value[k]) for k in np.sort(rng.integers(len(at_s), size=(DRAWS, len(at_s))), axis=1)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high)


def chart(samples: Sequence[Sample], drift: Drift | None) -> UInt8:
    """Memory use over time, uint8 [H, W, 3]: a line for each life of the process, and the drift of the longest."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((11.0, 4.2), dpi=100, layout="constrained")
    canvas, axes = FigureCanvasAgg(figure), figure.subplots()
    pids = list(dict.fromkeys(s.pid for s in samples))
    for pid in pids:
        life = [s for s in samples if s.pid == pid]
        axes.plot([s.at_s / 60.0 for s in life], [s.resident_mb for s in life], color="#2a9d8f", linewidth=1.2)
        axes.axvline(life[0].at_s / 60.0, color="#999999", linewidth=0.7, linestyle=":")
    if drift:
        life = [s for s in samples if s.pid == drift.pid]
        end = life[-1].at_s
        at = np.array([end - drift.seconds, end])
        line = drift.mb + drift.slope * (at - at.mean()) / 3600.0
        told = f"{drift.slope:+.2f} MB/h ({drift.low:+.2f} .. {drift.high:+.2f})"
        axes.plot(at / 60.0, line, color="#d1495b", linewidth=2.0, label=told)
        axes.legend(loc="lower right", fontsize=9)
    axes.set(title=f"Resident memory of the world node, {len(pids)} lives", xlabel="min", ylabel="MB")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Soak</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em}}
table{{border-collapse:collapse}}td,th{{padding:.2em 1em .2em 0;text-align:left;vertical-align:top}}img{{max-width:100%}}
.good{{color:#17735f}}.bad{{color:#b3203a}}</style></head><body>
<h1>Soak: <span class="{kind}">{verdict}</span></h1>
<p><code>{command}</code></p>
<table>{rows}</table>
<p><img src="{picture}" alt="memory use over time"></p>
{wrong}
<h2>What was done</h2><table>{done}</table>
<h2>What was checked</h2><table>{checked}</table>
</body></html>
"""


def write_page(path: Path, report: dict[str, Any], rows: Sequence[tuple[str, str]], picture: UInt8) -> None:
    """Write the page, and the chart beside it."""
    image = path.with_suffix(".png")
    write_bytes(image, encode_png(picture))

    def table(pairs: Sequence[tuple[str, Any]]) -> str:
        return "".join(f"<tr><td>{escape(str(a))}</td><td>{escape(str(b))}</td></tr>" for a, b in pairs)

    wrong = "".join(f"<li>{escape(words)}</li>" for words in report["wrong"])
    page = PAGE.format(
        kind="bad" if report["wrong_count"] else "good", picture=escape(image.name), command=escape(report["command"]),
        verdict=f"{report['wrong_count']} things did not hold" if report["wrong_count"] else "all held",
        rows=table(rows), wrong=f"<h2>What did not hold</h2><ol>{wrong}</ol>" if wrong else "",
        done=table(list(report["done"].items())), checked=table(list(report["checked"].items())),
    )  # fmt: skip
    write_text(path, page)
