"""The player of ``spatia ros soak``: random commands, edits, spawns, saves, steps and transitions in a live world.

Every answer is held against what it should be. What comes of the commands is the checker's to judge (:mod:`.checker`):
the player only tells it what breaks to expect.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
from geometry_msgs.msg import Pose, PoseStamped, PoseWithCovarianceStamped, TwistStamped
from nav_msgs.msg import Path as PathMessage
from simulation_interfaces.msg import Result, SimulationState
from simulation_interfaces.srv import DeleteEntity, ResetSimulation, SetSimulationState, StepSimulation
from std_srvs.srv import Trigger

from spatia_ros.nodes import convert, tidy
from spatia_ros.nodes.soak.actors import HALF_CRATE, ActorChanges
from spatia_ros.nodes.soak.frames import POSE_TOLERANCE, SLOW_LENGTH, SLOW_PERIODS
from spatia_ros.nodes.soak.hands import Hands
from spatia_ros.nodes.soak.ledger import Ledger
from spatia_ros.nodes.soak.marks import MAP, PLACE, SYNC, TIME
from spatia_ros.nodes.soak.walk import Walk
from spatia_ros.srv import EditMemory, LoadMemory, Restore, SaveMemory, SavePly, SetMode, SetPrompt, Snapshot
from spatia_ros.types import Float64

HOME, KEPT, START = "home", "kept", "start.spatia"
"""The snapshot that every round ends in, the one that is taken and gone back to between, and the memory it all begins with."""
PROMPTS = ("", "a bright room", "a dark room at night", "snow")
MAP_FILE = "now.ply"
REHEARSALS, RELOADS = 3, 20
REST_S = max(tidy.QUIET_S, tidy.EVERY_S) + 2 * tidy.LOOK_S
"""At home the world may rest until it has given back the memory that it needs no more, also where it has done so just before."""
Edit = EditMemory.Request
CHANGES, TRIES = (Edit.REMOVE, Edit.MOVE, Edit.RECOLOUR), 10


class Player:
    """Does random things to a world, one after the other.

    Args:
        hands: on the world. ledger: where what does not hold is noted. poses: float64 [N, 4, 4], ``T_map_base`` of a walk
            through the place. folder: the world's data folder. period_ns: time between frames. rng: what happens.
    """

    def __init__(
        self, hands: Hands, ledger: Ledger, poses: Float64, folder: Path, period_ns: int, rng: np.random.Generator
    ) -> None:
        self.hands, self.ledger, self._rng, self._folder = hands, ledger, rng, folder
        self._period_ns, self._expect, self._poses = period_ns, ledger.expect, poses
        self.walk = Walk(poses, rng)
        self.actors = a = ActorChanges(hands, ledger, poses, folder, rng)
        self._kept: list[str] | None = None
        self._saved: dict[str, int] = {}
        go = [self.pose, self.path, self.path, self.slow_path, self.overtaken, self.drive, self.teleport]
        change = [
            self.edit, self.edit, self.add, self.undo, a.spawn, a.spawn_walker, a.spawn_file, a.delete, a.put, a.clock,
            a.actor_clock, a.misuse, a.find, self.prompt, self.look_back,
        ]  # fmt: skip
        rare = [self.bad, self.save, self.load, self.freeze, self.step, self.reset, self.save_ply]
        self._things: list[Callable[[], None]] = [*go * 2, *change, *rare]

    def turn(self) -> None:
        """One random thing."""
        thing = self._things[int(self._rng.integers(len(self._things)))]
        thing()
        self.ledger.counts[thing.__name__] += 1

    def rehearse(self, over: Callable[[], bool]) -> None:
        """Everything some times, always in the same order, so that what is loaded or kept at first use is there."""
        self.actors.spawn_all()
        self.actors.find_all()
        self.edit_all()
        for thing in [*dict.fromkeys(self._things)] * REHEARSALS:
            if over():
                return
            thing()
            self.ledger.counts[thing.__name__] += 1
        self.rush()

    def rush(self) -> None:
        """The same memory loaded again and again: updates of the map of every size, one after the other.

        They wait for each other as long as listeners answer in time; a publisher's buffers stay as large as they once were.
        """
        for _ in range(RELOADS):
            self._call(LoadMemory, "memory/load", path=START)
        self._load(START)

    def home(self) -> None:
        """Back to how it all began, with nothing moving: the copy of the map is compared, and memory use can be."""
        self.hands.settled()
        self.hands.mark(SYNC)
        self.compare_map()
        self._back_to(HOME)
        self.actors.present = []
        self._begin_anew()
        self.hands.settled()
        self.hands.mark(SYNC)
        self._call(Trigger, "checkpoint")  # else one may be on its way, with a copy of the state, when memory use is read
        self.hands.pause(REST_S)

    def _begin_anew(self) -> None:
        """In the memory that all began with; no snapshot, and no edit that could be undone, holds on to another."""
        self._load(START)
        self._to(self._poses[0])  # always from here: what the generator holds of a sight depends on it
        for name in (HOME, KEPT):
            self._call(Snapshot, "snapshot", name=name)
        self._kept = None

    def settle_in(self) -> None:
        """A world that is there anew: into the memory that all began with, nobody in it, and note that, to come home to."""
        self.hands.mark(SYNC)
        for name in self.actors.present:
            self.hands.call(DeleteEntity, "delete_entity", entity=name)
        self.actors.present = []
        self._begin_anew()

    def command_home(self) -> None:
        """Command the pose that the walk begins with, whatever comes of it."""
        self.hands.send("cmd_pose", PoseStamped(header=convert.to_header(0, "map"), pose=convert.to_pose(self._poses[0])))

    def _call(self, kind: type, service: str, **request: Any) -> Any:
        """Call a service that must succeed."""
        answer = self.hands.call(kind, service, **request)
        self._expect(answer.success, f"{service}: {answer.message}")
        return answer

    # Commands

    def pose(self) -> None:
        """To a pose; the frame shows it from there."""
        self._to(self.walk.next())

    def _to(self, T: Float64) -> None:
        msg = PoseStamped(header=convert.to_header(0, "map"), pose=convert.to_pose(T))
        told = self.hands.frames_of(lambda: self.hands.send("cmd_pose", msg), 1, "a pose")[-1]
        off = float(np.abs(self.hands.pose_at(told.header.stamp) - T).max())
        self._expect(off < POSE_TOLERANCE, f"cmd_pose: the frame is {off:.3g} from where it was commanded")

    def path(self) -> None:
        """Along a path: as many frames as poses, each from its own."""
        self._fly(self.walk.path(int(self._rng.integers(2, SLOW_LENGTH))))

    def slow_path(self) -> None:
        """Along a path whose stamps give the timing."""
        path = self.walk.path(SLOW_LENGTH)
        for k, pose in enumerate(path.poses):
            pose.header = convert.to_header((k + 1) * SLOW_PERIODS * self._period_ns, "map")
        self._fly(path)

    def _fly(self, path: PathMessage) -> None:
        n = len(path.poses)
        told = self.hands.frames_of(lambda: self.hands.send("cmd_trajectory", path), n, "a path")
        self._expect(
            [t.clip_index for t in told] == list(range(n)), f"cmd_trajectory: frames {[t.clip_index for t in told]} of {n}"
        )
        for frame, pose in zip(told, path.poses, strict=True):
            off = float(np.abs(self.hands.pose_at(frame.header.stamp) - convert.from_pose(pose.pose)).max())
            self._expect(off < POSE_TOLERANCE, f"cmd_trajectory: a frame is {off:.3g} from where it was commanded")

    def overtaken(self) -> None:
        """A path that a newer one takes the place of: what is lost is counted."""
        self.hands.settled(0.3)
        dropped = self.hands.status.commands_dropped
        first, second = self.walk.path(20), self.walk.path(3)
        self.hands.frames_of(lambda: self.hands.send("cmd_trajectory", first), 1, "a path")
        self._fly_after(second)
        self.hands.settled(0.3)
        lost = self.hands.status.commands_dropped - dropped
        self._expect(lost == 1, f"commands_dropped: grew by {lost} when one path took the place of another")

    def _fly_after(self, path: PathMessage) -> None:
        """Along a path, when frames of another may still come before its first."""
        self.hands.send("cmd_trajectory", path)
        length = len(path.poses)
        self.hands.wait(
            lambda: self.hands.told[-1].clip_length == length and self.hands.told[-1].clip_index == length - 1, "the newer path"
        )

    def drive(self) -> None:
        """With a velocity, renewed as a joystick does, then stopped."""
        msg = TwistStamped(header=convert.to_header(0, "base_link"))
        msg.twist.linear.x, msg.twist.angular.z = self._rng.uniform(-0.2, 0.2), self._rng.uniform(-0.5, 0.5)
        for _ in range(int(self._rng.integers(2, 8))):
            self.hands.frames_of(lambda: self.hands.send("cmd_vel", msg), 1, "a velocity")
        self.hands.send("cmd_vel", TwistStamped(header=msg.header))
        self.hands.settled(0.3)

    def teleport(self) -> None:
        """By rviz's pose button."""
        T = self.walk.next()
        msg = PoseWithCovarianceStamped(header=convert.to_header(0, "map"))
        msg.pose.pose = convert.to_pose(T)
        told = self.hands.frames_of(lambda: self.hands.send("initialpose", msg), 1, "an initialpose")[-1]
        off = float(np.abs(self.hands.pose_at(told.header.stamp) - T).max())
        self._expect(off < POSE_TOLERANCE, f"initialpose: the frame is {off:.3g} from where it was commanded")

    def bad(self) -> None:
        """Malformed commands: each is counted once, makes no frame, and memory stays."""
        self.hands.settled(0.3)
        frames, points = self.hands.frames, self.hands.status.memory_points
        wrong = Pose()
        wrong.position.x = nan
        doubled = Pose()
        doubled.orientation.w = 2.0
        header = convert.to_header(0, "map")
        for topic, msg in (
            ("cmd_pose", PoseStamped(header=header, pose=wrong)),
            ("cmd_pose", PoseStamped(header=convert.to_header(0, "nowhere"))),
            ("cmd_trajectory", PathMessage(header=header)),
            ("initialpose", PoseWithCovarianceStamped(header=header, pose=_uncertain(doubled))),
        ):
            grown = self.hands.refusals(partial(self.hands.send, topic, msg))
            self._expect(grown == 1, f"messages_refused: grew by {grown} for one bad {topic}")
        self._expect(self.hands.frames == frames, f"{self.hands.frames - frames} frames were made of bad commands")
        now = self.hands.status.memory_points
        self._expect(now == points, f"memory: {points} points before bad commands, {now} after")

    # Changes

    def _ahead(self, metres: float) -> list[float]:
        """A point before the rig, in the map."""
        T = convert.from_pose(self.hands.poses[-1].pose) if self.hands.poses else self._poses[0]
        at = T[:3, 3] + T[:3, :3] @ self._rng.uniform((0.8 * metres, -0.4, -0.4), (1.2 * metres, 0.4, 0.4))
        return [float(v) for v in at]

    def edit(self) -> None:
        """Remove, move or recolour a ball of the place; nothing may be there."""
        self._edit(int(self._rng.choice(CHANGES)))

    def edit_all(self) -> None:
        """Each kind of edit until it finds something to change (it may not, where the camera looks at what is far)."""
        for operation in CHANGES:
            any(self._edit(operation) for _ in range(TRIES))

    def _edit(self, operation: int) -> bool:
        motion = Pose()
        motion.position.z = float(self._rng.uniform(0.05, 0.3))
        asked = {"sphere": [*self._ahead(self._rng.uniform(0.8, 2.5)), float(self._rng.uniform(0.1, 0.5))], "motion": motion}
        colour = Edit().color
        colour.r, colour.a = 1.0, 0.5
        answer = self.hands.call(EditMemory, "memory/edit", operation=operation, color=colour, **asked)
        self._expect(answer.success or bool(answer.message), "memory/edit: refused without a word")
        self.ledger.counts["edited"] += answer.success
        return bool(answer.success)

    def add(self) -> None:
        """Add a file to the place."""
        motion = Pose()
        motion.position.x, motion.position.y, motion.position.z = self._ahead(1.5)
        self._call(EditMemory, "memory/edit", operation=Edit.ADD, path=HALF_CRATE, name="crate", motion=motion)

    def undo(self) -> None:
        """Undo, and do again."""
        for operation in (Edit.UNDO, Edit.REDO):
            answer = self.hands.call(EditMemory, "memory/edit", operation=operation)
            self._expect(bool(answer.message), "memory/edit: answered without a word")

    def prompt(self) -> None:
        """Ask for something else to be seen; a generator without words refuses, and says so."""
        answer = self.hands.call(SetPrompt, "set_prompt", prompt=str(self._rng.choice(PROMPTS)))
        self._expect(answer.success or bool(answer.message), "set_prompt: refused without a word")

    def freeze(self) -> None:
        """Frames while memory does not change."""
        self.hands.settled(0.3)
        self._call(SetMode, "memory/set_mode", mode=SetMode.Request.FROZEN)
        before = self._call(EditMemory, "memory/edit", operation=Edit.LIST).points
        self.path()
        after = self._call(EditMemory, "memory/edit", operation=Edit.LIST).points
        self._expect(before == after, f"frozen: memory went from {before} to {after} points")
        self._call(SetMode, "memory/set_mode", mode=SetMode.Request.GENERATING)

    # Keeping

    def look_back(self) -> None:
        """Keep the world, or go back to what was kept."""
        if self._kept is None:
            self._call(Snapshot, "snapshot", name=KEPT)
            self._kept = list(self.actors.present)
        else:
            self._back_to(KEPT)
            self.actors.present, self._kept = self._kept, None

    def _back_to(self, name: str) -> None:
        self.hands.settled(0.3)
        self._call(Restore, "restore", name=name)
        self.hands.mark(PLACE)

    def save(self) -> None:
        """Write the memory, in one of three files."""
        name = f"saved {int(self._rng.integers(3))}.spatia"
        self._saved[name] = self._call(SaveMemory, "memory/save", path=name).points

    def load(self) -> None:
        """Go on in a memory from a file: what was saved is what comes."""
        self._load(str(self._rng.choice([START, *self._saved])))

    def _load(self, name: str) -> None:
        self.hands.settled(0.3)
        answer = self._call(LoadMemory, "memory/load", path=name)
        self.hands.mark(PLACE)
        saved = self._saved.get(name, answer.points)
        self._expect(answer.points == saved, f"memory/load: {name} has {answer.points} points, {saved} were saved")

    def save_ply(self) -> None:
        """Export the memory."""
        self._call(SavePly, "memory/save_ply", path="export.ply")

    def compare_map(self) -> None:
        """Have the checker hold its copy of the map against the memory."""
        self._call(SavePly, "memory/save_ply", path=MAP_FILE)
        self.hands.mark(MAP, MAP_FILE)

    # The simulation

    def _state(self, state: int) -> None:
        answer = self.hands.call(SetSimulationState, "set_simulation_state", state=SimulationState(state=state))
        fine = answer.result.result == Result.RESULT_OK
        self._expect(fine, f"set_simulation_state {state}: {answer.result.result} {answer.result.error_message}")

    def let_play(self) -> None:
        """Whatever it was at when it was ended: play, and generate."""
        playing = SimulationState(state=SimulationState.STATE_PLAYING)
        answer = self.hands.call(SetSimulationState, "set_simulation_state", state=playing)
        fine = (Result.RESULT_OK, SetSimulationState.Response.ALREADY_IN_TARGET_STATE)
        self._expect(answer.result.result in fine, f"set_simulation_state: {answer.result.error_message}")
        self._call(SetMode, "memory/set_mode", mode=SetMode.Request.GENERATING)

    def step(self) -> None:
        """Paused, a command makes no frame; so many steps are so many frames; played, the rest comes."""
        self.hands.settled(0.3)
        self._state(SimulationState.STATE_PAUSED)
        frames, steps = self.hands.frames, int(self._rng.integers(1, 4))
        self.hands.send("cmd_trajectory", self.walk.path(5))
        self.hands.pause(0.5)
        self._expect(self.hands.frames == frames, "paused: a command made a frame")
        answer = self.hands.call(StepSimulation, "step_simulation", steps=steps)
        self._expect(answer.result.result == Result.RESULT_OK, f"step_simulation: {answer.result.error_message}")
        self.hands.wait(lambda: self.hands.frames >= frames + steps, "the frames of the steps")
        self.hands.pause(0.5)
        made = self.hands.frames - frames
        self._expect(made == steps, f"step_simulation: {steps} steps made {made} frames")
        self._state(SimulationState.STATE_PLAYING)
        self.hands.wait(lambda: self.hands.frames >= frames + 5, "the rest of the path")

    def reset(self) -> None:
        """Begin the simulation again: time, place and actors."""
        self.hands.settled()
        answer = self.hands.call(ResetSimulation, "reset_simulation", scope=ResetSimulation.Request.SCOPE_DEFAULT)
        self._expect(answer.result.result == Result.RESULT_OK, f"reset_simulation: {answer.result.error_message}")
        self.actors.present = []
        self.hands.poses.clear()  # stamps come again
        self.hands.mark(TIME)


def _uncertain(pose: Pose) -> Any:
    out = PoseWithCovarianceStamped().pose
    out.pose = pose
    return out
