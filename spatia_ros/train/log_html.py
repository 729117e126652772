"""A training run as one page that needs nothing else: curves as inline SVG, pictures as they come out.

Rows go to ``log.jsonl`` (one JSON object a line, the record) and the page is drawn anew from them.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np

from spatia_ros.train.validate import Pictures
from spatia_ros.types import UInt8

LOG, PAGE, STRIP = "log.jsonl", "log.html", "samples.jpg"
WIDTH, HEIGHT, MARGIN = 640, 200, 46
COLOURS = ("#0f8f78", "#c4452f", "#3867c8", "#a06a00")
CURVES = (
    ("PSNR of invented pixels on held-out clips, dB", ("psnr_net", "psnr_fill")),
    ("AbsRel of invented depth on held-out clips", ("absrel_net", "absrel_fill")),
    ("loss in training", ("loss",)),
    ("log error of invented colour in training (lower by 0.115 is 1 dB)", ("invented", "everywhere")),
    ("velocity error in training", ("velocity",)),
    ("paint error in training", ("paint",)),
    ("gradient norm", ("gradient",)),
)
STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#1c2430;background:#fff}
svg{width:100%;max-width:640px}svg text{font-size:11px;fill:#5a6675}.grid{stroke:#e3e7ec}
img{max-width:100%}h1{font-size:22px}h2{font-size:17px}"""


def append(folder: Path, row: dict[str, float | str]) -> None:
    """Add a row to the record."""
    with (folder / LOG).open("a") as log:
        log.write(json.dumps(row) + "\n")


def read(folder: Path, stage: str | None = None) -> list[dict[str, float | str]]:
    """The rows of the record in order, of one stage or all.

    A run that was killed after a report and resumed from an older checkpoint reports steps twice; the later one counts.
    """
    path = folder / LOG
    if not path.exists():
        return []
    rows: dict[tuple[str, int], dict[str, float | str]] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        rows[str(row["stage"]), int(row["step"])] = row
    return [row for (name, _), row in sorted(rows.items(), key=lambda item: float(item[1]["order"])) if stage in (None, name)]


def strip(pictures: Pictures, most: int = 6) -> UInt8:
    """uint8 [H, W, 3]: a row for each of the first clips' last frames: memory's view, fill, ours, truth."""
    rows = []
    for i in range(min(most, len(pictures.view))):
        columns = [getattr(pictures, name)[i, -1].permute(1, 2, 0).cpu().numpy() for name in Pictures.__slots__]
        rows.append(np.concatenate(columns, 1))
    return np.clip(np.concatenate(rows) * 255.0 + 0.5, 0, 255).astype(np.uint8)


def write_strip(path: Path, image: UInt8) -> None:
    """Save a strip as JPEG."""
    cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


def curve(rows: Sequence[dict[str, float | str]], names: Sequence[str]) -> str:
    """An SVG of the named columns over the steps, or nothing when no row has any."""
    lines = {name: [(float(r["step"]), float(r[name])) for r in rows if name in r] for name in names}
    points = [p for line in lines.values() for p in line if np.isfinite(p[1])]
    if len(points) < 2:
        return ""
    xs, ys = zip(*points, strict=True)
    low, high = min(ys), max(ys)
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    low, high = low - room, high + room

    def at(x: float, y: float) -> str:
        across = MARGIN + (x - min(xs)) / (max(xs) - min(xs) or 1.0) * (WIDTH - 2 * MARGIN)
        return f"{across:.1f},{HEIGHT - 24 - (y - low) / (high - low) * (HEIGHT - 44):.1f}"

    parts = []
    for value in np.linspace(low, high, 5):
        y = at(xs[0], float(value)).split(",")[1]
        parts.append(f'<line class="grid" x1="{MARGIN}" x2="{WIDTH - MARGIN}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{MARGIN - 6}" y="{y}" text-anchor="end">{value:.3g}</text>')
    for i, (name, line) in enumerate(lines.items()):
        path = " ".join(at(*p) for p in line if np.isfinite(p[1]))
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[i]}" stroke-width="1.8"/>')
        parts.append(f'<text x="{MARGIN + 130 * i}" y="12" style="fill:{COLOURS[i]}">{escape(name)}</text>')
    parts.append(f'<text x="{WIDTH - MARGIN}" y="{HEIGHT - 6}" text-anchor="end">step {max(xs):.0f}</text>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}">{"".join(parts)}</svg>'


def write_page(folder: Path, title: str, stages: Sequence[str]) -> None:
    """Draw the page of a run anew from its record and the stages' latest pictures, whole or not at all."""
    body = [f"<h1>{escape(title)}</h1>"]
    for stage in stages:
        rows = read(folder, stage)
        if not rows:
            continue
        latest = rows[-1]
        body.append(f"<h2>{escape(stage)}: {latest['step']} steps, {float(latest['seconds']) / 60:.0f} minutes</h2>")
        for name, columns in CURVES:
            drawn = curve(rows, columns)
            body.append(f"<p>{escape(name)}<br>{drawn}</p>" if drawn else "")
        picture = folder / stage / STRIP
        if picture.exists():
            data = base64.b64encode(picture.read_bytes()).decode()
            body.append(f'<p>memory\'s view, fill, ours, truth<br><img alt="samples" src="data:image/jpeg;base64,{data}"></p>')
    partial = folder / (PAGE + ".partial")
    head = f'<head><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style></head>'
    partial.write_text(f'<!doctype html><html lang="en">{head}<body>{"".join(body)}</body></html>\n')
    os.replace(partial, folder / PAGE)
