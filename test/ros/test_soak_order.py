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
    assert before > Counter(trial.done[:at])["home"] + run.WARM_ROUNDS
    homes = [i for i, name in enumerate(trial.done) if name == "home" and trial.done[i - 1] != "rehearse"]
    assert homes[before - 2] < run.WATCH_SHARE * len(trial.done) <= homes[before - 1] + 2  # the first in the second half


def test_a_short_trial_is_watched_after_some_rounds(monkeypatch):
    trial = Trial(monkeypatch)
    monkeypatch.setattr(run, "WATCH_SHARE", run.KILL_SHARE)
    run.played(trial, trial, trial.ledger, 10.0, 3, lambda: False, trial.said.append)
    at = trial.done.index("rehearse")
    assert trial.said.index({"watched": True}) == Counter(trial.done[:at])["home"] + run.WARM_ROUNDS


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
    player.actors = SimpleNamespace(spawn_all=lambda: done.append("everybody"), find_all=lambda: done.append("phrases"))
    player.edit_all, player.rush = lambda: done.append("edits"), lambda: done.append("rush")
    player.rehearse(lambda: len(done) >= over)
    return done, player.ledger.counts


def test_everything_is_rehearsed_in_one_order_whatever_chance_there_is():
    done, counts = rehearsed(over=100)
    assert done == ["everybody", "phrases", "edits", *["path", "save", "reset"] * players.REHEARSALS, "rush"]
    assert counts["save"] == players.REHEARSALS
    done, _ = rehearsed(over=5)
    assert done == ["everybody", "phrases", "edits", "path", "save"]


def test_each_kind_of_edit_is_rehearsed_until_it_finds_something():
    player, asked = object.__new__(Player), []

    def edit(operation):
        asked.append(operation)
        return operation == players.Edit.MOVE or asked.count(operation) == 3

    player._edit = edit
    player.edit_all()
    assert asked == [players.Edit.REMOVE] * 3 + [players.Edit.MOVE] + [players.Edit.RECOLOUR] * 3
