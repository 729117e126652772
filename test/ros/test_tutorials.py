"""The tutorials' commands, as they stand in their Markdown, in a folder of their own."""

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from recordings import DATA, recording

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(p.stem for p in (ROOT / "docs" / "tutorials").glob("*.md") if p.stem != "README")
QUICK = ("simulate_a_base",)
"""Tried by every `make test`; `make tutorials` tries all."""


@pytest.fixture(scope="module")
def tutorial():
    spec = importlib.util.spec_from_file_location("tutorial", ROOT / "scripts" / "tutorial.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["tutorial"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", QUICK)
def test_the_commands_end_well(tutorial, tmp_path, page):
    recording("lounge")
    tutorial.run(ROOT / "docs" / "tutorials" / f"{page}.md", tmp_path, DATA)


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_are_understood(tutorial, page):
    text = (ROOT / "docs" / "tutorials" / f"{page}.md").read_text()
    steps = tutorial.steps(text)
    assert sum(step.what == "run" for step in steps) >= 2
    assert text.count("\n```") % 2 == 0
    assert f"({page}.md)" in (ROOT / "docs" / "tutorials" / "README.md").read_text()


def test_a_command_that_fails_is_told_with_the_log_of_its_terminals(tutorial, tmp_path):
    page = tmp_path / "page.md"
    waiting = "```bash terminal=1\nwhile true; do echo waiting; sleep 0.1; done\n```\n"
    page.write_text(f"```python file=a.py\nprint('saved')\n```\n{waiting}```bash\npython a.py; sleep 0.3; false\n```\n")
    with pytest.raises(tutorial.TutorialError, match=r"(?s)exit code 1 of:.*false.*terminal 1:.*waiting"):
        tutorial.run(page, tmp_path, tmp_path)


def test_a_terminal_that_dies_ends_the_wait_for_it(tutorial, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```bash terminal=1\necho broken; exit 3\n```\n```bash\nuntil false; do sleep 0.1; done\n```\n")
    with pytest.raises(tutorial.TutorialError, match=r"(?s)terminal 1 ended with exit code 3:.*broken"):
        tutorial.run(page, tmp_path, tmp_path)


def test_a_word_that_means_nothing_is_an_error(tutorial):
    with pytest.raises(tutorial.TutorialError, match="expected one of"):
        tutorial.steps("```bash terminel=1\ntrue\n```\n")
