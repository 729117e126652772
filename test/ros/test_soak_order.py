"""The order of a soak: ends and beginnings first, then everything is rehearsed, then one long life is watched."""

from collections import Counter
from types import SimpleNamespace

import pytest

pytest.importorskip("simulation_interfaces", reason="needs simulation_interfaces (make test sets it up)")

from spatia_ros.nodes.soak import player as players
from spatia_ros.nodes.soak import run
from spatia_ros.nodes.soak.ledger import Ledger
from spatia_ros.nodes.soak.player import Player


class Trial:
    """Player, life and clock in one: every thing takes a second of ten minutes; ``done`` is what was done."""

    def __init__(self, monkeypatch):
        self.now, self.done, self.said, self.ledger = 0.0, [], [], Ledger()
        self.hands = SimpleNamespace(held=dict)
        monkeypatch.setattr(run.time, "monotonic", lambda: self.now)

    def _do(self, name):
        self.now += 1.0
        self.done.append(name)

    def rehearse(self, over):
        assert not over()
        self._do("rehearse")

    def kill(self):
        self._do("kill")
        self.ledger.counts["kills"] += 1

    def __getattr__(self, name):
        return lambda: self._do(name)


def test_what_is_watched_is_one_life_in_which_everything_was_done(monkeypatch):
    trial = Trial(monkeypatch)
    run.played(trial, trial, trial.ledger, 10.0, 3, lambda: False, trial.said.append)
    at = trial.done.index("rehearse")
    assert trial.done.count("rehearse") == 1
    assert trial.done[at + 1] == "home"
    assert not {"kill", "cycle"} & set(trial.done[at:])
    assert Counter(trial.done[:at])["kill"] == 3
    assert 0.25 < at / len(trial.done) < 0.4
    assert [told for told in trial.said if "watched" in told] == [{"watched": True}]
    before = trial.said.index({"watched": True})
    assert before == Counter(trial.done[:at])["home"] + run.WARM_ROUNDS, "told when it is home for the last time before"


def test_kills_alone_watch_nothing(monkeypatch):
    trial = Trial(monkeypatch)
    run.played(trial, trial, trial.ledger, 0.0, 5, lambda: False, trial.said.append)
    assert trial.ledger.counts["kills"] == 5
    assert not any("watched" in told for told in trial.said)


def rehearsed(over):
    """What a player of three things did, and its counts."""
    done = []

    def path():
        done.append("path")

    def save():
        done.append("save")

    def reset():
        done.append("reset")

    player = object.__new__(Player)
    player._things, player.ledger = [path, path, save, reset, path], Ledger()
    player.rehearse(lambda: len(done) >= over)
    return done, player.ledger.counts


def test_everything_is_rehearsed_in_one_order_whatever_chance_there_is():
    done, counts = rehearsed(over=100)
    assert done == ["path", "save", "reset"] * players.REHEARSALS
    assert counts["save"] == players.REHEARSALS
    done, _ = rehearsed(over=2)
    assert done == ["path", "save"]
