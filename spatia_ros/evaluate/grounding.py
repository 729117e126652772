"""Is the right thing found, and does the camera get there? A hundred phrases, answers held against triangles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from spatia_ros.actors.draw import draw
from spatia_ros.config import WorldConfig, dump
from spatia_ros.evaluate.grounding_places import HFOV_RAD, START_CLEAR_M, GroundPlace, house, procedural
from spatia_ros.evaluate.grounding_queries import Asked, Questions, Scenery
from spatia_ros.evaluate.grounding_truth import TrueThing
from spatia_ros.generator import ProjectionGenerator
from spatia_ros.ground import Grounded, navigate, survey
from spatia_ros.record.files import write_json, write_text
from spatia_ros.seed.seeded import standing_pose
from spatia_ros.types import Bool, Camera, Float64, SpatiaError
from spatia_ros.world import World

ROOMS = 10
"""Procedural rooms that the phrases of the procedural half are spread over."""
LEAST_VISIBLE = 0.3
TOUCH_M = 0.05
"""A camera that comes this near to a surface has hit it."""
FOLLOWED = 0.2
DEFINITION = (
    "SD of a phrase that means one thing: the distance between the position answered and the middle of that thing's exact box, "
    "divided by the box's diagonal, at most 1; it is 1 when another thing or no way was found, when the camera comes within "
    "5 cm of a true surface or passes through one on its way, or when the last picture, as the true scene shows it, has less "
    "than 0.3 of the thing's outline (as it would be alone, in a picture without edges) visible in it. SD of a phrase that means "
    "nothing that is there: 0 when the answer is 'not found', else 1. IF(SD<0.2): the share of phrases whose SD is below 0.2."
)


@dataclass(frozen=True, slots=True)
class Scored:
    """One phrase, answered and scored.

    Args:
        sd: see :data:`DEFINITION`. fault: what made it large, in a word, or empty.
        visible: share of the true outline in the last picture. iou: of the image box answered with the true one.
        nearest_m: how near the camera came to a true surface. length_m: of its way.
    """

    place: str
    phrase: str
    sort: str
    expected: str | None
    answered: str | None
    sd: float
    fault: str
    visible: float | None = None
    iou: float | None = None
    nearest_m: float | None = None
    length_m: float | None = None


def evaluate_grounding(
    config: WorldConfig, out_dir: Path, house_path: Path | None, queries: int = 100, seed: int = 0, rooms: int = ROOMS
) -> dict[str, Any]:
    """Ask half of the phrases in procedural rooms, half in small_house.

    Writes ``figures.json``, ``queries.json`` (every phrase with its answer and score) and ``config.yaml`` to ``out_dir``.

    Args:
        house_path: small_house.glb; None: everything is asked in procedural rooms.
        seed: of rooms, starts and phrases. rooms: procedural ones.

    Returns:
        The figures, as docs/grounding.md names them.
    """
    camera = Camera.from_fov(config.camera.width_px, config.camera.height_px, HFOV_RAD)
    own = queries if house_path is None else queries // 2
    scored, questions = list[Scored](), Questions()
    with tqdm(None, "grounding", queries, unit="phrase") as bar:
        for place, count in _places(config, house_path, own, queries - own, seed, rooms):
            for each in _ask(place, config, camera, count, seed, questions):
                scored.append(each)
                bar.update()
    figures = summary(scored)
    write_json(out_dir / "figures.json", figures)
    write_json(out_dir / "queries.json", [asdict(each) for each in scored])
    write_text(out_dir / "config.yaml", dump(config))
    return figures


def _places(
    config: WorldConfig, house_path: Path | None, own: int, others: int, seed: int, rooms: int
) -> Iterator[tuple[GroundPlace, int]]:
    """Places, one at a time, and how many phrases each is asked."""
    rooms = min(rooms, own)
    number = 1000 * seed
    for k in range(rooms):
        while True:
            number += 1
            try:
                place = procedural(number, config)
            except SpatiaError:
                continue  # too full to walk in: the next room
            break
        yield place, own * (k + 1) // rooms - own * k // rooms
    if house_path is not None:
        yield house(house_path, config), others


def _ask(
    place: GroundPlace, config: WorldConfig, camera: Camera, count: int, seed: int, questions: Questions
) -> Iterator[Scored]:
    """So many phrases in a place, from several starts."""
    rng = np.random.default_rng([seed, count, len(place.things)])
    known, starts = survey(place.memory), _starts(place, rng, max(2, count // 4))
    true = {t.name: t for t in place.things}
    questions.enter()
    for k, start in enumerate(starts):
        share = count * (k + 1) // len(starts) - count * k // len(starts)
        scenery = Scenery(place.things, place.targets, start[:3, 3], _level(start[:3, 0]), _level(start[:3, 2]), rng)
        for query in questions.take(scenery, share):
            world = World(config, place.memory, ProjectionGenerator(), camera, place.cast)
            answer = navigate(world, query.phrase, start, known=known)
            yield score(place, camera, start, query, answer, true.get(query.answer or ""))


def _starts(place: GroundPlace, rng: np.random.Generator, count: int) -> list[Float64]:
    eyes = [e for e in place.eyes if float(place.room.distance(e[None])[0]) >= START_CLEAR_M]
    if not eyes:
        raise SpatiaError(f"grounding: {place.name}: expected a free place to start from, got none")
    chosen = [eyes[i % len(eyes)] for i in rng.permutation(max(count, len(eyes)))[:count]]
    return [standing_pose(eye, float(rng.uniform(0, 2 * np.pi))) for eye in chosen]


def _level(v: Float64) -> Float64:
    flat = np.array([v[0], v[1], 0.0])
    return flat / np.linalg.norm(flat)


def score(place: GroundPlace, camera: Camera, start: Float64, query: Asked, answer: Grounded, thing: TrueThing | None) -> Scored:
    """An answer held against the truth."""
    said = answer.target.name if answer.target else None
    head = (place.name, query.phrase, query.sort, query.answer, said)
    if thing is None:
        return Scored(*head, float(answer.found), "found what is not there" if answer.found else "")
    if answer.target is None:
        return Scored(*head, 1.0, "not found")
    off = float(np.linalg.norm(answer.target.position - thing.middle) / np.linalg.norm(thing.size))
    fault = ("" if off < FOLLOWED else "wrong place") if said == thing.name else "wrong thing"
    if answer.trajectory is None:
        return Scored(*head, 1.0, fault or "no way")
    way = np.concatenate([start[None, :3, 3], answer.trajectory.T_world_cam[:, :3, 3]])
    nearest = float(place.room.distance(way).min())
    visible, iou = _last_view(place, thing, camera, answer)
    if nearest < TOUCH_M or place.room.crosses(way):
        fault = fault or "collision"
    elif visible < LEAST_VISIBLE:
        fault = fault or "not in view"
    sd = 1.0 if fault in ("collision", "not in view", "wrong thing") else min(off, 1.0)
    return Scored(*head, sd, fault, visible, iou, nearest, answer.length_m)


def _last_view(place: GroundPlace, thing: TrueThing, camera: Camera, answer: Grounded) -> tuple[float, float]:
    """Share of the thing's outline that the last picture shows, and the IoU of the image box answered with the true one."""
    assert answer.trajectory is not None
    assert answer.target is not None
    T = answer.trajectory.T_world_cam[-1]
    alone, shown = (_actor_outline if thing.actor_id else _thing_outline)(place, thing, camera, T)
    if not shown.any():
        return 0.0, 0.0
    rows, cols = np.nonzero(shown.any(1))[0], np.nonzero(shown.any(0))[0]
    true = np.array([cols[0], rows[0], cols[-1] + 1, rows[-1] + 1], float) - np.tile((camera.width // 2, camera.height // 2), 2)
    visible = float(shown.sum() / max(int(alone.sum()), int(shown.sum())))
    return visible, _iou(np.array(answer.target.box_px or (0.0, 0.0, 0.0, 0.0)), true)


def _thing_outline(place: GroundPlace, thing: TrueThing, camera: Camera, T: Float64) -> tuple[Bool, Bool]:
    return place.room.outline(thing, camera, T)


def _actor_outline(place: GroundPlace, thing: TrueThing, camera: Camera, T: Float64) -> tuple[Bool, Bool]:
    """As :meth:`.TrueRoom.outline`, of an actor drawn into the true depth."""
    h, w = camera.height, camera.width
    wide = Camera(2 * w, 2 * h, camera.fx, camera.fy, camera.cx + w / 2, camera.cy + h / 2)
    posed = place.cast.at(0.0)
    black, far = np.zeros((2 * h, 2 * w, 3), np.uint8), np.zeros((2 * h, 2 * w), np.float32)
    alone = draw(black, far, [p for p in posed if p.id == thing.actor_id], wide, T).ids == thing.actor_id
    shown = draw(black, place.room.depth(wide, T)[0], posed, wide, T).ids == thing.actor_id
    inside = np.zeros_like(shown)
    inside[h // 2 : h // 2 + h, w // 2 : w // 2 + w] = True
    return alone, shown & inside


def _iou(a: Float64, b: Float64) -> float:
    both = np.prod(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None))
    return float(both / max(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - both, 1e-9))


def summary(scored: list[Scored]) -> dict[str, Any]:
    """The figures of all phrases."""
    if not scored:
        raise SpatiaError("grounding: expected at least one phrase, got none")
    sd = np.array([s.sd for s in scored])
    ways = [s for s in scored if s.nearest_m is not None]
    faults = [s.fault for s in scored if s.fault]
    return {
        "queries": len(scored), "sd_mean": float(sd.mean()), "if_sd_0.2": float((sd < FOLLOWED).mean()),
        "sd_definition": DEFINITION,
        "impossible": _part([s for s in scored if s.expected is None]),
        "places": {name: _part([s for s in scored if s.place.startswith(name)]) for name in ("room", "small_house")},
        "sorts": {sort: _part([s for s in scored if s.sort == sort]) for sort in sorted({s.sort for s in scored})},
        "faults": {fault: faults.count(fault) for fault in sorted(set(faults))},
        "ways": len(ways), "nearest_m_least": min((s.nearest_m or 0.0 for s in ways), default=None),
        "visible_mean": _mean([s.visible for s in ways]), "box_iou_mean": _mean([s.iou for s in ways]),
        "length_m_mean": _mean([s.length_m for s in ways]),
    }  # fmt: skip


def _mean(values: list[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return float(np.mean(known)) if known else None


def _part(scored: list[Scored]) -> dict[str, Any] | None:
    if not scored:
        return None
    sd = np.array([s.sd for s in scored])
    return {"queries": len(scored), "sd_mean": float(sd.mean()), "if_sd_0.2": float((sd < FOLLOWED).mean())}
