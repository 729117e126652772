"""YAML of plain values: no tags, no anchors, not nested without end, and one kind of error whatever is wrong with it.

An alias costs two characters and stands for as much as one likes: ten lines of them are ten thousand million values as soon as
somebody walks through or prints them. And the loader itself raises more than YAMLError (a date of month 13: ValueError).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from spatia_ros.types import SpatiaError

MAX_DEPTH = 50


def parse_yaml(text: str, source: str) -> Any:
    """The values of a text; ``source`` is what errors call it.

    Raises:
        SpatiaError: when it is no YAML, or more than plain values.
    """
    try:
        check_plain(text, source, MAX_DEPTH)
        return yaml.safe_load(text)
    except SpatiaError:
        raise
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise SpatiaError(f"{source}: expected YAML, got {' '.join(str(error).split()):.300}") from None


def read_yaml_file(path: Path, most_bytes: int) -> Any:
    """The values of a file that is there, of at most so many bytes, UTF-8.

    Raises:
        SpatiaError: naming the file, what was expected and what came.
    """
    if not path.is_file():
        raise SpatiaError(f"{path}: expected a YAML file, found none")
    if path.stat().st_size > most_bytes:
        raise SpatiaError(f"{path}: expected at most {most_bytes} bytes, got {path.stat().st_size}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise SpatiaError(f"{path}: expected YAML in UTF-8, got {error}") from None
    return parse_yaml(text, str(path))


def check_plain(text: str, source: str, most_levels: int) -> None:
    """Raise unless a text has plain values only, nested in at most so many levels.

    Raises:
        SpatiaError: naming the line, at an anchor, an alias, a tag, or a level too many.
        yaml.YAMLError: when it is no YAML.
    """
    depth = 0
    for event in yaml.parse(text, yaml.SafeLoader):
        where = f"{source}:{event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise SpatiaError(f"{where}: expected plain values, got an anchor or alias")
        if getattr(event, "tag", None):
            raise SpatiaError(f"{where}: expected plain values, got the tag {event.tag!r:.80}")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > most_levels:
            raise SpatiaError(f"{where}: expected at most {most_levels} levels, got more")
