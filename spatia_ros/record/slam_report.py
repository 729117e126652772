"""The report of a tracked path: the picture and the figures on one page that fetches nothing."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from spatia_ros.record.files import write_text
from spatia_ros.record.report import Page, inline, rendered


def write_slam_report(path: Path, page: Page, picture: Path) -> None:
    """Write the page with a PNG of the paths inside it."""
    write_text(path, rendered("slam_report.html.j2", page, {"picture": Markup(inline("image/png", picture.read_bytes()))}))
