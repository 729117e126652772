"""report.html: one file that holds a whole run and fetches nothing."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from spatia_ros import __version__
from spatia_ros.record.chart import line_chart, share_chart
from spatia_ros.record.files import encode_jpeg, write_text
from spatia_ros.record.panels import NAMES, ORIGINS, Film
from spatia_ros.types import UInt8

_INLINE_VIDEO_BYTES = 24 << 20


@dataclass(frozen=True, slots=True)
class Page:
    """What a report says beyond its pictures.

    Args:
        title: the heading. summary: one paragraph under it.
        figures: (name, value, what it means), shown as a table.
        config: the effective configuration, YAML.
        files: (name, what it is) of the files beside the report.
        command: what made it.
    """

    title: str
    summary: str
    figures: Sequence[tuple[str, str, str]]
    config: str
    files: Sequence[tuple[str, str]]
    command: str


def write_report(path: Path, page: Page, film: Film, sheet: UInt8, video: Path) -> None:
    """Write the page with the contact sheet, charts over time, and the video (when of moderate size) inside it."""
    seconds = film.seconds
    hex_colours = [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in ORIGINS]
    html = rendered("report.html.j2", page, {
        "sheet": Markup(inline("image/jpeg", encode_jpeg(sheet))), "video": _video(video),
        "shares": Markup(share_chart(seconds, _shares(film), "simulated time, s", "share of pixels")),
        "latency": Markup(line_chart(seconds, latencies(film), "simulated time, s", "ms per frame")),
        "legend": list(zip(hex_colours, NAMES, strict=True)),
    })  # fmt: skip
    write_text(path, html)


def rendered(template: str, page: Page, parts: Mapping[str, Any]) -> str:
    """The HTML of a page by the template beside this module, which gets ``parts`` by name."""
    environment = Environment(loader=PackageLoader("spatia_ros.record", "."), autoescape=True, undefined=StrictUndefined)
    return environment.get_template(template).render(page=page, version=__version__, **parts)


def inline(kind: str, data: bytes) -> str:
    """A ``data:`` address that holds a file of this MIME type."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def latencies(film: Film) -> Mapping[str, Sequence[float]]:
    """Milliseconds of every frame by stage, of the stages that all frames know."""
    names = sorted(name for name in set.intersection(*map(set, film.figures)) if name.endswith("_ms"))
    return {name.removesuffix("_ms"): [float(figures[name]) for figures in film.figures] for name in names}


def _shares(film: Film) -> Mapping[str, Sequence[float]]:
    return {name: film.shares[:, i].tolist() for i, name in enumerate(NAMES)}


def _video(path: Path) -> Markup | None:
    if not path.is_file() or path.stat().st_size > _INLINE_VIDEO_BYTES:
        return None
    return Markup(inline("video/mp4", path.read_bytes()))
