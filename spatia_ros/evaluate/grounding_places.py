"""Places that phrases are asked in: small_house, and procedural rooms with actors; each with what it really holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spatia_ros.actors.cast import Cast
from spatia_ros.actors.library import library_actor
from spatia_ros.actors.track import PoseTrack
from spatia_ros.config import WorldConfig
from spatia_ros.evaluate.grounding_truth import TrueRoom, TrueThing, shares_of, true_things
from spatia_ros.geometry import look_at, pose
from spatia_ros.memory import Memory
from spatia_ros.train import scene_glb
from spatia_ros.train.scene import Scene
from spatia_ros.types import Camera, Float64, SpatiaError

HFOV_RAD = 1.2
SCAN = Camera.from_fov(320, 256, 1.5)
SCAN_EYES, SCAN_YAWS, SCAN_PITCHES = 6, 6, (-0.35, 0.3)
"""A procedural room is scanned from so many places all around, looking down a little and up a little."""
SCAN_CLEAR_M, START_CLEAR_M = 0.35, 0.3
LEAST_PX, LEAST_M = 250, 0.12
"""A thing may be asked for if the scan showed it in so many pixels in some frame, and it is so large."""
ACTORS = ("pedestrian", "box", "ball", "box")
ACTOR_COLOURS = ("red", "blue", "green", "yellow", "orange", "purple")
UP = np.array([0.0, 0.0, 1.0])

HOUSE_WORDS: dict[str, tuple[str, ...]] = {
    "AirconditionerA": ("air conditioner", "ac unit"), "AirconditionerB": ("air conditioner", "ac unit"), "Ball": ("ball",),
    "Bed": ("bed",), "NightStand": ("nightstand", "bedside table"), "ChairA": ("chair",), "ChairD": ("chair",),
    "Chandelier": ("chandelier",), "Carpet": ("carpet", "rug"), "SecurityCamera": ("security camera",),
    "CoffeeTable": ("coffee table",), "CookingBench": ("stove", "cooking bench"), "Curtain": ("curtain",),
    "KitchenTable": ("kitchen table",), "ReadingDesk": ("desk", "reading desk"), "BalconyTable": ("balcony table",),
    "Dumbbell": ("dumbbells", "weights"), "Tablet": ("tablet",), "FitnessEquipment": ("exercise machine", "fitness equipment"),
    "KitchenCabinet": ("kitchen cabinet", "kitchen cupboard"), "KitchenUtensils": ("kitchen utensils",),
    "LightC": ("light",), "Rangehood": ("range hood", "extractor hood"), "Refrigerator": ("fridge", "refrigerator"),
    "SeasoningBox": ("seasoning box",), "ShoeRack": ("shoe rack",), "SofaC": ("sofa", "couch"),
    "Tableware": ("tableware", "dishes"), "Trash": ("trash can", "bin"),
    "TV": ("tv", "television"), "TVCabinet": ("tv cabinet",), "Vase": ("vase",),
    "Wardrobe": ("wardrobe", "closet"), "RoomWindow": ("window",), "FoldingDoor": ("folding door",),
}  # fmt: skip
"""What people call the models of small_house; what is not here (walls, twenty pictures of four sizes) is not asked for."""
HOUSE_EYES = (
    (-4.0, 0.1, 1.2), (-4.7, -3.5, 1.2), (0.25, 1.45, 1.2), (2.3, 4.7, 1.2), (8.25, 2.0, 1.2), (6.3, -3.15, 1.2),
)  # fmt: skip
ROOM_WORDS: dict[str, tuple[str, ...]] = {
    "chair": ("chair",), "sofa": ("sofa", "couch"), "armchair": ("armchair",), "bed": ("bed",), "shelf": ("shelf", "bookcase"),
    "cabinet": ("cabinet", "cupboard"), "desk": ("desk",), "floor lamp": ("floor lamp",), "plant": ("plant",),
    "table": ("table",), "monitor": ("monitor",), "door": ("door",), "window": ("window",), "picture": ("picture", "painting"),
    "board": ("notice board",), "carpet": ("carpet", "rug"), "ceiling lamp": ("ceiling lamp", "ceiling light"),
    "book": ("book",), "cup": ("cup", "mug"), "vase": ("vase",), "bottle": ("bottle",), "ball": ("ball",), "photo": ("photo",),
    "box": ("box",), "paper": ("sheet of paper",), "pedestrian": ("person", "pedestrian"),
}  # fmt: skip
"""What the objects of procedural rooms and their actors are called. A "photo" is a picture that stands, and counts as one."""
SAME_KIND = {"photo": "picture"}


@dataclass(frozen=True)
class GroundPlace:
    """A place to ask in.

    Args:
        name: its own. memory: what is known of it. cast: what stands in it besides. room: what it really is.
        things: what it really holds. targets: names of what may be asked for. eyes: where the camera may start, world m.
    """

    name: str
    memory: Memory
    cast: Cast
    room: TrueRoom
    things: tuple[TrueThing, ...]
    targets: frozenset[str]
    eyes: tuple[Float64, ...]


def house(path: Path, config: WorldConfig) -> GroundPlace:
    """small_house as ``spatia seed`` makes a memory of it."""
    from spatia_ros.seed.mesh import seed_mesh

    memory_config = config.memory.model_copy(update={"voxel_m": max(config.memory.voxel_m, 0.02)})
    seeded = seed_mesh(path, memory_config, views=60)
    mesh, names = scene_glb.load(path), scene_glb.object_names(path)
    model = {name: name.split("_")[0] for name in names.values()}
    words = {name: HOUSE_WORDS[m] for name, m in model.items() if m in HOUSE_WORDS}
    things = true_things(mesh, names, words, {name: words[name][0] for name in words})
    targets = frozenset(t.name for t in things if np.linalg.norm(t.size) >= LEAST_M)
    eyes = tuple(np.array(eye) for eye in HOUSE_EYES)
    return GroundPlace("small_house", seeded.memory, Cast(), TrueRoom(mesh), tuple(things), targets, eyes)


def procedural(seed: int, config: WorldConfig) -> GroundPlace:
    """A procedural room with a few actors at rest, scanned by a camera that turns round at some places in it.

    Raises:
        SpatiaError: when it has no free places to scan it from.
    """
    from spatia_ros.train.scenes import random_scene

    rng = np.random.default_rng([seed, 0x6B0])
    scene = random_scene(rng, "room")
    eyes = _free_eyes(scene, rng)
    cast, actors, points = _actors(scene, eyes, rng)
    memory, shown = _scanned(scene, eyes[:SCAN_EYES], config)
    names = scene.mesh.names
    kind = {name: name.rsplit(" ", 1)[0] for name in names.values()}
    words = {name: ROOM_WORDS[kind[name]] for name in names.values() if kind[name] in ROOM_WORDS}
    things = true_things(scene.mesh, names, words, {name: SAME_KIND.get(kind[name], kind[name]) for name in words})
    seen = {names[number] for number, pixels in shown.items() if pixels >= LEAST_PX and number in names}
    targets = {t.name for t in things if t.name in seen and np.linalg.norm(t.size) >= LEAST_M} | {t.name for t in actors}
    room = TrueRoom(scene.mesh, points)
    return GroundPlace(f"room_{seed}", memory, cast, room, (*things, *actors), frozenset(targets), tuple(eyes))


def _free_eyes(scene: Scene, rng: np.random.Generator) -> list[Float64]:
    """Free places in a scene, each farthest from those before."""
    walk = scene.walk
    low, high = walk.areas[rng.integers(len(walk.areas), size=400)].transpose(1, 0, 2)
    local = rng.uniform(low, high)
    local[:, 2] = rng.uniform(1.1, 1.5, len(local))
    points = local @ walk.T_world_area[:3, :3].T + walk.T_world_area[:3, 3]
    points = points[scene.distance(points) >= SCAN_CLEAR_M]
    if len(points) < 3:
        raise SpatiaError("grounding: expected a room with free places, got one without")
    chosen, far = [points[0]], np.linalg.norm(points - points[0], axis=1)
    while len(chosen) < 2 * SCAN_EYES and far.max() > 0.4:
        chosen.append(points[int(far.argmax())])
        far = np.minimum(far, np.linalg.norm(points - chosen[-1], axis=1))
    return chosen


def _views(eyes: list[Float64]) -> Iterator[Float64]:
    for eye in eyes:
        for k in range(SCAN_YAWS):
            yaw = 2 * np.pi * k / SCAN_YAWS
            for pitch in SCAN_PITCHES:
                yield look_at(eye, eye + (np.cos(yaw), np.sin(yaw), np.tan(pitch)), UP)


def _scanned(scene: Scene, eyes: list[Float64], config: WorldConfig) -> tuple[Memory, dict[int, int]]:
    """A memory of labelled frames, and how many pixels of each object some frame showed at the most."""
    memory = Memory(config.memory.model_copy(update={"voxel_m": max(config.memory.voxel_m, 0.02), "max_range_m": 12.0}))
    memory.names.update(scene.mesh.names)
    shown: dict[int, int] = {}
    for i, T in enumerate(_views(eyes)):
        frame, ids = scene.render_with_ids(SCAN, T, i * 100_000_000)
        memory.integrate(frame, label=ids.astype(np.uint16))
        for number, pixels in zip(*np.unique(ids, return_counts=True), strict=True):
            shown[int(number)] = max(shown.get(int(number), 0), int(pixels))
    return memory, shown


def _actors(scene: Scene, eyes: list[Float64], rng: np.random.Generator) -> tuple[Cast, list[TrueThing], np.ndarray]:
    """Library actors at rest on free floor, with the truth about them and their points."""
    cast, things, points = Cast(), list[TrueThing](), list[np.ndarray]([np.zeros((0, 3), np.float32)])
    taken: list[Float64] = []
    colours = rng.permutation(np.array(ACTOR_COLOURS))
    grounds = {i: scene.below(eye) for i, eye in enumerate(eyes)}
    lowest = min((g for g in grounds.values() if g is not None), default=0.0)
    for kind, colour in zip(ACTORS, colours, strict=False):
        for i in range(len(eyes) - 1, 0, -1):
            eye, floor = eyes[i], grounds[i]
            # On the floor, not on a table; and not where another stands.
            if floor is None or floor > lowest + 0.02 or any(np.hypot(*(eye - t)[:2]) < 1.0 for t in taken):
                continue
            T = pose(_about_z(rng.uniform(0, 2 * np.pi)), np.array([eye[0], eye[1], floor + 0.01]))
            actor = library_actor(kind, "", PoseTrack.still(T), str(colour))
            surface = actor.body.points(0.0)
            above = surface.xyz[surface.xyz[:, 2] > floor + 0.08][::7]
            if float(scene.distance(above.astype(np.float64)).min()) < 0.08:
                continue
            number = cast.add(actor)
            low, high = surface.bounds()
            colour_share = shares_of(surface.rgb) | {str(colour): 1.0}
            name = cast.find(number).name
            things.append(TrueThing(name, kind, ROOM_WORDS[kind], low, high, colour_share, (), number))
            points.append(surface.xyz[::5])
            taken.append(eye)
            break
    return cast, things, np.concatenate(points)


def _about_z(angle: float) -> Float64:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
