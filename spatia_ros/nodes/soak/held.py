"""What a node under trial holds, as /diagnostics has it."""

from __future__ import annotations

from typing import Any

NAMES = ("resident_mb", "allocated_mb", "python_blocks", "kernels")


def held_by(node: str, report: Any) -> dict[str, float] | None:
    """What a DiagnosticArray says that a node of this name holds, by name; None where it says nothing of it."""
    for status in report.status:
        if status.name == node:
            told = {pair.key: pair.value for pair in status.values}
            return {name: float(told[name]) for name in NAMES if name in told}
    return None
