"""Kernels are compiled anew when anything that is compiled into them has changed."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from spatia_ros import kernels

ONE = """
from {njit} import njit
from spatia_ros.two import plus


@njit(cache=True)
def twice(x):
    return 2 * plus(x)
"""
TWO = """
from {njit} import njit
from spatia_ros.deep import amount


@njit(cache=True)
def plus(x):
    return x + amount.HOW_MUCH
"""


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of the same name with a kernel that calls one of another file, which takes a number from a third."""
    root = tmp_path / "spatia_ros"
    (root / "deep").mkdir(parents=True)
    for name in ("__init__.py", "deep/__init__.py", "deep/other.py"):
        (root / name).write_text("")
    shutil.copy(kernels.__file__, root)
    write(root, "spatia_ros.kernels")
    return root


def write(root: Path, njit: str) -> None:
    (root / "one.py").write_text(ONE.format(njit=njit))
    (root / "two.py").write_text(TWO.format(njit=njit))
    (root / "deep" / "amount.py").write_text("HOW_MUCH = 1\n")


def answer(root: Path) -> str:
    code = f"import sys; sys.path.insert(0, {str(root.parent)!r}); from spatia_ros.one import twice; print(twice(1))"
    # -B: Python's own caches go by size and whole seconds, and would miss what is written in the second it was read in.
    return subprocess.run([sys.executable, "-I", "-B", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(("njit", "then"), [("spatia_ros.kernels", "6"), ("numba", "4")])
def test_what_a_kernel_calls_changes_and_it_does_what_is_written(package: Path, njit: str, then: str) -> None:
    """Numba by itself goes on doing what was written before: should that change, this is needed no more."""
    write(package, njit)
    assert answer(package) == "4"
    (package / "deep" / "amount.py").write_text("HOW_MUCH = 2\n")
    assert answer(package) == then


def test_a_stamp_is_of_all_that_is_imported_and_of_nothing_else(package: Path) -> None:
    def stamps() -> list[bytes]:
        kernels.stamp.cache_clear(), kernels.imported.cache_clear(), kernels._digest.cache_clear()
        return [kernels.stamp(package / name, package) for name in ("one.py", "two.py", "deep/other.py")]

    before = stamps()
    assert kernels.imported(package / "two.py", package) == {package / "kernels.py", package / "deep" / "amount.py"}
    (package / "deep" / "amount.py").write_text("HOW_MUCH = 2\n")
    assert [a == b for a, b in zip(before, stamps(), strict=True)] == [False, False, True]
    (package / "deep" / "amount.py").write_text("HOW_MUCH = 1\n")
    assert stamps() == before
    (package / "one.py").write_text(ONE.format(njit="spatia_ros.kernels") + "\n")
    assert [a == b for a, b in zip(before, stamps(), strict=True)] == [False, True, True]


def test_every_kernel_of_the_package_is_such_a_one() -> None:
    others = re.compile(r"numba\.njit|from numba import .*\bn?jit\b")
    sources = [path for path in kernels.ROOT.rglob("*.py") if path.name != "kernels.py"]
    assert len(sources) > 100
    assert not [str(path) for path in sources if others.search(path.read_text())]
    from spatia_ros.memory.sharpen import _sharpen

    assert isinstance(_sharpen._cache._impl.locator, kernels.Locator)
    assert _sharpen._cache._impl.locator.get_source_stamp() == kernels.stamp(kernels.ROOT / "memory" / "sharpen.py")
