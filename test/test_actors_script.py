"""Scripts: what they say is what is staged, and every complaint names line and field."""

import numpy as np
import pytest
import trimesh

from spatia_ros.actors import Cast, cast_file, script
from spatia_ros.actors.clock import Clock
from spatia_ros.actors.yaml_reader import MAX_BYTES
from spatia_ros.types import SpatiaError

SCRIPT = """\
clock: {pattern: freeze, start_s: 2, length_s: 4}   # bullet time
actors:
  - name: ped
    kind: pedestrian
    colour: green
    spacing_m: 0.2
    path: [[0, 0, 0, 0, 0], [4, 4, 0, 0, 0]]
    clock: {pattern: reverse, end_s: 4}
  - {kind: box, pose: [1, 2, 0, 90], spacing_m: 0.2, scale: 2, facts: {mass_kg: 3, wet: true, note: heavy}}
  - {name: cart, file: cart.glb, kind: cart, pose: [0, 0, 1, 0, 0, 1, 0], up: z, scale: 0.5, spacing_m: 0.1, complete: false}
  - {name: ball, kind: ball, path: [[0, 0, 0, 0, 0], [2, 2, 0, 0, 0]], loop: true, spacing_m: 0.2, outside: absent}
edit:
  - {name: ball, faster: 1.5}
  - {name: box_2, moved: [0, 0, 1, 0]}
"""


@pytest.fixture
def folder(tmp_path):
    mesh = trimesh.creation.box((1, 1, 2))
    mesh.export(tmp_path / "cart.glb")
    (tmp_path / "scene.yaml").write_text(SCRIPT)
    return tmp_path


def test_a_script_says_what_is_staged(folder):
    cast = script.load(folder / "scene.yaml")
    assert [(a.name, a.kind, a.colour) for a in cast] == [
        ("ped", "pedestrian", "green"), ("box_2", "box", "brown"), ("cart", "cart", None), ("ball", "ball", "red"),
    ]  # fmt: skip
    np.testing.assert_allclose(cast.clock.at(np.array([1.0, 3.0, 6.0, 8.0])), [1, 2, 2, 4])
    np.testing.assert_allclose([cast.find("ped").tau(t) for t in (0, 1, 4)], [4, 3, 0])
    box = cast.find("box_2")
    assert dict(box.facts) == {"mass_kg": 3.0, "wet": True, "note": "heavy"}
    low, high = {p.name: (p.low, p.high) for p in cast.at(0.0)}["box_2"]  # turned, twice as large, lifted
    np.testing.assert_allclose((low, high), [(1 - 0.4, 2 - 0.6, 1), (1 + 0.4, 2 + 0.6, 1.8)], atol=0.02)
    cart = {p.name: p for p in cast.at(0.0)}["cart"]
    assert not cart.complete
    np.testing.assert_allclose((cart.low, cart.high), [(-0.25, -0.25, 1), (0.25, 0.25, 2)], atol=1e-3)
    assert cast.find("ball").tau(2.0) == pytest.approx(3.0)
    assert cast.find("ball").body.present(3.0)  # it loops


def test_another_axis_may_be_up():
    text = "up: -y\nactors: [{name: b, kind: box, pose: [1, 0, 2, 0], spacing_m: 0.2, moved: [0, 0, 1, 0]}]"
    (posed,) = script.load_text(text, _none).at(0.0)
    assert posed.low[1] == pytest.approx(-3.4, abs=0.02)  # 3 m up, where down is y
    assert posed.high[1] == pytest.approx(-3.0, abs=0.02)


def test_a_cast_from_a_file_can_be_edited(tmp_path):
    cast = script.load_text("actors: [{name: b, kind: box, path: [[0, 0,0,0,0], [9, 9,0,0,0]], spacing_m: 0.2}]", _none)
    cast.add(script.actor_from("{kind: ball, pose: [0, 0, 0, 0], spacing_m: 0.2}", _none))
    cast_file.save(cast, tmp_path / "cast.npz")
    text = """
cast: cast.npz
clock: {rate: 0.5}
edit:
  - {name: b, clock: {knots: [[0, 5], [1, 4]], before: hold}, earlier_s: 1}
  - {name: ball_2, remove: true}
"""
    edited = script.load_text(text, lambda name: tmp_path / name)
    assert [a.name for a in edited] == ["b"]
    assert edited.at(4.0)[0].tau_s == pytest.approx(5 - (2 + 1))


def test_a_clock_alone():
    assert script.clock_from("{rate: -1}") == Clock.line(0, 0, -1)
    assert script.clock_from("{knots: [[1, 7]]}").at(9.0) == 7.0
    assert script.clock_from("{pattern: ping-pong, length_s: 2}").at(1.5) == pytest.approx(1.0)


def test_an_empty_script_is_an_empty_cast():
    assert len(script.load_text("actors: []", _none)) == 0
    assert isinstance(script.load_text("clock: {rate: 1}", _none), Cast)


