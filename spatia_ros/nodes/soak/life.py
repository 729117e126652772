"""Ends and beginnings of a world during a soak: killed without warning, taken down by its lifecycle, and what comes back."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState

from spatia_ros import checkpoint
from spatia_ros.cli.processes import newest_child
from spatia_ros.memory import Memory
from spatia_ros.nodes.soak.hands import Hands
from spatia_ros.nodes.soak.ledger import Ledger
from spatia_ros.nodes.soak.marks import ALIVE, DOOMED, FLUSHED, GONE, SYNC
from spatia_ros.nodes.soak.player import Player
from spatia_ros.nodes.soak.twin import Gone
from spatia_ros.srv import SavePly
from spatia_ros.types import SpatiaError

FOLDER = "checkpoints"
"""Where the world of a soak keeps its checkpoints, in its data folder."""
LONGEST_LIFE_S = 8.0
"""A kill comes within this of its being decided."""
ASK_S, START_S = 3.0, 180.0
CAME_BACK, HELD = "came_back.ply", "held.ply"


class Life:
    """Kills a world, or takes it down, and holds what comes back against what it had flushed.

    Args:
        player, hands: on the world. ledger: where what does not hold is noted. supervisor: process that starts the world again.
        folder: the world's data folder. rng: when it is killed.
    """

    def __init__(
        self, player: Player, hands: Hands, ledger: Ledger, supervisor: int, folder: Path, rng: np.random.Generator
    ) -> None:  # fmt: skip
        self._player, self._hands, self._ledger, self._supervisor = player, hands, ledger, supervisor
        self._folder, self._rng = folder, rng
        self.back_s: list[float] = []
        """How long each restart took, from the kill to the first answer, s."""

    # Kills

    def kill(self) -> None:
        """Kill it at a random moment of whatever it does, wait for it to come back, and compare."""
        pid = newest_child(self._supervisor)
        if pid is None:
            raise SpatiaError(f"soak: expected a world under process {self._supervisor}, there is none")
        self._hands.mark(DOOMED)
        doom = threading.Timer(self._rng.uniform(0.0, LONGEST_LIFE_S), self._strike, (pid,))
        doom.start()
        try:
            while True:
                self._player.turn()
        except Gone:
            pass
        finally:
            doom.cancel()
        self.recover(pid)
        self._ledger.counts["kills"] += 1

    def recover(self, pid: int) -> None:
        """After process ``pid`` was killed: wait for the next, and hold what came back against what was flushed."""
        killed_s = time.monotonic()
        said = self._hands.status.checkpoint if self._hands.status else 0
        held = self._flushed(said)
        self._hands.forget()
        self._hands.mark(GONE)
        self._hands.wait(lambda: newest_child(self._supervisor) not in (None, pid), "the supervisor to start it again", START_S)
        self._wake()
        self.back_s.append(time.monotonic() - killed_s)
        self._compare(held)
        self._greet()

    def _strike(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        self._hands.gone.set()

    def _flushed(self, said: int) -> checkpoint.Saved | None:
        """The state that counts on disk, read while nobody writes: the manifest names it; it is at least the one last told of."""
        try:
            newest = max(json.loads((self._folder / FOLDER / checkpoint.MANIFEST).read_text())["generations"])
        except FileNotFoundError:
            self._ledger.expect(said == 0, f"after a kill: checkpoint {said} was told of, no manifest is there")
            return None
        self._ledger.expect(newest >= said, f"after a kill: checkpoint {said} was told of, the newest on disk is {newest}")
        return checkpoint.read(self._folder / FOLDER / f"{newest:08d}{checkpoint.SUFFIX}")

    def _compare(self, held: checkpoint.Saved | None) -> None:
        """Have the checker hold the memory that came back against the one that was flushed."""
        if held is None:
            self._ledger.counts["kills before the first checkpoint"] += 1
            self._player.actors.present = []
            return
        memory = Memory(held.memory)
        memory.restore(held.world.memory)
        memory.export_ply(self._folder / HELD)
        answer = self._hands.call(SavePly, "memory/save_ply", path=CAME_BACK)
        self._ledger.expect(answer.success, f"after a kill: memory/save_ply: {answer.message}")
        self._hands.mark(FLUSHED, CAME_BACK, HELD)
        self._player.actors.present = [actor.name for actor in held.world.cast.actors]

    # Transitions

    def rest(self) -> None:
        """Deactivate and activate: commands are refused and counted meanwhile."""
        self._hands.settled()
        self._hands.mark(SYNC)
        self._change(Transition.TRANSITION_DEACTIVATE)
        frames = self._hands.frames
        refused = self._hands.refusals(self._player.command_home)
        self._ledger.expect(refused == 1, f"inactive: {refused} refusals for one command")
        self._ledger.expect(self._hands.frames == frames, "inactive: a command made a frame")
        self._change(Transition.TRANSITION_ACTIVATE)
        self._player.pose()
        self._ledger.counts["rest"] += 1

    def cycle(self) -> None:
        """Through all of the lifecycle and back: what was there when it was deactivated is there again."""
        self._hands.settled()
        self._hands.mark(SYNC)
        present = list(self._player.actors.present)
        answer = self._hands.call(SavePly, "memory/save_ply", path=HELD)
        self._ledger.expect(answer.success, f"memory/save_ply: {answer.message}")
        self._hands.mark(DOOMED)
        self._change(Transition.TRANSITION_DEACTIVATE)
        self._change(Transition.TRANSITION_CLEANUP)
        self._hands.mark(GONE)
        self._hands.forget()
        self._change(Transition.TRANSITION_CONFIGURE)
        self._change(Transition.TRANSITION_ACTIVATE)
        self._wake()
        answer = self._hands.call(SavePly, "memory/save_ply", path=CAME_BACK)
        self._ledger.expect(answer.success, f"after a cycle: memory/save_ply: {answer.message}")
        self._hands.mark(FLUSHED, CAME_BACK, HELD)
        self._player.actors.present = present
        self._greet()
        self._ledger.counts["cycle"] += 1

    def _change(self, transition: int) -> None:
        request = Transition(id=transition)
        answer = self._hands.call(ChangeState, "world/change_state", transition=request)
        self._ledger.expect(answer.success, f"world/change_state: {transition} failed")

    # Beginnings

    def begin(self) -> None:
        """Wait for the world to be there for the first time."""
        self._wake()
        self._greet()

    def _wake(self) -> None:
        """Wait until it answers that it is active."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            answer = self._hands.ask(GetState, "world/get_state", ASK_S)
            if answer is not None and answer.current_state.id == State.PRIMARY_STATE_ACTIVE:
                return
            self._hands.pause(0.2)
        raise SpatiaError(f"soak: expected the world to be active within {START_S:g} s, it is not")

    def _greet(self) -> None:
        """Make frames until they are heard here and by the checker; then it counts as alive."""
        self._player.let_play()
        until = time.monotonic() + START_S
        while not self._heard():
            if time.monotonic() > until:
                raise SpatiaError("soak: expected a frame of the world, none comes")
        self._hands.settled()
        self._hands.mark(ALIVE)
        self._player.settle_in()

    def _heard(self) -> bool:
        frames = self._hands.frames
        self._player.command_home()
        self._hands.pause(2.0)
        return self._hands.frames > frames and self._hands.status is not None and self._hands.meets()

    def report(self) -> dict[str, Any]:
        """How long restarts took, s."""
        if not self.back_s:
            return {}
        return {"restart_s": {"p50": float(np.median(self.back_s)), "max": max(self.back_s), "all": self.back_s}}
