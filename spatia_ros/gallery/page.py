"""index.html: the gallery on one page, with what made each film."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from spatia_ros import __version__
from spatia_ros.record.files import write_text


@dataclass(frozen=True, slots=True)
class Entry:
    """A film on the page.

    Args:
        name, title, sentence: the film's. video, strip: relative to the page. scripts: texts of what was played.
        command: what makes it again. figures: what was measured, in words; may be empty.
    """

    name: str
    title: str
    sentence: str
    video: str
    strip: str
    scripts: Sequence[str]
    command: str
    figures: str = ""


def write_page(path: Path, entries: Sequence[Entry], command: str) -> None:
    """Write the page; the films lie beside it."""
    environment = Environment(loader=PackageLoader("spatia_ros.gallery", "."), autoescape=True, undefined=StrictUndefined)
    write_text(path, environment.get_template("gallery.html.j2").render(films=entries, command=command, version=__version__))
