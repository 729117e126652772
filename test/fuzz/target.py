"""What every fuzz target is, and the one loop that feeds it: inputs by number from a seed, and what they were found to do."""

from __future__ import annotations

import faulthandler
import hashlib
import random
import re
import resource
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hypothesis import HealthCheck, Phase, given, seed, settings

from spatia_ros.types import SpatiaError

CORPUS = Path(__file__).parent / "corpus"
HANG_S = 60
SLOW_S = 5.0
"""Seconds of this thread's own work: a busy machine does not make an input slow."""
SPARE_BYTES = 6 << 30
"""Address space a target may take beyond what it has when warm: beyond it an allocation fails, and that is found."""
MOST_GROWTH_BYTES = 300 << 20
"""Resident memory one batch may add."""
BATCH = 500


class Wrong(AssertionError):
    """An answer that breaks a promise, other than by an exception of its own."""


class Target(Protocol):
    """Something that takes input from outside."""

    name: str
    suffix: str
    """Of the files its inputs are kept in."""

    def damaged(self, rng: random.Random) -> Any:
        """An input by damage to a valid one."""

    def take_valid(self) -> None:
        """Take what is valid: a target that refuses it tests nothing."""

    def strategy(self) -> Any:
        """A Hypothesis strategy of inputs, or None."""

    def take(self, value: Any) -> bool:
        """Take an input; whether it was accepted. Anything raised but a SpatiaError is a finding."""

    def to_bytes(self, value: Any) -> bytes:
        """An input as it is kept."""

    def from_bytes(self, data: bytes) -> Any:
        """An input that was kept."""


@dataclass
class Finding:
    """Something an input did that no input may do."""

    target: str
    words: str
    where: str
    times: int = 1
    kept: str = ""


@dataclass
class Result:
    """What became of a target's inputs."""

    target: str
    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    seconds: float = 0.0
    grown_mb: float = 0.0
    findings: dict[str, Finding] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return vars(self) | {"findings": [vars(finding) for finding in self.findings.values()]}


def check_words(error: SpatiaError) -> None:
    """An error names what was wrong: not empty, not endless, in words."""
    words = str(error)
    if not words.strip() or len(words) > 20_000:
        raise Wrong(f"expected an error in words, got {len(words)} characters: {words[:80]!r}") from error
    named = re.match(r"[^ ].{0,400}?: ", words, re.DOTALL) is not None
    if not named and not any(
        word in words
        for word in (
            "expected",
            "damaged",
            "not ",
            "unknown",
            "belongs",
            "no ",
            "nothing here",
            "cannot",
            "Input should",
            "Value error",
            "required",
        )
    ):
        raise Wrong(f"expected an error that says what was expected, got {words[:200]!r}") from error


def try_one(target: Target, value: Any, result: Result, keep: Path | None = None) -> None:
    """Feed one input; what it broke is noted, and the input kept."""
    result.inputs += 1
    began, finding = time.thread_time(), None
    faulthandler.dump_traceback_later(HANG_S, exit=True)
    try:
        result.accepted += bool(target.take(value))
    except SpatiaError as error:
        result.refused += 1
        try:
            check_words(error)
        except Wrong as wrong:
            finding = Finding(target.name, str(wrong)[:500], _where(error))
    except Exception as error:
        finding = Finding(target.name, f"{type(error).__name__}: {error}"[:500], _where(error))
    finally:
        faulthandler.cancel_dump_traceback_later()
    if finding is None and (took := time.thread_time() - began) > SLOW_S:
        finding = Finding(target.name, f"expected an answer within {SLOW_S} s, it took {took:.1f} s", "slow")
    if finding is not None:
        _note(target, value, finding, result, keep)


def _where(error: BaseException) -> str:
    """The last line of ours that an error went through: what makes two findings one."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/spatia_ros/" in f.filename or "/fuzz/" in f.filename]
    last = frames[-1] if frames else None
    return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}" if last else type(error).__name__


def _note(target: Target, value: Any, finding: Finding, result: Result, keep: Path | None) -> None:
    if finding.where in result.findings:
        result.findings[finding.where].times += 1
        return
    result.findings[finding.where] = finding
    if keep is not None:
        data = target.to_bytes(value)
        folder = keep / target.name
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / (hashlib.sha256(data).hexdigest()[:12] + target.suffix)
        path.write_bytes(data)
        finding.kept = str(path)
    print(f"{target.name}: FOUND {finding.words[:300]} [{finding.where}] {finding.kept}", file=sys.stderr, flush=True)


def kept_inputs(target: Target) -> Iterator[tuple[Path, Any]]:
    """The inputs in the corpus that once broke a target."""
    for path in sorted((CORPUS / target.name).glob("*")):
        yield path, target.from_bytes(path.read_bytes())


def feed(target: Target, count: int, first: int, keep: Path | None = None) -> Result:
    """Feed so many inputs to a target, the corpus first: half by Hypothesis where it has a strategy, the rest by damage.

    Args:
        first: the seed; the same seed and count give the same inputs.
    """
    result, began = Result(target.name), time.monotonic()
    count = max(1, round(count * getattr(target, "share", 1.0)))
    target.take_valid()
    for _, value in kept_inputs(target):
        try_one(target, value, result, keep)
    before, limits = _resident(), resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + SPARE_BYTES, limits[1]))
    batch = 0
    while result.inputs < count:
        left, resident = count - result.inputs, _resident()
        _batch(target, min(BATCH, left), first + batch, result, keep)
        grown = _resident() - resident
        if batch and grown > MOST_GROWTH_BYTES:
            words = f"expected a batch to add at most {MOST_GROWTH_BYTES >> 20} MB, it added {grown >> 20} (seed {first + batch})"
            result.findings.setdefault("memory", Finding(target.name, words, "memory"))
            print(f"{target.name}: FOUND {words}", file=sys.stderr, flush=True)
        batch += 1
    resource.setrlimit(resource.RLIMIT_AS, limits)
    result.seconds, result.grown_mb = round(time.monotonic() - began, 1), round((_resident() - before) / 1e6, 1)
    return result


def _batch(target: Target, count: int, number: int, result: Result, keep: Path | None) -> None:
    strategy = target.strategy()
    print(f"{target.name}: seed {number}, {count} inputs", flush=True)
    by_damage = getattr(target, "by_damage", True)
    drawn = 0 if strategy is None else count // 2 if by_damage else count
    if drawn:
        before = result.inputs
        checks = settings(
            max_examples=drawn, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        seed(number)(checks(given(strategy)(lambda value: try_one(target, value, result, keep))))()
        count -= max(result.inputs - before, 1)
    if by_damage:
        for k in range(count):
            try_one(target, target.damaged(random.Random(f"{target.name} {number} {k}")), result, keep)


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
