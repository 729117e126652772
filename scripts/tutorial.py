"""Run the commands of a tutorial as they stand in its Markdown, in a folder of their own.

    python scripts/tutorial.py docs/tutorials/fly_a_room.md --data ../shared/data [--folder DIR]

Fenced blocks are carried out in order:

    ```bash                  commands, which must succeed
    ```bash terminal=NAME    goes on in the background; a later block of that name, or the end, stops it with Ctrl-C
    ```python file=NAME      a file to be saved
    ```bash skip             not run here (the text says why)

The recordings folder is there as ``data``.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LIMIT_S = 300.0
STOP_S = 30.0
STOPPED = (0, 130, -signal.SIGINT)


class Step(NamedTuple):
    """One block: what to do with it (run, terminal, file), under which name, and its text."""

    what: str
    name: str
    text: str


class TutorialError(RuntimeError):
    """A command that did not do what the tutorial says."""


def steps(page: str) -> list[Step]:
    """The blocks of a page that are carried out.

    Raises:
        TutorialError: on a word after a fence's language that means nothing.
    """
    out = []
    for language, words, text in FENCE.findall(page):
        what, _, name = words.strip().partition("=")
        if language not in ("bash", "python") or what == "skip":
            continue
        known = ("", "terminal") if language == "bash" else ("file",)
        if what not in known or bool(name) != bool(what):
            raise TutorialError(f"```{language}{words}: expected one of {known}")
        out.append(Step(what or "run", name, text))
    return out


def _hear_ctrl_c() -> None:
    """In a child: hear Ctrl-C also where this program was started in the background, which leaves it ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Terminal:
    """Commands in the background."""

    def __init__(self, step: Step, folder: Path, env: dict[str, str]) -> None:
        self.name, self.log = step.name, folder / f".terminal_{step.name}.log"
        with self.log.open("w") as out:
            self._process = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", step.text], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=out,
                stderr=subprocess.STDOUT, start_new_session=True, preexec_fn=_hear_ctrl_c,
            )  # fmt: skip

    def check(self) -> None:
        """Raise when it has failed."""
        code = self._process.poll()
        if code is not None and code not in STOPPED:
            raise TutorialError(f"terminal {self.name} ended with exit code {code}:\n{self.words()}")

    def stop(self) -> None:
        """Ctrl-C, as a user would."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            raise TutorialError(f"terminal {self.name} did not end within {STOP_S:g} s of Ctrl-C:\n{self.words()}") from None
        self.check()

    def words(self) -> str:
        """The end of what it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


def environment(root: Path) -> dict[str, str]:
    """The shell's, as after ``source .venv/bin/activate``."""
    venv = root / ".venv"
    return {**os.environ, "VIRTUAL_ENV": str(venv), "PATH": f"{venv / 'bin'}:{os.environ.get('PATH', '')}"}


def carry_out(step: Step, folder: Path, env: dict[str, str], terminals: dict[str, Terminal]) -> None:
    """Commands in the foreground, while the terminals go on.

    Raises:
        TutorialError: when they fail or take too long, or a terminal fails meanwhile.
    """
    process = subprocess.Popen(["bash", "-euo", "pipefail", "-c", step.text], cwd=folder, env=env, start_new_session=True)
    until = time.monotonic() + LIMIT_S
    try:
        while process.poll() is None:
            for terminal in terminals.values():
                terminal.check()
            if time.monotonic() > until:
                break
            time.sleep(0.1)
        if process.poll() != 0:
            logs = "".join(f"\nterminal {t.name}:\n{t.words()}" for t in terminals.values())
            how = f"exit code {process.returncode}" if process.returncode is not None else f"no end within {LIMIT_S:g} s"
            raise TutorialError(f"{how} of:\n{step.text}{logs}")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def run(page: Path, folder: Path, data: Path) -> None:
    """Carry out a page.

    Raises:
        TutorialError: at the first command that fails.
    """
    env = environment(Path(__file__).resolve().parents[1])
    if not (folder / "data").exists():
        (folder / "data").symlink_to(data.resolve())
    terminals: dict[str, Terminal] = {}
    try:
        for step in steps(page.read_text()):
            if step.what == "file":
                (folder / step.name).write_text(step.text)
                continue
            print("\n".join(f"$ {line}" for line in step.text.strip().splitlines()), flush=True)
            if step.what == "terminal":
                if step.name in terminals:
                    terminals.pop(step.name).stop()
                terminals[step.name] = Terminal(step, folder, env)
                continue
            start = time.monotonic()
            carry_out(step, folder, env, terminals)
            print(f"  ({time.monotonic() - start:.0f} s)", flush=True)
        while terminals:
            terminals.popitem()[1].stop()
    finally:
        for terminal in terminals.values():
            terminal.stop()


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(description="Run the commands of tutorials as they stand in their Markdown.")
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SPATIA_DATA", "../shared/data")), help="recordings")
    parser.add_argument("--folder", type=Path, help="work here, and leave everything (default: a temporary folder a page)")
    args = parser.parse_args()
    for page in args.pages:
        print(f"== {page}")
        with tempfile.TemporaryDirectory() as temporary:
            folder = args.folder or Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            try:
                run(page, folder, args.data)
            except TutorialError as error:
                print(f"{page}: {error}", file=sys.stderr)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
