"""Examine this host: Python, ROS, what carries images between processes, messages, GPU, weights, disk; say what to do.

Each line is ok, warn (something will not be as it could) or fail (something will not work). Exit status 0 when nothing
fails, 1 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from itertools import groupby
from pathlib import Path
from shutil import get_terminal_size
from typing import Any, TextIO

from spatia_ros.cli.options import examples

EXAMPLES = examples("""
spatia doctor
spatia doctor --no-loopback --data-dir /data/spatia    # without the second of images; the world node's data_dir
spatia doctor --fix                                    # and remove what killed processes left in shared memory
spatia doctor --json | jq '.findings[] | select(.level != "ok")'
""")
MARKS = {"ok": ("ok", "32"), "warn": ("warn", "33"), "fail": ("FAIL", "31")}
NAME_WIDTH, LEAST_WIDTH, MOST_WIDTH = 22, 60, 140


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``spatia doctor``."""
    parser.add_argument("--data-dir", type=Path, default=Path("."), metavar="DIR", help="the nodes' data_dir (default: here)")
    parser.add_argument("--no-loopback", action="store_true", help="leave out the images between two processes (5 s)")
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="the findings as JSON: to a file, or instead of the text"
    )
    parser.add_argument("--fix", action="store_true", help="first remove what killed processes left in shared memory")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """``spatia doctor``."""
    from spatia_ros.cli.doctor_host import ask_ros, look
    from spatia_ros.cli.doctor_rules import findings

    if args.fix:
        ask_ros("tidy")
    found = findings(look(args.data_dir, not args.no_loopback))
    report: dict[str, Any] = {"ok": all(f.level != "fail" for f in found), "findings": [f._asdict() for f in found]}
    if args.json == "-":
        print(json.dumps(report, indent=1))
    else:
        show(report["findings"], sys.stdout)
        if args.json:
            from spatia_ros.record.files import write_json

            write_json(Path(args.json), report)
    return 0 if report["ok"] else 1


def show(found: list[dict[str, Any]], out: TextIO) -> None:
    """The findings for a reader: groups, a coloured mark each on a terminal, and below a line what to do."""
    colour = out.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    width = max(LEAST_WIDTH, min(MOST_WIDTH, get_terminal_size((MOST_WIDTH, 24)).columns)) - 1
    for group, lines in groupby(found, key=lambda f: f["group"]):
        out.write(paint(f"\n{group}\n", "1", colour))
        for line in lines:
            out.write(entry(line, width, colour))
    counts = {level: sum(f["level"] == level for f in found) for level in MARKS}
    verdict = "nothing is in the way" if not counts["fail"] else "what fails has to be mended first"
    out.write(f"\n{counts['ok']} ok, {counts['warn']} to look at, {counts['fail']} failed: {verdict}\n")


def entry(line: dict[str, Any], width: int, colour: bool) -> str:
    """One finding, wrapped."""
    word, shade = MARKS[line["level"]]
    indent = " " * (8 + NAME_WIDTH)
    text = textwrap.fill(
        f"{line['name']:<{NAME_WIDTH}}{line['text']}",
        width,
        initial_indent=" " * 8,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
    text = "  " + paint(f"{word:<6}", shade, colour) + text[8:] + "\n"
    if line["do"]:
        todo = textwrap.fill(
            line["do"],
            width,
            initial_indent=indent + "-> ",
            subsequent_indent=indent + "   ",
            break_on_hyphens=False,
            break_long_words=False,
        )
        text += paint(todo, shade, colour) + "\n"
    return text


def paint(text: str, code: str, colour: bool) -> str:
    """A text in a colour of the terminal."""
    return f"\033[{code}m{text}\033[0m" if colour else text