def _none(name: str):
    raise SpatiaError(f"{name}: no files here")


BAD = {
    "": "s: expected a script, got nothing",
    "[1": "s:1: expected YAML, got expected",
    "actors: 5": "s:1: actors: expected a list, got '5'",
    "- a": "s:1: the script: expected a mapping with up, clock",
    "actor: []": "s:1: actor: expected one of up, clock, cast, actors, edit, got the key 'actor'",
    "up: y\nup: z": "s:2: up: expected each key once, got 'up' again",
    "up: w": "s:1: up: expected one of x, y, z",
    "clock: &a {rate: 1}": "s:1: expected plain values, got an anchor",
    "clock: !!python/object:os.system {rate: 1}": "s:1: expected plain values, got the tag",
    "actors: " + "[" * 50: "s:1: expected at most 12 levels",
    "clock: {}": "s:1: clock: expected one of pattern, knots, rate, got none",
    "clock: reverse": "s:1: clock: expected a mapping with pattern",
    "clock: {pattern: backwards, end_s: 1}": "s:1: clock.pattern: expected one of forward, reverse",
    "clock: {pattern: loop}": "s:1: clock.pattern: expected a length_s or an end_s",
    "clock: {pattern: loop, end_s: 1, rate: 1}": "got pattern, rate",
    "clock: {rate: 1, before: hold}": "s:1: clock.before: expected one of rate beside rate",
    "clock: {rate: .inf}": "s:1: clock.rate: expected a finite number of -1000..1000, got '.inf'",
    "clock: {rate: yes}": "clock.rate: expected a finite number",
    "clock: {rate: '1'}": "clock.rate: expected a finite number",
    "clock: {knots: [[0, 0],\n [0, 1]]}": "s:1: clock: clock.knots_s: expected strictly rising",
    "clock:\n  knots: [[0, 0],\n [1, 1, 1]]": r"s:3: clock.knots\[1\]: expected at most 2 of them",
    "actors:\n  - {name: a}": r"s:2: actors\[0\]: expected a kind or a file, got neither",
    "actors: [{kind: dog, pose: [0, 0, 0, 0]}]": r"actors\[0\].kind: expected one of pedestrian",
    "actors: [{kind: box}]": r"actors\[0\]: expected either a path or a pose, got neither",
    "actors: [{kind: box, pose: [0, 0]}]": r"actors\[0\].pose: expected 4 numbers",
    "actors: [{kind: box, pose: [0, 0, 0, 1, 1, 1, 1]}]": "a unit quaternion",
    "actors: [{kind: box, pose: [0, 0, 1e12, 0]}]": "a position within",
    "actors:\n  - kind: box\n    path:\n    - [0, 0, 0, 0, 0]\n    - [1, 0, 0, 0]":
        r"s:5: actors\[0\].path\[1\]: expected 5 numbers \(t_s, x",
    "actors: [{kind: box, path: [[1, 0,0,0,0], [1, 1,0,0,0]]}]": r"actors\[0\].path: expected rising times, got \[1.0, 1.0\]",
    "actors: [{kind: box, path: []}]": "at least one waypoint",
    "actors: [{kind: box, pose: [0,0,0,0], colour: mauve}]": r"actors\[0\].colour: expected one of red",
    "actors: [{kind: box, pose: [0,0,0,0], scale: 0}]": r"actors\[0\].scale: expected a finite number of 0.01..100",
    "actors: [{kind: box, pose: [0,0,0,0], complete: true}]": "complete",
    "actors: [{kind: box, pose: [0,0,0,0], facts: {a: [1]}}]": r"actors\[0\].facts.a: expected a word",
    "actors: [{file: a.glb, pose: [0,0,0,0]}]": r"s:1: actors\[0\].file: a.glb: no files here",
    "actors: [{kind: ball, pose: [0,0,0,0], name: a, spacing_m: 0.2},\n {kind: ball, pose: [0,0,0,0], name: a, spacing_m: 0.2}]":
        r"s:2: actors\[1\]: cast: expected a free name, got 'a'",
    "edit: [{name: ghost, remove: true}]": r"s:1: edit\[0\]: actor: expected one of none, the cast is empty; got 'ghost'",
    "edit: [{remove: true}]": r"edit\[0\]: expected name, got no name",
}  # fmt: skip


@pytest.mark.parametrize("text", BAD)
def test_a_complaint_names_line_and_field(text):
    with pytest.raises(SpatiaError, match=BAD[text]):
        script.load_text(text, _none, "s")


def test_a_script_is_bounded(tmp_path):
    with pytest.raises(SpatiaError, match=f"at most {MAX_BYTES} bytes"):
        script.load_text("#" * (MAX_BYTES + 1), _none)
    with pytest.raises(SpatiaError, match="expected a YAML file"):
        script.load(tmp_path / "none.yaml")
