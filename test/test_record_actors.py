"""A run with actors: what it leaves behind, and what the command line says of them."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_world import CAMERA, OracleGenerator, path
from test_world_actors import cast_of, rolling, world_of

from spatia_ros.actors import Clock, cast_file
from spatia_ros.cli.cast import add_cast, cast_identity, join
from spatia_ros.cli.cast import cast_of as cast_of_arguments
from spatia_ros.config import dump
from spatia_ros.record.actor_table import COLUMNS, read_rows
from spatia_ros.record.panels import Film, actor_colours
from spatia_ros.record.run_folder import RunFolder
from spatia_ros.record.sheet import contact_sheet
from spatia_ros.types import SpatiaError
from spatia_ros.world import World

XS = [0.0, 0.1, 0.2, 0.3]
SCRIPT = "actors: [{name: ball, kind: ball, path: [[0, 0, 0, 1, 0], [1, 1, 0, 1, 0]]}]\n"


def lively() -> World:
    world = world_of(cast_of(rolling(0.0, 0.4), rolling(0.3, 0.0, 0.9, complete=False)))
    assert isinstance(world.generator, OracleGenerator)
    return world


def folder_of(path: Path) -> RunFolder:
    return RunFolder(path, {"a": 1}, CAMERA, with_actors=True)


def flown(folder: RunFolder, world: World, frames: range, complete: bool) -> RunFolder:
    clips = list(path(XS).clips(1))
    for k in frames:
        folder.append(world.advance(clips[k]))
    folder.checkpoint(world, complete=complete)
    return folder


def test_a_run_keeps_who_is_where_and_goes_on_after_an_interruption(tmp_path: Path) -> None:
    whole, world = folder_of(tmp_path / "whole"), lively()
    whole.create(dump(world.config))
    flown(whole, world, range(4), True)
    broken, world = folder_of(tmp_path / "broken"), lively()
    broken.create(dump(world.config))
    flown(broken, world, range(2), False)
    broken.append(world.advance(list(path(XS).clips(1))[2]))  # lost: no checkpoint after it
    again, world = folder_of(tmp_path / "broken"), lively()
    again.resume(world)
    flown(again, world, range(len(again), 4), True)
    assert (tmp_path / "broken/actors.csv").read_text() == (tmp_path / "whole/actors.csv").read_text()
    for a, b in zip(again, whole, strict=True):
        assert np.array_equal(a.rgb, b.rgb)
        assert np.array_equal(a.segmentation, b.segmentation)
        assert set(np.unique(a.segmentation)) == {0, 1, 2}
    step = lively().advance(path(XS))
    rows = read_rows(tmp_path / "whole/actors.csv", 4)
    assert [row[:6] for row in rows[:3]] == [
        ("0", "100000000", "0.1", "1", "ball_1", "ball"), ("0", "100000000", "0.1", "2", "ball_2", "ball"),
        ("1", "200000000", "0.2", "1", "ball_1", "ball"),
    ]  # fmt: skip
    assert len(rows) == 8
    x = COLUMNS.index("x")
    assert [float(row[x]) for row in rows[::2]] == [states[0].T_world_actor[0, 3] for states in step.actors]
    picture = cv2.imread(str(tmp_path / "whole/segmentation/000003.png"), cv2.IMREAD_UNCHANGED)
    assert picture.dtype == np.uint16
    assert np.array_equal(picture, step.segmentation[3])
    film = Film(whole, "run")
    with_actors = contact_sheet(film, 2)
    whole.with_actors = False
    assert with_actors.shape[0] > contact_sheet(Film(whole, "run"), 2).shape[0]
    whole.clear()
    assert not (tmp_path / "whole/actors.csv").exists()
    assert not list((tmp_path / "whole/segmentation").iterdir())


HEADER = ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize("text", ["", "frame,id\n0,1\n", HEADER + "0,1\n", HEADER + "0," * 22 + "nan\n"])
def test_a_damaged_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "actors.csv").write_text(text)
    with pytest.raises(SpatiaError, match=r"actors\.csv: expected"):
        read_rows(tmp_path / "actors.csv", 5)


def test_each_actor_has_a_colour_of_its_own() -> None:
    ids = np.array([[0, 1, 2, 65535]], np.uint16)
    grey, *colours = actor_colours(np.full((1, 4, 3), 200, np.uint8), ids)[0].astype(int)
    assert np.ptp(grey) == 0
    apart = [np.abs(a - b).max() for k, a in enumerate(colours) for b in colours[:k]]
    assert min(apart) > 40


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_cast(parser)
    return parser.parse_args(words)


def test_the_arguments_name_a_cast_and_its_time(tmp_path: Path) -> None:
    script, clock = tmp_path / "a.yaml", tmp_path / "t.yaml"
    script.write_text(SCRIPT)
    clock.write_text("{pattern: reverse, start_s: 0, end_s: 2}")
    cast_file.save(cast_of(rolling(0.0, 0.4)), tmp_path / "a.npz")
    assert [a.name for a in cast_of_arguments(parsed("--actors", str(script)))] == ["ball"]
    assert [a.name for a in cast_of_arguments(parsed("--actors", str(tmp_path / "a.npz")))] == ["ball_1"]
    timed = cast_of_arguments(parsed("--actors", str(script), "--time-file", str(clock)))
    assert timed.clock.at(0.5) == 1.5
    assert cast_of_arguments(parsed()) is None
    world = world_of()
    join(world, cast_of_arguments(parsed("--actors", str(script))), path(XS), "reverse")
    assert world.cast.clock.at(0.1) == pytest.approx(0.3)
    join(world, None, path(XS), None)
    assert len(world.cast) == 1, "no actors named, none taken away"
    assert world_of().cast.clock == Clock.REAL
    for words, message in (
        (("--time", "reverse"), "--time: expected --actors"), (("--actors", str(tmp_path / "no.yaml")), "is no file"),
        (("--actors", str(script), "--time", "sideways"), "pattern: expected one of"),
        (("--actors", str(script), "--time-file", str(tmp_path)), "--time-file: expected a YAML file"),
    ):  # fmt: skip
        with pytest.raises(SpatiaError, match=message):
            cast_of_arguments(parsed(*words))


def test_a_run_is_of_its_actors_and_their_time(tmp_path: Path) -> None:
    script = tmp_path / "a.yaml"
    script.write_text(SCRIPT)
    named = ("--actors", str(script))
    same, timed = cast_identity(parsed(*named)), cast_identity(parsed(*named, "--time", "freeze"))
    assert cast_identity(parsed()) == {}
    assert same == cast_identity(parsed(*named)) != timed
    script.write_text(SCRIPT + "# more\n")
    assert cast_identity(parsed(*named)) != same
