"""Memory is given back when a node rests, and not more often than said."""

from types import SimpleNamespace

import pytest

from spatia_ros.nodes import tidy


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
    assert node.at(tidy.EVERY_S - 1) == 0
    assert node.at(tidy.EVERY_S + 1) == 1
    assert node.at(tidy.EVERY_S + 2) == 1
    assert node.at(2 * tidy.EVERY_S + 2) == 2


def test_it_gives_nothing_while_it_works_or_just_worked_or_is_inactive(node):
    late = 10 * tidy.EVERY_S
    assert node.at(late, busy=True) == 0
    assert node.at(late + tidy.QUIET_S / 2) == 0
    node.active = False
    assert node.at(late + 2 * tidy.QUIET_S) == 0
    node.active = True
    assert node.at(late + 2 * tidy.QUIET_S) == 1
