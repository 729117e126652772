"""The figures of docs/actors.md can be drawn, the page shows those there are, and its script is one."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from spatia_ros.actors import script
from spatia_ros.actors.library import LIBRARY
from spatia_ros.actors.shapes import COLOURS
from spatia_ros.types import Camera

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = (DOCS / "actors.md").read_text()


@pytest.fixture
def figures(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    return importlib.import_module("figures_actors")


def test_the_patterns_can_be_drawn(figures):
    picture = figures.patterns(SimpleNamespace(camera=Camera.from_fov(64, 48, 1.2)))
    assert picture.std() > 10, "something is on it"


def test_the_page_shows_every_figure_and_all_are_there(figures):
    shown = re.findall(r"images/(actors_\w+\.jpg)", PAGE)
    assert sorted(set(shown)) == sorted(f"actors_{name}.jpg" for name in figures.FIGURES)
    assert sum((DOCS / "images" / name).stat().st_size for name in shown) < 700_000


def test_the_changes_of_the_figure_are_scripts(figures):
    text = re.sub(r"kind: (\w+)", r"kind: \1, spacing_m: 0.3", figures.SCRIPT)
    for change in figures.CHANGES.values():
        assert [a.name for a in script.load_text(text + change, Path)] == ["walker", "ball"]


def test_the_script_of_the_page_is_read_up_to_its_files():
    (text,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    without = "\n".join(line for line in text.splitlines() if ".npz" not in line and ".glb" not in line)
    cast = script.load_text(without.replace("colour: green", "colour: green, spacing_m: 0.3"), Path)
    assert cast.find("ped").tau(0.0) == 3.0
    assert cast.clock.at(5.0) == 2.0


def test_the_page_names_every_kind_and_colour():
    (row,) = re.findall(r"of the library: (.*?) \|", PAGE)
    kinds, colours = row.split("; ")
    assert kinds.split(", ") == list(LIBRARY)
    assert colours.split(", ") == list(COLOURS)
