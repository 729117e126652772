"""docs/reference.md and docs/interfaces.md say what the code says."""

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
AGAIN = "python -m spatia_ros.nodes.environment python docs/reference.py"


@pytest.fixture(scope="module")
def writer():
    spec = importlib.util.spec_from_file_location("docs_reference", DOCS / "reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["reference.md", "interfaces.md"])
def test_the_page_is_that_of_the_code(writer, page):
    assert (DOCS / page).read_text() == writer.PAGES[page](), f"write it again: {AGAIN}"


def test_a_topic_without_a_meaning_is_an_error(writer):
    with pytest.raises(LookupError, match="new_topic"):
        writer.meaning(writer.Entry("new_topic", "std_msgs/String", "", ""), "published")
