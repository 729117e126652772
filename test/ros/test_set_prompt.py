"""The service set_prompt: followed from the next frame on, part of a snapshot, refused in words."""

import numpy as np
import pytest
from action_client import Goals
from geometry_msgs.msg import PoseStamped
from harness import START, parameters, wait, wall_memory
from nav_msgs.msg import Path
from sensor_msgs.msg import Image

from spatia_ros.action import GenerateTrajectory
from spatia_ros.msg import GeneratedFrame, SimStatus
from spatia_ros.nodes import convert
from spatia_ros.nodes.world_node import WorldNode
from spatia_ros.srv import Restore, SetMode, SetPrompt, Snapshot


@pytest.fixture(scope="module")
def make(graph, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    wall_memory().save(folder / "wall.spatia")

    def node(namespace, **changes):
        settings = {"camera__width_px": 96, "camera__height_px": 64, "motion__pace": "fast", "source__memory": "wall.spatia"}
        values = parameters(**{**settings, "data_dir": str(folder), **changes})
        return graph.add(WorldNode(context=graph.context, namespace=namespace, parameter_overrides=values))

    return node


@pytest.fixture(scope="module")
def world(graph, make):
    """A world of the shipped network, aside of what was seen, that does not learn from what it makes."""
    node = make("/asked", generator__name="nano", generator__runtime="onnxruntime")
    assert graph.call(SetMode, "/asked/memory/set_mode", mode=SimStatus.FROZEN).success
    return node


@pytest.fixture(scope="module")
def look(graph, world):
    """Commands one pose beside the wall's known part; returns the picture."""
    pictures = graph.collect(Image, "/asked/camera/color/image_raw")
    go = graph.publisher(PoseStamped, "/asked/cmd_pose")
    T = world.rig.base_of(START)
    T[1, 3] += 0.6

    def at():
        before = len(pictures)
        go.publish(PoseStamped(header=convert.to_header(0, "map"), pose=convert.to_pose(T)))
        wait(lambda: len(pictures) > before and not world.worker.busy, "a frame")
        return convert.from_image(pictures[-1])

    return at


def ask(graph, prompt, namespace="/asked"):
    return graph.call(SetPrompt, f"{namespace}/set_prompt", prompt=prompt)


def test_it_is_followed_from_the_next_frame_on_and_kept_by_snapshots(graph, world, look):
    look()
    assert graph.call(Snapshot, "/asked/snapshot", name="before").success
    plain = look()
    answer = ask(graph, "a red room with brick")
    assert (answer.success, answer.message, answer.previous) == (True, "", "")
    assert graph.call(Snapshot, "/asked/snapshot", name="asked").success
    asked = look()
    assert not np.array_equal(asked, plain)
    assert ask(graph, "").previous == "a red room with brick"
    assert graph.call(Restore, "/asked/restore", name="asked").success
    assert np.array_equal(look(), asked), "restored with its prompt"
    assert ask(graph, "").previous == "a red room with brick"
    assert graph.call(Restore, "/asked/restore", name="before").success
    assert np.array_equal(look(), plain)


def test_words_that_are_not_understood_change_nothing(graph, world):
    assert ask(graph, "a blue room").success
    answer = ask(graph, "a red roon")
    assert (answer.success, answer.previous) == (False, "a blue room")
    assert "'roon' (nearest: room" in answer.message
    assert "at most 400 characters" in ask(graph, "red " * 200).message
    assert ask(graph, "").previous == "a blue room"


def test_a_goals_prompt_and_seed_are_for_its_frames_only(graph, world, look):
    told = graph.collect(GeneratedFrame, "/asked/camera/color/metadata")
    goals = Goals(graph, GenerateTrajectory, "/asked/generate_trajectory")
    T = world.rig.base_of(START)
    T[1, 3] += 0.6
    path = Path(header=convert.to_header(0, "map"), poses=[PoseStamped(pose=convert.to_pose(T))])
    look()
    assert graph.call(Snapshot, "/asked/snapshot", name="goal").success
    after = look()
    assert graph.call(Restore, "/asked/restore", name="goal").success
    assert goals.result(path=path, prompt="a red room with brick", seed=7).success
    wait(lambda: told and told[-1].seed == 7, "a frame of that seed")
    assert world.world.prompt == ""
    look()
    wait(lambda: told[-1].seed == world.world.config.seed, "a frame of the world's own seed")
    assert "'roon'" in goals.result(path=path, prompt="roon", seed=7).message
    goals.close()
    assert graph.call(Restore, "/asked/restore", name="goal").success
    assert np.array_equal(look(), after)


def test_the_generator_without_words_says_so(graph, make):
    make("/mute", generator__name="projection")
    answer = ask(graph, "a red room", "/mute")
    assert not answer.success
    assert "generator 'projection' reads no text" in answer.message
    assert ask(graph, "", "/mute").success


def test_the_frames_of_a_path_are_generated_together_where_that_is_wanted(graph, make, monkeypatch):
    """Three frames a clip: the network is asked for 3 and 2 frames, the camera still shows five, one after the other."""
    node = make("/clips", generator__name="nano", generator__runtime="onnxruntime", generator__clip=3)
    told = graph.collect(GeneratedFrame, "/clips/camera/color/metadata")
    goals = Goals(graph, GenerateTrajectory, "/clips/generate_trajectory")
    asked, sample = [], node.world.generator.sample

    def counted(told, stream, rng):
        asked.append(len(told))
        return sample(told, stream, rng)

    monkeypatch.setattr(node.world.generator, "sample", counted)
    poses = np.tile(node.rig.base_of(START), (5, 1, 1))
    poses[:, 1, 3] += 0.02 * np.arange(5)
    path = Path(header=convert.to_header(0, "map"), poses=[PoseStamped(pose=convert.to_pose(T)) for T in poses])
    answer = goals.result(path=path, seed=3)
    goals.close()
    assert (answer.success, answer.frames) == (True, 5), answer.message
    assert asked == [3, 2]
    wait(lambda: len(told) == 5, "every frame")
    assert [m.clip_index for m in told] == list(range(5))
