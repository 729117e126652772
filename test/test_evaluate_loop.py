"""The walk round a block that loop closure is measured on."""

import numpy as np
import pytest

from spatia_ros import geometry
from spatia_ros.config import WorldConfig
from spatia_ros.evaluate.loop import closing, evaluate_loop
from spatia_ros.evaluate.loop_scene import BEYOND_M, TURN, drifted, ring, round_path
from spatia_ros.types import Camera, SpatiaError


def way_m(path):
    return np.linalg.norm(np.diff(path[:, :3, 3], axis=0), axis=1).sum()


def test_the_path_returns_after_30_m():
    path = round_path(0.1)
    assert 30.0 < way_m(path) - BEYOND_M < 31.0
    again = len(path) - round(BEYOND_M / 0.1)
    assert np.linalg.norm(path[again, :3, 3] - path[0, :3, 3]) < 0.15
    assert np.linalg.norm(path[: again // 2, :3, 3] - path[0, :3, 3], axis=1).max() > 8.0


@pytest.mark.parametrize("seed", range(4))
def test_drift_ends_exactly_where_it_says(seed):
    true = round_path(0.1)
    off = drifted(true, np.random.default_rng(seed))
    error = np.linalg.norm(off[:, :3, 3] - true[:, :3, 3], axis=1)
    assert np.array_equal(off[0], true[0])
    assert error[-1] == pytest.approx(0.01 * way_m(true))
    turned = geometry.rotation_error_deg(off[-1, :3, :3], true[-1, :3, :3])
    assert turned == pytest.approx(np.degrees(TURN * 0.01 * way_m(true)))
    assert np.abs(np.diff(error)).max() < 0.02, "it adds up, and does not jump"
    assert np.array_equal(off, drifted(true, np.random.default_rng(seed)))


def test_the_corridor_has_no_holes():
    scene, path = ring(np.random.default_rng(3)), round_path(4.0)
    camera = Camera.from_fov(40, 30, 1.2)
    for T in path:
        depth = scene.render(camera, T).depth
        assert (depth > 0).mean() > 0.99, "but for rays between two walls"
        assert depth.max() < 12.0


def test_closing_is_asked_for_whatever_the_poses_are():
    loops = closing(WorldConfig(), True).loops
    assert (loops.enabled, loops.correct_given) == (True, True)
    assert not closing(WorldConfig(), False).loops.enabled


REFUSED = [({"poses": "guessed"}, "guessed"), ({"drift": 0.5}, "got 0.5"), ({"step_m": 0.0}, "0.0$")]


@pytest.mark.parametrize(("words", "says"), REFUSED)
def test_what_is_refused(tmp_path, words, says):
    with pytest.raises(SpatiaError, match=says):
        evaluate_loop(WorldConfig(), tmp_path, **words)
