"""The supervisor: what it restarts, what it leaves, and that signals go through. Its children here are a few lines each."""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from spatia_ros.nodes.supervise import Patience, Supervisor

ROOT = Path(__file__).resolve().parents[2]
QUICK = Patience(start_s=60.0, silence_s=0.3, end_s=20.0, backoff_s=0.001, longest_backoff_s=0.004, restarts=4)
BEAT = """
import os, sys, signal, time
attempt, pipe = int(sys.argv[1]), int(sys.argv[2])
beat = lambda word: os.write(pipe, word)
beat(b"active\\n")
"""


def supervised(body, patience=QUICK):
    """A supervisor of a child that beats once and then runs some lines, and the list of what it says."""
    said = []

    def say(line):
        if "shared memory" not in line:  # what other programs on this machine left there
            said.append(line)

    return Supervisor(lambda *numbers: [sys.executable, "-c", BEAT + body, *map(str, numbers)], patience, say), said


@pytest.mark.parametrize(
    ("end", "why"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
        ("sys.exit(3)", "ended with status 3"),
        ("beat(b'gave up\\n'); time.sleep(60)", "its work failed"),
        ("time.sleep(60)", "said nothing"),
        ("signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)", "said nothing"),
    ],
    ids=["killed", "failed", "gave-up", "silent", "deaf"],
)
def test_a_child_that_ends_badly_or_hangs_is_started_again(end, why):
    patience = Patience(start_s=60.0, silence_s=0.3, end_s=0.4, backoff_s=0.001)
    supervisor, said = supervised(f"\nif attempt == 0:\n    {end}", patience)
    assert supervisor.run() == 0
    assert supervisor.starts == 2
    assert len(said) == 1
    assert why in said[0]


def test_one_that_never_lives_long_is_left_in_the_end():
    supervisor, said = supervised("sys.exit(3)")
    assert supervisor.run() == 3
    assert supervisor.starts == QUICK.restarts + 1
    assert "left as it is" in said[-1]


def test_kills_from_outside_are_not_held_against_it():
    supervisor, said = supervised(f"\nif attempt < {2 * QUICK.restarts}:\n    os.kill(os.getpid(), signal.SIGKILL)")
    assert supervisor.run() == 0
    assert len(said) == supervisor.starts - 1 == 2 * QUICK.restarts


def test_one_that_is_killed_again_and_again_is_left_in_the_end():
    """Out of memory each time it gets to work, say: starting it for ever would only take the machine from others."""
    supervisor, said = supervised("os.kill(os.getpid(), signal.SIGKILL)", replace(QUICK, kills=5))
    assert supervisor.run() == -signal.SIGKILL
    assert supervisor.starts == 6
    assert "killed by SIGKILL 6 times in a row, each within 30 s: left as it is" in said[-1]


def test_kills_of_one_that_ran_well_are_not_counted():
    patience = replace(QUICK, kills=5, well_s=0.0)
    supervisor, _ = supervised("\nif attempt < 12:\n    os.kill(os.getpid(), signal.SIGKILL)", patience)
    assert supervisor.run() == 0
    assert supervisor.starts == 13


def test_an_end_by_its_own_will_and_settings_that_cannot_be_met_are_not_repeated():
    done, said = supervised("")
    assert (done.run(), done.starts, said) == (0, 1, [])
    wrong = Supervisor(lambda *_: [sys.executable, "-c", "raise SystemExit(2)"], QUICK, said.append)
    assert (wrong.run(), wrong.starts, said) == (2, 1, [])


def ended_by(number, child):
    """The exit status of a supervisor of a child that says it is ready, once a signal told it to end."""
    program = f"""
import sys
from spatia_ros.nodes.supervise import Patience, supervise
child = {child!r}
sys.exit(supervise(lambda *numbers: [sys.executable, "-c", child, *map(str, numbers)], Patience(silence_s=120.0)))
"""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, env=env)
    watchdog = threading.Timer(60.0, process.kill)
    watchdog.start()
    try:
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        return process.wait()
    finally:
        watchdog.cancel()
        process.kill()
        process.stdout.close()


READY = """
print("ready", flush=True)
while True:
    time.sleep(0.1)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_child_and_end_both(number):
    minds = f"\nsignal.signal(signal.{number.name}, lambda *_: sys.exit(5))"
    assert ended_by(number, BEAT + minds + READY) == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_told_to_end_before_it_minds_signals_has_ended_well(number):
    """It dies of the signal, and has nothing to close."""
    assert ended_by(number, "import time" + READY) == 0
