"""The trial of the actors in small: it passes where all holds, and notices when something does not."""

import numpy as np
import pytest

pytest.importorskip("simulation_interfaces", reason="needs simulation_interfaces (make test sets it up)")

from harness import START, parameters, wall_memory

from spatia_ros.memory import Points
from spatia_ros.nodes.soak.trial import Soak, run, wait_for
from spatia_ros.nodes.soak.twin import Twin
from spatia_ros.nodes.world_node import WorldNode


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    wall_memory().save(path / "wall.spatia")
    return path


@pytest.fixture(scope="module")
def worlds(graph, folder):
    """Two worlds of one memory."""
    settings = {
        "generator__name": "projection", "camera__width_px": 96, "camera__height_px": 64, "motion__pace": "fast",
        "source__memory": "wall.spatia", "data_dir": str(folder),
    }  # fmt: skip
    names = ("/soak_live", "/soak_still")
    made = [graph.add(WorldNode(context=graph.context, namespace=n, parameter_overrides=parameters(**settings))) for n in names]
    yield made
    for node in made:
        graph.remove(node)


@pytest.fixture
def soak(graph, worlds, folder):
    twins = Twin(graph.client, "/soak_live", "camera", True), Twin(graph.client, "/soak_still", "camera", False)
    walk = np.stack([worlds[0].rig.base_of(START)] * 8)
    walk[:, 1, 3] = np.linspace(-0.5, 0.5, 8)
    wait_for(list(twins))
    return Soak(*twins, walk, folder, np.random.default_rng(3))


def test_random_clocks_and_spawns_leave_no_trace_but_their_own_pixels(soak):
    for change in dict.fromkeys(soak._changes):  # each at least once, in a world with somebody in it
        change()
        soak.fly()
    report = run(soak, 0.0, 30.0, lambda _: None)
    assert report["wrong"] == []
    assert soak.counts["frames"] >= 3 * len(set(soak._changes))
    assert soak.counts["memories compared"] == 1
    assert report["actor_pixels"]["p99"] > 0
    assert report["cost_ratio"] > 0


def test_a_ghost_in_memory_is_noticed(soak, worlds):
    live = worlds[0]
    ghost = Points.measured(live.memory.points().xyz[:50] - np.float32([0.5, 0, 0]), np.full((50, 3), 255, np.uint8))
    live.worker.submit(lambda: live.memory.add_points(ghost)).result()
    soak.actors.present[:] = [actor.name for actor in live.cast]
    soak.compare_memories()
    assert any("memories differ" in words for words in soak.wrong)
