"""YAML read strictly: every complaint names the file, the line and the field.

Plain values only: no anchors, no tags, no key twice, nothing deeper or larger than a script needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import yaml

from spatia_ros.formats.plain_yaml import check_plain
from spatia_ros.types import SpatiaError

MAX_BYTES = 4 << 20
MAX_DEPTH = 12
_PREFIX = "tag:yaml.org,2002:"


def read_yaml(text: str, source: str) -> Value:
    """The one document of a text; ``source`` is what errors call it.

    Raises:
        SpatiaError: when it is too large, too deep, no YAML, or uses anchors or tags.
    """
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise SpatiaError(f"{source}: expected at most {MAX_BYTES} bytes, got {len(text.encode(errors='surrogatepass'))}")
    try:
        check_plain(text, source, MAX_DEPTH)
        node = yaml.compose(text, yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise SpatiaError(f"{source}{where}: expected YAML, got {problem}") from None
    if node is None:
        raise SpatiaError(f"{source}: expected a script, got nothing")
    return Value(node, source, "")


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the document, with where it stands."""

    node: yaml.Node
    source: str
    name: str

    def fail(self, expected: str, got: object = None) -> NoReturn:
        """Raise: what was expected here, and what came."""
        where = f"{self.source}:{self.node.start_mark.line + 1}: {self.name or 'the script'}"
        raise SpatiaError(f"{where}: expected {expected}, got {self._said() if got is None else got}")

    def _said(self) -> str:
        if isinstance(self.node, yaml.ScalarNode):
            return repr(self.node.value[:80])
        return "a mapping" if isinstance(self.node, yaml.MappingNode) else f"a list of {len(self.node.value)}"

    def mapping(self, needed: tuple[str, ...] = (), allowed: tuple[str, ...] = ()) -> dict[str, Value]:
        """Its values by key: all the needed ones, and none that is not allowed."""
        known = needed + allowed
        if not isinstance(self.node, yaml.MappingNode):
            self.fail(f"a mapping with {', '.join(known)}" if known else "a mapping")
        out: dict[str, Value] = {}
        for key, node in self.node.value:
            word = str(key.value)
            at = Value(key, self.source, f"{self.name}.{word}".strip("."))
            if not isinstance(key, yaml.ScalarNode) or (known and word not in known):
                at.fail(f"one of {', '.join(known)}", f"the key {word[:80]!r}")
            if word in out:
                at.fail("each key once", f"{word[:80]!r} again")
            out[word] = Value(node, self.source, at.name)
        missing = [key for key in needed if key not in out]
        if missing:
            self.fail(f"{', '.join(needed)}", f"no {', '.join(missing)}")
        return out

    @property
    def is_list(self) -> bool:
        """Whether it is a list."""
        return isinstance(self.node, yaml.SequenceNode)

    def items(self, most: int) -> Iterator[Value]:
        """The values of a list of at most so many."""
        if not self.is_list:
            self.fail("a list")
        if len(self.node.value) > most:
            self.fail(f"at most {most} of them")
        for k, node in enumerate(self.node.value):
            yield Value(node, self.source, f"{self.name}[{k}]")

    def number(self, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number within bounds."""
        value = math.nan
        if isinstance(self.node, yaml.ScalarNode) and self.node.style is None and self.node.tag != _PREFIX + "bool":
            try:
                # YAML 1.1 takes 1e3 for a word; nobody means one.
                value = float(self.node.value)
            except ValueError:
                value = math.nan
        if not (math.isfinite(value) and low <= value <= high):
            bounds = f" of {low:g}..{high:g}" if math.isfinite(low) or math.isfinite(high) else ""
            self.fail(f"a finite number{bounds}")
        return value

    def numbers(self, names: str) -> list[float]:
        """A list of as many finite numbers as there are names ("x y z")."""
        wanted = names.split()
        values = [item.number() for item in self.items(len(wanted))] if isinstance(self.node, yaml.SequenceNode) else []
        if len(values) != len(wanted):
            self.fail(f"{len(wanted)} numbers ({names.replace(' ', ', ')})")
        return values

    def text(self, choices: tuple[str, ...] = ()) -> str:
        """A word, of some choices if there are any."""
        if not isinstance(self.node, yaml.ScalarNode) or not self.node.value or self.node.tag == _PREFIX + "null":
            self.fail(f"one of {', '.join(choices)}" if choices else "a word")
        value = str(self.node.value)
        if choices and value not in choices:
            self.fail(f"one of {', '.join(choices)}")
        return value

    def truth(self) -> bool:
        """True or false."""
        if self.node.tag != _PREFIX + "bool" or self.node.value.lower() not in ("true", "false"):
            self.fail("true or false")
        return bool(self.node.value.lower() == "true")
