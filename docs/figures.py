"""Draws the figures of docs/memory.md, all from the built-in room and corridor, by the code they explain.

    python docs/figures.py                    # into docs/images, minutes
    python docs/figures.py --out DIR --width 64 --only belief
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from spatia_ros import geometry
from spatia_ros.config import MemoryConfig, WorldConfig, override
from spatia_ros.evaluate.loop_scene import drifted, ring, round_path
from spatia_ros.memory import Memory, belief
from spatia_ros.memory.blocks import BLOCK_SIDE, CHUNK_SIDE
from spatia_ros.memory.exposure import evened, exposed
from spatia_ros.memory.keyframes import intrinsics_of
from spatia_ros.memory.memory import WITNESSES
from spatia_ros.record.files import encode_jpeg, write_bytes
from spatia_ros.record.map_picture import Journey, draw_map
from spatia_ros.record.panels import BACKGROUND, TEXT, enlarged, font
from spatia_ros.record.plan import draw_plan
from spatia_ros.slam.dynamics import StaticDynamic
from spatia_ros.slam.mapper import Mapper
from spatia_ros.train.scan import DEPTH_CAMERA, builtin_path, builtin_room, scan
from spatia_ros.train.scene import Scene
from spatia_ros.train.scene_moving import MovingScene
from spatia_ros.train.sensor import observe
from spatia_ros.types import Camera, Float64, Frame, UInt8

UP = np.array([0.0, 0.0, 1.0])
PANEL_HEIGHT, GAP, CAPTION, QUALITY = 300, 6, 28, 82
HELD, TEAL = np.array((222, 84, 150)), (64, 186, 160)
PERIOD_NS = 100_000_000


class Studio:
    """The built-in room and its scan, made once for all figures.

    Args:
        width: of the camera, px. share: of the frames that the full-size figures are made from.
    """

    def __init__(self, width: int, share: float) -> None:
        self.camera, self.share = Camera.from_fov(width, width * 3 // 4, 1.2), share
        self.config = MemoryConfig(voxel_m=0.01 if width >= 200 else 0.04)
        self.scene: Scene = builtin_room()
        n = self.frames_of(40)
        self.scan = scan(self.scene, self.camera, n, np.random.default_rng(7), path=builtin_path(n))

    def frames_of(self, full: int) -> int:
        """How many frames stand for ``full`` of them at this size."""
        return max(6, round(full * self.share))

    def memory(self, frames: Sequence[Frame], **changed: object) -> Memory:
        """A memory of frames, with some of its configuration changed."""
        memory = Memory(self.config.model_copy(update=changed))
        for frame in frames:
            memory.integrate(frame)
        return memory

    def film(self, scene: MovingScene, steps: Sequence[Float64 | None], eye: Float64, target: Float64) -> list[Frame]:
        """A camera that sways a little while an object is placed elsewhere in each frame (None: taken away)."""
        rng, frames = np.random.default_rng(3), []
        for k, displacement in enumerate(steps):
            scene.place(displacement)
            sway = np.array([0.03 * np.sin(0.5 * k), 0.03 * np.cos(0.4 * k), 0.0])
            T = geometry.look_at(eye + sway, target, UP)
            frames.append(observe(scene.render(self.camera, T, k * PERIOD_NS), DEPTH_CAMERA, rng))
        return frames


def exposure(studio: Studio) -> UInt8:
    """A camera that brightens and darkens by two stops: what a map is like without and with exposures made even."""
    swing = 2.0 * np.log(2.0) * np.sin(1.9 * np.arange(len(studio.scan)))
    white = 0.1 * np.log(2.0) * np.sin(np.outer(np.arange(len(studio.scan)), (1.0, 0.0, 1.6)))
    changes = swing[:, None] + white
    taken = [replace(f, rgb=exposed(f.rgb, c)) for f, c in zip(studio.scan, changes - changes[0], strict=True)]
    as_is, even = studio.memory(taken), studio.memory([])
    for frame in taken:
        even.integrate(evened(frame, even))
    k = len(taken) // 2
    T = studio.scan[k].T_world_cam.copy()
    T[:3, 3] -= 0.8 * T[:3, 2]
    dark, *_, bright = sorted(taken[k - 2 : k + 3], key=lambda frame: float(frame.rgb.mean()))
    return strip([
        (dark.rgb, "a frame as it was taken"), (bright.rgb, "another"),
        (as_is.render(studio.camera, T, 0).rgb, "all folded in as they are"),
        (even.render(studio.camera, T, 0).rgb, "in one exposure"),
    ])  # fmt: skip


def voxels(studio: Studio) -> UInt8:
    """Points from above with blocks and chunks, and what coarser levels of detail show."""
    memory = studio.memory(studio.scan)
    points, T, voxel_m = memory.points(), studio.scan[len(studio.scan) // 4].T_world_cam, studio.config.voxel_m
    block_m = BLOCK_SIDE * voxel_m
    panels = [(_grid(memory), f"from above: blocks of {100 * block_m:g} cm, chunks of {block_m * CHUNK_SIDE:g} m")]
    for level in (0, 2, 4):
        coarse = Memory(studio.config.model_copy(update={"voxel_m": min(voxel_m * 2**level, 1.0), "warp_keyframes": 0}))
        coarse.add_points(points)
        view = coarse.render(studio.camera, T, 0)
        panels.append((view.rgb, f"level {level}: {len(coarse):,} points of {100 * coarse.config.voxel_m:g} cm"))
    return strip(panels)


def _grid(memory: Memory) -> UInt8:
    points = memory.points()
    plan = draw_plan(points.xyz, points.rgb, memory.config.voxel_m, UP, np.array([[2.0, 2.0, 1.4]]), side_px=900)
    picture = (plan.rgb * 0.75).astype(np.uint8)
    block_m = memory.config.voxel_m * BLOCK_SIDE
    for side_m, colour, width in ((block_m, (90, 100, 110), 1), (block_m * CHUNK_SIDE, TEAL, 3)):
        for k in range(-2, int(7 / side_m) + 1):
            for axis in (0, 1):
                ends = np.zeros((2, 3))
                ends[:, axis], ends[:, 1 - axis] = k * side_m, (-1.0, 7.0)
                a, b = (tuple(int(v) for v in p) for p in np.round(plan.pixels(ends)))
                cv2.line(picture, a, b, colour, width, cv2.LINE_AA)
    return picture


def keyframes(studio: Studio) -> UInt8:
    """The voxels alone, textured by keyframes, and what is really there; from between the recorded poses."""
    a, b = (studio.scan[i].T_world_cam for i in (len(studio.scan) // 5, len(studio.scan) // 5 + 1))
    T = geometry.pose(a[:3, :3], (a[:3, 3] + b[:3, 3]) / 2)
    plain, textured = studio.memory(studio.scan, warp_keyframes=0), studio.memory(studio.scan)
    lent = f"textured from {studio.config.warp_keyframes} of {len(textured.keyframes)} keyframes"
    return strip([
        (plain.render(studio.camera, T, 0).rgb, "voxels alone"), (textured.render(studio.camera, T, 0).rgb, lent),
        (studio.scene.render(studio.camera, T).rgb, "the room"),
    ])  # fmt: skip


def belief_in_surfaces(studio: Studio) -> UInt8:
    """A view past what was scanned: surfaces remembered far behind space that nobody looked into."""
    seen = studio.scan[: len(studio.scan) // 2]
    memory, believes_all = studio.memory(seen), studio.memory(seen, max_unknown_ray=1.0)
    T = _doubtful(studio, memory)
    view, whole = memory.render(studio.camera, T, 0), believes_all.render(studio.camera, T, 0)
    shared = memory.keyframes.overlap(whole.depth, studio.camera, T)
    asked = memory.keyframes.measured_grids(memory.keyframes.rank(shared, T)[:WITNESSES])
    share = belief.unknown_ray_share(whole.depth, whole.sensed, intrinsics_of(studio.camera), belief.witnesses(*asked, T))
    # The answer is kept in squares of a few pixels.
    share = cv2.resize(np.asarray(share, np.float32), whole.depth.shape[::-1], interpolation=cv2.INTER_NEAREST)
    heat = cv2.applyColorMap((255 * np.clip(share, 0, 1)).astype(np.uint8), cv2.COLORMAP_INFERNO)[..., ::-1].copy()
    heat[~whole.coverage] = BACKGROUND
    return strip([
        (whole.rgb, "every point that was ever seen"), (heat, "share of the way there that nobody saw to be empty"),
        (view.rgb, "believed"), (studio.scene.render(studio.camera, T).rgb, "the room"),
    ])  # fmt: skip


def _doubtful(studio: Studio, memory: Memory) -> Float64:
    """Of some poses in the unscanned half of the room, the one where belief makes most difference."""
    best, T_best = -1.0, np.eye(4)
    for x, y in ((4.6, 3.6), (4.6, 1.2), (3.4, 3.9), (0.7, 3.9), (4.9, 2.4)):
        T = geometry.look_at(np.array([x, y, 1.45]), np.array([2.6, 1.4, 0.8]), UP)
        doubted = belief_share(memory, studio.camera, T)
        if doubted > best:
            best, T_best = doubted, T
    return T_best


def belief_share(memory: Memory, camera: Camera, T: Float64) -> float:
    """Share of the picture that is drawn and not believed."""
    credulous = Memory(memory.config.model_copy(update={"max_unknown_ray": 1.0}))
    credulous.restore(memory.snapshot())
    return float(credulous.render(camera, T, 0).coverage.mean() - memory.render(camera, T, 0).coverage.mean())


def chair_of(studio: Studio) -> tuple[MovingScene, Float64, Float64]:
    """The room with its chair free to move, and a camera position that sees the chair from the side: (scene, eye, target)."""
    eye, target = np.array([3.4, 3.9, 1.5]), np.array([3.9, 1.9, 0.55])
    small = Camera.from_fov(64, 48, 1.2)
    ids = studio.scene.render_ids(small, geometry.look_at(eye, np.array([3.9, 2.1, 0.5]), UP))
    numbers, counts = np.unique(ids[14:34, 22:42], return_counts=True)
    floor = np.unique(ids[-3:])
    object_number = next(int(n) for n in numbers[np.argsort(-counts)] if n >= 0 and n not in floor)
    return MovingScene(studio.scene, [object_number]), eye, target


def carving(studio: Studio) -> UInt8:
    """A chair is taken away: the frames after see through where it stood."""
    scene, eye, target = chair_of(studio)
    there, gone = studio.frames_of(6), studio.frames_of(10)
    frames = studio.film(scene, [np.eye(4)] * there + [None] * gone, eye, target)
    memory = studio.memory(frames[:there])
    before = memory.render(studio.camera, frames[-1].T_world_cam, 0).rgb
    memory.integrate(frames[there])
    first = memory.render(studio.camera, frames[-1].T_world_cam, 0).rgb
    carved = sum(memory.integrate(frame)["carved"] for frame in frames[there + 1 :])
    after = memory.render(studio.camera, frames[-1].T_world_cam, 0).rgb
    said = f"after {gone} frames of the room without it: {carved:,} points carved"
    return strip([(before, f"after {there} frames with a chair"), (first, "after one frame without"), (after, said)])


def movers(studio: Studio) -> UInt8:
    """A chair slides through the room: what a map keeps of it without and with the split."""
    scene, eye, target = chair_of(studio)
    ways = np.linspace(-0.7, 0.0, studio.frames_of(24))
    steps = [geometry.pose(np.eye(3), np.array([x, 0.0, 0.0])) for x in ways]
    frames = studio.film(scene, [None] * 4 + steps, eye, target)
    config, split = WorldConfig().dynamics, None
    dynamics, apart, together = StaticDynamic(config), *(studio.memory([], warp_keyframes=0) for _ in range(2))
    for frame in frames:
        split = dynamics.split(frame, apart)
        apart.integrate(frame, mask=split.static)
        together.integrate(frame)
    assert split is not None
    tinted = np.where(split.static[..., None], frames[-1].rgb, 0.5 * frames[-1].rgb + 0.5 * HELD).astype(np.uint8)
    T = frames[-1].T_world_cam
    return strip([
        (frames[-1].rgb, "a chair that slides in"), (tinted, "held back"),
        (together.render(studio.camera, T, 0).rgb, "voxels, everything folded in"),
        (apart.render(studio.camera, T, 0).rgb, "voxels, split"),
    ])  # fmt: skip


def loop(studio: Studio) -> UInt8:
    """Round a block with a drift of 2 %: the map as reckoned, and after its loop was closed."""
    rng = np.random.default_rng(0)
    scene, T = ring(rng), round_path(0.2 if studio.share >= 1.0 else 1.5)
    reckoned = drifted(T, rng, ratio=0.02)
    config = override(WorldConfig(), ["memory.voxel_m=0.03", "loops.correct_given=true", "dynamics.enabled=false"])
    mapper = Mapper(config, studio.camera, poses="given")
    plain = Memory(config.memory)
    images = []
    for k, (T_true, T_given) in enumerate(zip(T, reckoned, strict=True)):
        frame = observe(scene.render(studio.camera, T_true, k * PERIOD_NS), DEPTH_CAMERA, rng)
        images.append((frame.rgb, frame.depth))
        plain.integrate(Frame(frame.rgb, frame.depth, studio.camera, T_given, frame.stamp_ns))
        mapper.observe(frame.rgb, frame.depth, frame.stamp_ns, T_given)
    mapped = mapper.finish(lambda k: images[k])
    at = np.array(mapped.loops, np.int64).reshape(-1, 2) // PERIOD_NS
    found = mapped.trajectory.T_world_cam
    pictures, R = [], None
    for memory, poses, loops, title in (
        (plain, reckoned, at[:0], "as reckoned, 2 % drift"), (mapped.memory, found, at, f"{len(at)} loops closed"),
    ):  # fmt: skip
        points = memory.points()
        plan = draw_plan(points.xyz, points.rgb, memory.config.voxel_m, UP, poses[:, :3, 3], side_px=620, axes=R)
        R, eyes = plan.R_plan_world, np.ascontiguousarray(poses[:, :3, 3])
        pictures.append(draw_map(plan, Journey(eyes, loops=eyes[loops], true_path=np.ascontiguousarray(T[:, :3, 3])), title))
    height = max(picture.shape[0] for picture in pictures)
    return np.concatenate([_padded(picture, height) for picture in pictures], 1)


def _padded(picture: UInt8, height: int) -> UInt8:
    pads = ((0, height - picture.shape[0]), (0, GAP), (0, 0))
    return np.stack([np.pad(picture[..., k], pads[:2], constant_values=BACKGROUND[k]) for k in range(3)], -1)


def strip(panels: Sequence[tuple[UInt8, str]]) -> UInt8:
    """Pictures side by side with a caption under each."""
    columns = []
    for picture, text in panels:
        shown = enlarged(picture, PANEL_HEIGHT)
        column = Image.new("RGB", (shown.shape[1] + GAP, PANEL_HEIGHT + CAPTION), BACKGROUND)
        column.paste(Image.fromarray(shown), (0, 0))
        draw = ImageDraw.Draw(column)
        size = next((s for s in (14, 13, 12, 11, 10) if draw.textlength(text, font=font(s)) <= shown.shape[1]), 9)
        draw.text((2, PANEL_HEIGHT + 6), text, fill=TEXT, font=font(size))
        columns.append(np.asarray(column))
    return np.concatenate(columns, 1)


FIGURES = {
    "exposure": exposure, "voxels": voxels, "keyframes": keyframes, "belief": belief_in_surfaces, "carving": carving,
    "movers": movers, "loop": loop,
}  # fmt: skip


def draw_all(figures: Mapping[str, Callable[[Studio], UInt8]], prefix: str, told: str, argv: Sequence[str] | None) -> None:
    """The command of a page's figures: draw those asked for, as ``PREFIX_NAME.jpg``."""
    parser = argparse.ArgumentParser(description=told.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images", metavar="DIR")
    parser.add_argument("--width", type=int, default=320, help="of the simulated camera, px; fewer frames are drawn below 200")
    parser.add_argument("--only", choices=figures, action="append", help="this figure; may be repeated (default: all)")
    args = parser.parse_args(argv)
    studio = Studio(args.width, 1.0 if args.width >= 200 else 0.2)
    for name in args.only or figures:
        write_bytes(args.out / f"{prefix}_{name}.jpg", encode_jpeg(figures[name](studio), QUALITY))


def main(argv: Sequence[str] | None = None) -> None:
    """Draw the figures asked for."""
    draw_all(FIGURES, "memory", __doc__ or "", argv)


if __name__ == "__main__":
    main()
