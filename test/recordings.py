"""Recordings that tests read where they are at hand: the folder named by SPATIA_DATA."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("SPATIA_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))


def recording(name: str) -> Path:
    """The recording's path, or the test is skipped with a sentence saying what is missing."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"needs the recording {name} in the folder that SPATIA_DATA names ({DATA} has none)")
    return path
