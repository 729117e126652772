"""How long files and functions may be: what does not fit on a few screens is more than one idea."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("spatia_ros", "test", "bench", "scripts", "docs", "launch")
FILE_LINES, FUNCTION_LINES = 400, 60


def sources():
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def functions(tree):
    """``(name, lines without the docstring)`` of every function of a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            said = first.end_lineno - first.lineno + 1 if ast.get_docstring(node) is not None else 0
            yield node.name, node.end_lineno - node.lineno + 1 - said


def test_files_and_functions_are_short():
    assert len(sources()) > 500, "expected to find the sources"
    long = []
    for path in sources():
        text = path.read_text()
        name = path.relative_to(ROOT)
        if (lines := len(text.splitlines())) > FILE_LINES:
            long.append(f"{name}: {lines} lines, at most {FILE_LINES}")
        long += [
            f"{name}: {function}: {lines} lines, at most {FUNCTION_LINES}"
            for function, lines in functions(ast.parse(text, str(path)))
            if lines > FUNCTION_LINES
        ]
    assert not long, "\n".join(long)


@pytest.mark.parametrize("doc", ["", '    """Says\n    what.\n    """\n'])
def test_the_docstring_does_not_count(doc):
    assert list(functions(ast.parse(f"def f():\n{doc}    a = 1\n    return a\n"))) == [("f", 3)]
