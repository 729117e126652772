"""The figures of docs/memory.md can be drawn, and the page shows those there are."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from spatia_ros.record.files import encode_jpeg

DOCS = Path(__file__).resolve().parents[1] / "docs"
spec = importlib.util.spec_from_file_location("figures", DOCS / "figures.py")
figures = importlib.util.module_from_spec(spec)
spec.loader.exec_module(figures)


@pytest.fixture(scope="module")
def studio():
    return figures.Studio(64, 0.2)


@pytest.mark.parametrize("name", [name for name in figures.FIGURES if name != "loop"])
def test_a_figure_can_be_drawn(studio, name):
    picture = figures.FIGURES[name](studio)
    assert picture.shape[0] >= figures.PANEL_HEIGHT
    assert picture.std() > 10, "something is on it"
    assert len(encode_jpeg(picture)) > 2000


def test_the_page_shows_every_figure_and_all_are_there():
    shown = re.findall(r"images/(memory_\w+\.jpg)", (DOCS / "memory.md").read_text())
    assert sorted(set(shown)) == sorted(f"memory_{name}.jpg" for name in figures.FIGURES)
    sizes = [(DOCS / "images" / name).stat().st_size for name in shown]
    assert sum(sizes) < 1_500_000
