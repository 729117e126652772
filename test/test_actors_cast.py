"""Casts: numbers, names and bounds, snapshots, and files that are believed only as far as they go."""

import io
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from spatia_ros import geometry
from spatia_ros.actors import Actor, BodyPoints, Cast, Clock, JointedBody, Part, PoseTrack, RigidBody, cast_file, edits, pattern
from spatia_ros.actors.actor import MAX_ID
from spatia_ros.actors.observed import Observation, ObservedBody
from spatia_ros.types import SpatiaError

WAY = PoseTrack.path([[0, 0, 0, 0, 0], [2, 4, 0, 0, 90]])


def shape(n: int = 3, seed: int = 0) -> BodyPoints:
    rng = np.random.default_rng(seed)
    return BodyPoints(rng.normal(size=(n, 3)).astype(np.float32), rng.integers(0, 255, (n, 3), np.uint8), 0.05)


def thing(name: str = "", n: int = 3, number: int = 0) -> Actor:
    return Actor(name, "thing", RigidBody(shape(n), WAY), number)


def full_cast() -> Cast:
    """One actor of each kind of body, with everything set that can be set."""
    cast = Cast(pattern("bullet-time", 0, 2, 3).switched(4.0, -1.0))
    turning = PoseTrack.path([[0, 0, 0, 0, 0], [1, 0, 0, 0, 170], [2, 0, 0, 0, 340]])
    parts = (Part(shape(4, 1), PoseTrack.still(np.eye(4))), Part(shape(5, 2), PoseTrack(turning.times_s, turning.T, loop=True)))
    seen = tuple(Observation(0.1 * k, WAY.at(0.1 * k), shape(k + 1, k)) for k in range(3))
    cast.add(replace(thing("rigid", number=7), colour="red", facts={"mass_kg": 2.5, "wet": True, "note": "ä"}))
    cast.add(Actor("jointed", "car", JointedBody(parts, WAY, Clock.line(0, 0, 3.0), False, "absent")))
    placed = geometry.pose(np.eye(3), np.ones(3))
    cast.add(Actor("observed", "mover", ObservedBody(seen, shape(6, 9), 0.25, rigid=False), T_world_placed=placed))
    cast.add(replace(Actor("bare", "mover", ObservedBody(seen)), clock=pattern("loop", 0, 1)))
    return cast


def same(a: Cast, b: Cast) -> None:
    assert a.clock == b.clock
    for one, other in zip(a, b, strict=True):
        for name in ("id", "name", "kind", "colour", "clock"):
            assert getattr(one, name) == getattr(other, name)
        assert dict(one.facts) == dict(other.facts)
        assert type(one.body) is type(other.body)
        assert one.body.complete == other.body.complete
        assert getattr(one.body, "rigid", None) == getattr(other.body, "rigid", None)
    for t in np.linspace(-1, 6, 15):
        for p, q in zip(a.at(t), b.at(t), strict=True):
            np.testing.assert_array_equal(p.points.xyz, q.points.xyz)
            np.testing.assert_array_equal(p.points.rgb, q.points.rgb)
            np.testing.assert_array_equal(p.T_world_actor, q.T_world_actor)
            np.testing.assert_array_equal(p.velocity, q.velocity)
            assert p.points.spacing_m == q.points.spacing_m


def test_numbers_and_names():
    cast = Cast()
    assert cast.add(thing()) == 1
    assert cast.add(thing("b")) == 2
    assert cast.add(thing(number=9)) == 9
    assert [a.name for a in cast] == ["thing_1", "b", "thing_9"]
    assert cast.find(2) is cast.find("b") is cast.find(np.uint16(2))
    assert cast.remove("b").id == 2
    assert cast.add(thing()) == 10  # a number is not given twice
    assert "b" not in cast
    assert 10 in cast
    assert len(cast) == 3
    with pytest.raises(SpatiaError, match="actor: expected one of 1 thing_1, 9 thing_9, 10 thing_10; got 'b'"):
        cast.find("b")
    with pytest.raises(SpatiaError, match="expected a free number, got 9"):
        cast.add(thing("new", number=9))
    with pytest.raises(SpatiaError, match="expected a free name, got 'thing_9'"):
        cast.add(thing("thing_9"))
    with pytest.raises(SpatiaError, match="expected a free name"):
        cast.replace(replace(cast.find(10), name="thing_9"))
    cast.replace(replace(cast.find(10), name="ten"))
    assert cast.find("ten").id == 10


def test_numbers_start_over_once_all_were_used():
    cast = Cast()
    assert cast.add(thing(number=MAX_ID)) == MAX_ID
    assert cast.add(thing()) == 1
    assert cast.add(thing()) == 2


