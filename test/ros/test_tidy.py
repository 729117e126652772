"""Memory is given back when a node rests, and not more often than said."""

import gc
import subprocess
import sys
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from spatia_ros.nodes import tidy
from spatia_ros.nodes.health import allocated
from spatia_ros.nodes.soak.player import REST_S


@pytest.fixture
def node(monkeypatch):
    """A face whose time is told: ``node.now``; ``node.given`` counts."""
    out = SimpleNamespace(now=0.0, given=0, active=True, worker=SimpleNamespace(busy=False, backlog=0))
    out.endpoints = SimpleNamespace(create_timer=lambda *_: None)
    out.worker.submit = lambda job: job()

    def trim(_):
        out.given += 1

    monkeypatch.setattr(tidy, "_trim", trim)
    monkeypatch.setattr(tidy.time, "monotonic", lambda: out.now)
    part = tidy.Tidy(out)

    def at(second, busy=False):
        out.now, out.worker.busy = second, busy
        part.look()
        return out.given

    out.at = at
    return out


def test_it_gives_when_it_rests_and_then_not_for_a_while(node):
    first = tidy.QUIET_S + 1
    assert node.at(tidy.QUIET_S - 1) == 0
    assert node.at(first) == 1
    assert node.at(first + tidy.EVERY_S - 1) == 1
    assert node.at(first + tidy.EVERY_S + 1) == 2


@pytest.mark.parametrize("before_s", np.arange(0.0, 12.0, 0.7))
def test_who_rests_as_long_as_the_soak_does_was_tidied_in_that_rest(node, before_s):
    """Whenever it was tidied last, and wherever between two looks the rest begins."""
    for after_s in (0.05, 0.25, 0.45):
        start, last = node.now + 100.0, node.given
        while node.given == last:
            start += tidy.LOOK_S
            node.at(start)
        busy = start + np.ceil(before_s / tidy.LOOK_S) * tidy.LOOK_S
        for t in np.arange(start, busy, tidy.LOOK_S) + tidy.LOOK_S:
            node.at(t, busy=True)
        tidied, rest_from = node.given, node.now + after_s
        for t in np.arange(node.now, rest_from + REST_S, tidy.LOOK_S)[1:]:
            node.at(t)
        assert node.given > tidied


def test_jobs_that_wait_between_frames_keep_it_from_nothing(node):
    node.worker.backlog = 1
    assert node.at(tidy.QUIET_S + 1) == 1


def test_it_gives_nothing_while_it_works_or_just_worked_or_is_inactive(node):
    late = tidy.EVERY_S
    assert node.at(late, busy=True) == 0
    assert node.at(late + tidy.QUIET_S / 2) == 0
    node.active = False
    assert node.at(late + 2 * tidy.QUIET_S) == 0
    node.active = True
    assert node.at(late + 2 * tidy.QUIET_S) == 1


class Ring:
    """Something that only the collector frees."""

    def __init__(self):
        self.itself = self


@pytest.fixture
def by_hand():
    """Nothing is collected by itself."""
    gc.disable()
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.usefixtures("by_hand")
def test_what_only_garbage_holds_is_freed_at_rest(node):
    second = tidy.QUIET_S + 1
    for _ in range(3):
        gone = weakref.ref(Ring())
        assert gone() is not None
        node.at(second)
        assert gone() is None
        second += tidy.EVERY_S + 1


@pytest.mark.usefixtures("by_hand")
def test_what_lasts_is_put_aside_and_looked_at_again_now_and_then(node):
    ring = Ring()
    node.at(tidy.QUIET_S + 1)
    assert gc.get_freeze_count() > 1000
    gone = weakref.ref(ring)
    del ring
    node.at(tidy.QUIET_S + tidy.EVERY_S + 2)
    assert gone() is not None, "it lay aside"
    node.at(tidy.ANEW_S + tidy.EVERY_S)
    assert gone() is None


@pytest.mark.usefixtures("by_hand")
def test_who_gives_back_looks_at_all_of_it():
    ring = Ring()
    tidy.settle()
    gone = weakref.ref(ring)
    del ring
    gc.collect()
    assert gone() is not None
    tidy.give_back()
    assert gone() is None
    assert gc.get_freeze_count() == 0


SIZES = """
import sys
import numpy as np
from spatia_ros.nodes import tidy
from spatia_ros.nodes.health import allocated
from spatia_ros.nodes.health import allocated
if sys.argv[1:]:
    tidy.stock_up()
before, rng = allocated()["allocated_mb"], np.random.default_rng(0)
for _ in range(20):
    blocks = [np.empty(size, np.uint8) for size in rng.integers(1, 1024, 2000)]
    del blocks
print(allocated()["allocated_mb"] - before)
"""


def test_what_numpy_keeps_is_there_from_the_beginning():
    """Without that it comes bit by bit, whenever blocks of another size are freed."""
    if "allocated_mb" not in allocated():
        pytest.skip("needs glibc 2.33 or newer, which tells what is allocated")
    grown = [
        float(subprocess.run([sys.executable, "-c", SIZES, *words], capture_output=True, text=True, check=True).stdout)
        for words in ((), ("stocked",))
    ]
    assert grown[0] > 1.0
    assert grown[1] < 0.1
