"""What a trial did and saw, counted; and the first of what did not hold, in words."""

from __future__ import annotations

from collections import Counter

KEPT_WORDS = 20
"""Things that did not hold are all counted; so many are told in words."""


class Ledger:
    """Counts by name, and what did not hold."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []

    def expect(self, true: bool, words: str) -> bool:
        """Note what does not hold; returns whether it did."""
        self.counts["checks"] += 1
        if not true:
            self.counts["wrong"] += 1
            if len(self.wrong) < KEPT_WORDS:
                self.wrong.append(words)
        return bool(true)