def test_a_cast_is_bounded():
    cast = Cast(max_actors=2, max_points=10)
    cast.add(thing(n=4))
    with pytest.raises(SpatiaError, match="at most 10 points together, got 11 with 'big'"):
        cast.add(thing("big", n=7))
    cast.add(thing("b", n=6))
    with pytest.raises(SpatiaError, match="at most 2 actors"):
        cast.add(thing("c", n=1))
    with pytest.raises(SpatiaError, match="at most 10 points together, got 11"):
        cast.replace(replace(thing(number=1, n=5), name="a"))
    assert cast.points == 10
    cast.replace(replace(cast.find("b"), body=RigidBody(shape(2), WAY)))
    assert cast.points == 6


def test_a_snapshot_is_a_whole_moment():
    cast = full_cast()
    before, known = cast.snapshot(), full_cast()
    cast.set_clock(Clock.line(0, 0, -1.0))
    cast.set_clock(cast.find(7).clock.switched(1.0, 0.0), "rigid")
    cast.replace(edits.faster(cast.find("jointed"), 1.2))
    cast.remove("observed")
    number = cast.add(thing("new"))
    for _ in range(2):
        cast.restore(before)
        same(cast, known)
        assert cast.add(thing("new")) == number  # the same commands give the same numbers
        cast.remove("new")


def test_one_actor_rewound_leaves_the_others_as_they_were():
    cast = full_cast()
    before = {p.name: p for p in cast.at(1.5)}
    cast.set_clock(cast.find("rigid").clock.switched(0.5, -1.0), "rigid")
    after = {p.name: p for p in cast.at(1.5)}
    assert np.abs(before["rigid"].points.xyz - after["rigid"].points.xyz).max() > 0.5
    for name in before.keys() - {"rigid"}:
        np.testing.assert_array_equal(before[name].points.xyz, after[name].points.xyz)


def test_what_is_read_is_what_was_saved(tmp_path):
    cast = full_cast()
    cast_file.save(cast, tmp_path / "deep" / "cast.npz")
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["cast.npz"]
    same(cast_file.load(tmp_path / "deep" / "cast.npz"), cast)
    cast_file.save(Cast(), tmp_path / "empty.npz")
    assert len(cast_file.load(tmp_path / "empty.npz")) == 0


def test_a_body_of_another_make_is_not_saved(tmp_path):
    class Ghost(ObservedBody):
        pass

    cast = Cast()
    cast.add(Actor("ghost", "ghost", Ghost((Observation(0.0, np.eye(4), shape()),))))
    with pytest.raises(SpatiaError, match="rigid, jointed or observed body, got Ghost"):
        cast_file.save(cast, tmp_path / "cast.npz")
    assert list(tmp_path.iterdir()) == []


