"""The measure of grounding: phrases mean what they are said to mean, and answers are held against triangles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny_house import thing

from spatia_ros.actors.cast import Cast
from spatia_ros.config import MemoryConfig
from spatia_ros.evaluate.grounding import score, summary
from spatia_ros.evaluate.grounding_places import GroundPlace
from spatia_ros.evaluate.grounding_queries import MAKERS, Asked, Questions, Scenery
from spatia_ros.evaluate.grounding_truth import PROTOTYPES, TrueRoom, TrueThing, shares_of, true_things
from spatia_ros.geometry import look_at
from spatia_ros.ground import Grounded, Sighting, parse
from spatia_ros.ground.match import match
from spatia_ros.ground.relate import Eye
from spatia_ros.memory import Memory
from spatia_ros.train.scene_mesh import Material, MeshBuilder, Piece, at, box
from spatia_ros.types import Camera, Trajectory

UP = np.array([0.0, 0.0, 1.0])
WORDS = {"chair": ("chair",), "sofa": ("sofa", "couch"), "bin": ("trash can", "bin"), "ball": ("ball",), "tv": ("television",)}
CAMERA = Camera.from_fov(160, 120, 1.2)


def layout(seed: int) -> list[tuple[str, np.ndarray, np.ndarray, str]]:
    """A dozen boxes on a floor, no two at one place: name, low, high, colour."""
    rng, out = np.random.default_rng(seed), []
    for kind, count in (("chair", 4), ("ball", 3), ("bin", 2), ("sofa", 1), ("tv", 1)):
        for k in range(count):
            while True:
                low, size = np.append(rng.uniform(0, 8, 2), 0.0), rng.uniform(0.3, 1.0, 3)
                if all((np.abs(low - other[1])[:2] > 1.0).any() for other in out):
                    break
            out.append((f"{kind}_{k + 1}", low, low + size, str(rng.choice(list(PROTOTYPES)))))
    return out


def truth_of(made: list[tuple[str, np.ndarray, np.ndarray, str]]) -> list[TrueThing]:
    return [
        TrueThing(name, name.split("_")[0], WORDS[name.split("_")[0]], low, high, {c: float(c == colour) for c in PROTOTYPES})
        for name, low, high, colour in made
    ]


@pytest.mark.parametrize("seed", range(6))
def test_what_a_phrase_is_said_to_mean_is_what_it_is_taken_to_mean(seed):
    made = layout(seed)
    rng = np.random.default_rng(seed)
    start = look_at(np.array([*rng.uniform(0, 8, 2), 1.2]), np.array([4.0, 4.0, 0.8]), UP)
    true = truth_of(made)
    flat = [a / np.linalg.norm(a) for a in (start[:3, 0] * (1, 1, 0), start[:3, 2] * (1, 1, 0))]
    scenery = Scenery(true, frozenset(t.name for t in true), start[:3, 3], flat[0], flat[1], rng)
    shown = [thing(name, low, high, PROTOTYPES[colour]) for name, low, high, colour in made]
    asked = [a for maker in MAKERS for a in maker(scenery)] + Questions().take(scenery, 20)
    assert len({a.sort for a in asked}) >= 8
    for query in asked:
        found = match(parse(query.phrase), shown, Eye.of(start))
        assert (found.fitting[0].thing.name if found.fitting else None) == query.answer, query


def test_questions_come_of_all_sorts_and_a_fifth_are_impossible():
    made = layout(1)
    true = truth_of(made)
    names = frozenset(t.name for t in true)
    scenery = Scenery(true, names, np.zeros(3), np.array([1.0, 0, 0]), np.array([0, 1.0, 0]), np.random.default_rng(0))
    asked = Questions().take(scenery, 20)
    assert sum(a.answer is None for a in asked) == 4
    assert len({a.phrase for a in asked}) == 20
    assert len({a.sort for a in asked}) >= 8


def test_colours_of_textures():
    for word, rgb in PROTOTYPES.items():
        assert shares_of(np.tile(np.uint8(rgb), (9, 1)))[word] == 1.0
    assert shares_of(np.uint8([PROTOTYPES["red"]] * 3 + [PROTOTYPES["blue"]]))["red"] == 0.75


def cube_place() -> tuple[GroundPlace, TrueThing]:
    """A red cube of 0.5 m in the origin, a blue one 2 m to its right, and a wall behind the red one."""
    builder, names = MeshBuilder(), {}
    for name, rgb, size, T in (
        ("red_1", (190, 30, 35), (0.5, 0.5, 0.5), at(0, 0, 0)), ("blue_1", (40, 70, 175), (0.5, 0.5, 0.5), at(2, 0, 0)),
        ("wall", (235, 235, 230), (6.0, 0.1, 2.0), at(0, 1.5, 0)),
    ):  # fmt: skip
        names[builder.add([Piece(p, Material(np.full((4, 4, 3), rgb, np.uint8))) for p in box(size)], T)] = name
    mesh = builder.mesh()
    things = true_things(mesh, names, {"red_1": ("cube",), "blue_1": ("cube",)}, {"red_1": "cube", "blue_1": "cube"})
    place = GroundPlace("cubes", Memory(MemoryConfig()), Cast(), TrueRoom(mesh), tuple(things), frozenset(), ())
    return place, next(t for t in things if t.name == "red_1")


def answer_at(eye, target, name: str = "red_1", position=(0.0, 0.0, 0.25)) -> tuple[np.ndarray, Grounded]:
    start = look_at(np.array([0.0, -3.0, 1.0]), np.zeros(3), UP)
    end = look_at(np.array(eye, float), np.array(target, float), UP)
    way = np.stack([start, end])
    way = np.concatenate([way[:1], way[1:]])
    p = np.array(position, float)
    sighting = Sighting(name, "cube", "memory", 0, p - 0.25, p + 0.25, p, 3.0, (50.0, 40.0, 110.0, 90.0), 1.0)
    return start, Grounded("the red cube", True, sighting, (), Trajectory(np.array([1, 2], np.int64), way))


@pytest.mark.parametrize(
    ("eye", "target", "name", "position", "sd", "fault"),
    [
        ((0, -1.5, 1.0), (0, 0, 0.25), "red_1", (0, 0, 0.25), 0.0, ""),
        ((0, -1.5, 1.0), (0, 0, 0.25), "red_1", (0.0866, 0, 0.25), 0.1, ""),
        ((0, -1.5, 1.0), (0, 0, 0.25), "red_1", (0.433, 0, 0.25), 0.5, "wrong place"),
        ((0, -1.5, 1.0), (2, 0, 0.25), "blue_1", (2, 0, 0.25), 1.0, "wrong thing"),
        ((0, -1.5, 1.0), (0, -3, 0.25), "red_1", (0, 0, 0.25), 1.0, "not in view"),
        ((0, 3.0, 1.0), (0, 0, 0.25), "red_1", (0, 0, 0.25), 1.0, "collision"),
        ((0, -0.28, 0.3), (0, 0, 0.25), "red_1", (0, 0, 0.25), 1.0, "collision"),
    ],
)
def test_an_answer_is_scored(eye, target, name, position, sd, fault):
    place, cube = cube_place()
    start, answer = answer_at(eye, target, name, position)
    scored = score(place, CAMERA, start, Asked("the red cube", "red_1", "colour"), answer, cube)
    assert scored.fault == fault
    np.testing.assert_allclose(scored.sd, sd, atol=1e-3)


def test_not_found_is_right_only_where_nothing_is():
    place, cube = cube_place()
    start, found = answer_at((0, -1.5, 1.0), (0, 0, 0.25))
    missed = replace(found, found=False, target=None, trajectory=None)
    no_way = replace(found, trajectory=None)
    asked, unreal = Asked("the red cube", "red_1", "colour"), Asked("the piano", None, "no such kind")
    cases = [score(place, CAMERA, start, asked, a, cube) for a in (found, missed, no_way)]
    cases += [score(place, CAMERA, start, unreal, a, None) for a in (found, missed)]
    assert [(c.sd, c.fault) for c in cases] == [
        (0.0, ""), (1.0, "not found"), (1.0, "no way"), (1.0, "found what is not there"), (0.0, ""),
    ]  # fmt: skip
    figures = summary(cases)
    assert figures["queries"] == 5
    assert figures["sd_mean"] == pytest.approx(0.6)
    assert figures["if_sd_0.2"] == pytest.approx(0.4)
    assert figures["impossible"] == {"queries": 2, "sd_mean": 0.5, "if_sd_0.2": 0.5}
    assert figures["faults"] == {"found what is not there": 1, "no way": 1, "not found": 1}
    assert figures["sd_definition"].startswith("SD of a phrase")