def parts_of(path) -> tuple[dict, dict[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    text = json.loads(np.load(io.BytesIO(members.pop("cast.npy")), allow_pickle=False).tobytes())
    return text, members


def write(path, text, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        if text is not None:
            archive.writestr("cast.npy", npy(np.frombuffer(json.dumps(text).encode(), np.uint8)))


def npy(array: np.ndarray, pickled: bool = False) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=pickled)
    return out.getvalue()


def huge_header() -> bytes:
    """An array that says it has 2^62 rows, and has none."""
    return npy(np.zeros((3, 3), np.float32)).replace(b"(3, 3), }" + b" " * 18, b"(4611686018427387904, 3), }")


def _set(values: dict, path: str, value) -> None:
    *way, last = [int(k) if k.isdigit() else k for k in path.split("/")]
    for key in way:
        values = values[key]
    values[last] = value


TEXTS = [
    ("format", "another", "format: expected 'spatia cast 1'"),
    ("actors", {}, "actors: expected a list"),
    ("clock/knots", [[0, 0], [0, 1]], "strictly rising"),
    ("clock/extra", 1, "unknown"),
    ("actors/0/id", -3, "a number from 1"),
    ("actors/0/age", 1, "actor: expected T_world_placed"),
    ("actors/1/name", "rigid", "free name"),
    ("actors/0/name", 5, "printable"),
    ("actors/0/facts", {"a": [1]}, "words, finite numbers"),
    ("actors/0/colour", ["red"], "a word or nothing"),
    ("actors/0/T_world_placed", [[1, 0], [0, 1]], r"expected shape \[4, 4\]"),
    ("actors/0/T_world_placed/0/3", float("nan"), "finite"),
    ("actors/0/body/body", "soft", "one of rigid, jointed, observed"),
    ("actors/0/body", None, "one of rigid, jointed"),
    ("actors/0/body/arrays", "a9", "a9_points: expected an array, found none"),
    ("actors/0/body/arrays", 1, "arrays a name"),
    ("actors/0/body/outside", "gone", "hold or absent"),
    ("actors/0/body/complete", 1, "a truth"),
    ("actors/1/body/loops", [True], "loops as tracks"),
    ("actors/1/body/gait/knots", [], "gait.knots: expected a list"),
    ("actors/2/body/reach_s", "1", "reach_s: expected seconds"),
    ("actors/2/body/rigid", None, "rigid: expected a truth"),
    ("actors/2/body/reach_s", 0, "reach_s > 0"),
]
FLOATS = np.zeros((3, 3), np.float32)
ARRAYS = [
    ("a0_xyz.npy", npy(FLOATS.astype(np.float64)), "expected float32"),
    ("a0_xyz.npy", npy(FLOATS + np.inf), "finite metres"),
    ("a0_xyz.npy", npy(FLOATS[:2]), "add up to 2"),
    ("a0_xyz.npy", huge_header(), "cut short: expected 55340232221128654848 bytes"),
    ("a0_xyz.npy", npy(np.array([{"a": 1}], object), True), "plain numbers in rows, got object"),
    ("a0_xyz.npy", npy(np.asfortranarray(FLOATS)), "plain numbers in rows"),
    ("a0_xyz.npy", npy(FLOATS)[:-8], "expected 36 bytes, got 28"),
    ("a0_xyz.npy", b"", "not readable"),
    ("a0_xyz.npy", b"junk" * 20, "not readable"),
    ("a0_points.npy", npy(np.array([-3, 6])), "add up"),
    ("a0_points.npy", npy(np.array([2**62, 2**62])), "add up"),
    ("a0_points.npy", npy(np.zeros(0, np.int64)), "add up"),
    ("a0_T.npy", npy(np.ones((2, 4, 4))), "expected a rotation"),
    ("a0_times.npy", npy(np.array([1.0, np.nan])), "strictly rising"),
    ("../evil.npy", npy(np.zeros(1)), "arrays by name"),
]


@pytest.mark.parametrize(("where", "value", "message"), TEXTS)
def test_a_text_that_cannot_be_is_refused(tmp_path, where, value, message):
    cast_file.save(full_cast(), tmp_path / "cast.npz")
    text, members = parts_of(tmp_path / "cast.npz")
    _set(text, where, value)
    write(tmp_path / "cast.npz", text, members)
    with pytest.raises(SpatiaError, match=message):
        cast_file.load(tmp_path / "cast.npz")


@pytest.mark.parametrize(("name", "data", "message"), ARRAYS)
def test_an_array_that_cannot_be_is_refused(tmp_path, name, data, message):
    cast_file.save(full_cast(), tmp_path / "cast.npz")
    text, members = parts_of(tmp_path / "cast.npz")
    write(tmp_path / "cast.npz", text, members | {name: data})
    with pytest.raises(SpatiaError, match=message):
        cast_file.load(tmp_path / "cast.npz")


def test_a_file_that_is_no_cast_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "cast.npz"
    with pytest.raises(SpatiaError, match="is not one"):
        cast_file.load(path)
    path.write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(SpatiaError, match="not readable: BadZipFile"):
        cast_file.load(path)
    cast_file.save(full_cast(), path)
    text, members = parts_of(path)
    write(path, None, members)
    with pytest.raises(SpatiaError, match="a text"):
        cast_file.load(path)
    write(path, None, members | {"cast.npy": npy(np.frombuffer(b"[" * 100_000, np.uint8))})
    with pytest.raises(SpatiaError, match=r"nested|not readable"):
        cast_file.load(path)
    monkeypatch.setattr(cast_file, "MAX_UNPACKED_BYTES", 1 << 20)
    write(path, text, members | {"bomb.npy": npy(np.zeros(1 << 21, np.uint8))})
    assert path.stat().st_size < 100_000
    with pytest.raises(SpatiaError, match="1048576 bytes together, got"):
        cast_file.load(path)


def test_a_flipped_byte_is_noticed_or_harmless(tmp_path):
    cast_file.save(full_cast(), tmp_path / "cast.npz")
    data = bytearray((tmp_path / "cast.npz").read_bytes())
    rng = np.random.default_rng(0)
    noticed = 0
    for at in rng.integers(0, len(data), 60):
        flipped = bytes(data[:at]) + bytes([data[at] ^ 0x55]) + bytes(data[at + 1 :])
        (tmp_path / "flipped.npz").write_bytes(flipped)
        try:
            same(cast_file.load(tmp_path / "flipped.npz"), full_cast())
        except SpatiaError:
            noticed += 1
    assert noticed > 30  # the rest hit dates and the like
