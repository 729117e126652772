"""Clips on disk: numbered shards, each a ZIP of PNGs and one JSON index, written at once and whole.

A clip is read alone, without the rest of its shard: a set is never in memory. Nothing is pickled; the pictures can be
looked at with any viewer. Colours are 8 bit, depths float16 (its bits as 16-bit grey), both without loss.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import cv2
import numpy as np

from spatia_ros.memory import Keyframe
from spatia_ros.train.clips import Clip, Sight
from spatia_ros.types import Camera, Doubted, Float32, Frame, SpatiaError, View

VERSION = 2
MAX_SHARD_BYTES = 1 << 30
MAX_INDEX_BYTES = 1 << 24
AGE_STEP_S = 0.1
"""Ages are kept to this, up to 25.5 s."""
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1)
_DATE = (2000, 1, 1, 0, 0, 0)
"""One date for all, so that equal clips are equal files."""


def shard_path(folder: Path, source: str, number: int) -> Path:
    """``folder/source-00012.zip``."""
    return folder / f"{source}-{number:05d}.zip"


def write_shard(path: Path, runs: Sequence[Sequence[Clip]]) -> None:
    """Write runs of clips (those of a run share their sights), all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with ZipFile(partial, "w") as file:
        index = {"version": VERSION, "runs": [_write_run(file, f"r{r}", clips) for r, clips in enumerate(runs)]}
        _put(file, "index.json", json.dumps(index).encode(), ZIP_DEFLATED)
    os.replace(partial, path)


def clips_in(path: Path) -> list[tuple[int, int]]:
    """Run and number of every clip of a shard.

    Raises:
        SpatiaError: when the file is not a shard.
    """
    with _opened(path) as file:
        return [(r, c) for r, run in enumerate(_index(path, file)["runs"]) for c in range(len(run["clips"]))]


def read_clip(path: Path, run: int, number: int, frames: int | None = None, context: int | None = None) -> Clip:
    """One clip of a shard; of its sights only those it needs are read.

    Args:
        frames, context: only the first so many frames and context frames; None: all.

    Raises:
        SpatiaError: when the file is not a shard, or has no such clip.
    """
    with _opened(path) as file:
        try:
            said = _index(path, file)["runs"][run]
            return _read_clip(file, f"r{run}", f"c{number}", said, _first(said["clips"][number], frames, context))
        except (KeyError, IndexError, ValueError, TypeError, BadZipFile, cv2.error) as error:
            raise SpatiaError(f"shard {path}: clip {run}/{number} cannot be read ({error}); delete it and build again") from None


def _write_run(file: ZipFile, name: str, clips: Sequence[Clip]) -> dict[str, Any]:
    sights = clips[0].sights
    for k, sight in enumerate(sights):
        key = sight.keyframe
        _image(file, f"{name}/s{k}.rgb", key.rgb)
        _image(file, f"{name}/s{k}.depth", _halves(key.depth))
        none = np.zeros(key.depth.shape, bool)
        masked, moves = (none if each is None else each for each in (key.masked, sight.moves))
        _image(file, f"{name}/s{k}.mask", (key.sensed * 1 + masked * 2 + moves * 4).astype(np.uint8))
    for c, clip in enumerate(clips):
        _write_frames(file, f"{name}/c{c}", clip)
    return {"sights": [_said_of_sight(s) for s in sights], "clips": [_said_of_clip(clip) for clip in clips]}


def _write_frames(file: ZipFile, name: str, clip: Clip) -> None:
    def tall(images: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate(images)

    _image(file, f"{name}.view_rgb", tall([v.rgb for v in clip.views]))
    _image(file, f"{name}.view_depth", _halves(tall([v.depth for v in clip.views])))
    _image(file, f"{name}.view_sensed", (tall([v.sensed for v in clip.views]) * 255 + 0.5).astype(np.uint8))
    _image(file, f"{name}.view_age", np.clip(tall([v.age_s for v in clip.views]) / AGE_STEP_S, 0, 255).astype(np.uint8))
    doubted = [v.doubted or _none_doubted(v) for v in clip.views]
    _image(file, f"{name}.doubted_rgb", tall([d.rgb for d in doubted]))
    _image(file, f"{name}.doubted_depth", _halves(tall([d.depth for d in doubted])))
    _image(file, f"{name}.truth_rgb", tall([t.rgb for t in clip.targets]))
    _image(file, f"{name}.truth_depth", _halves(tall([t.depth for t in clip.targets])))
    moving, swept = (tall(list(each)).astype(np.uint8) for each in (clip.moving, clip.swept))
    _image(file, f"{name}.moving", moving + 2 * swept)


def _none_doubted(view: View) -> Doubted:
    return Doubted(np.zeros_like(view.rgb), np.zeros_like(view.depth))


def _said_of_sight(sight: Sight) -> dict[str, Any]:
    key = sight.keyframe
    return {
        "camera": _row(key.camera), "pose": key.T_world_cam.tolist(), "stamp_ns": int(key.stamp_ns),
        "animation_s": sight.animation_s, "moving": sight.moving,
    }


def _said_of_clip(clip: Clip) -> dict[str, Any]:
    return {
        "frames": len(clip), "camera": _row(clip.targets[0].camera), "poses": [t.T_world_cam.tolist() for t in clip.targets],
        "stamps_ns": [int(t.stamp_ns) for t in clip.targets],
        "animation_s": None if clip.animation_s is None else clip.animation_s.tolist(),
        "retrieved": [list(each) for each in clip.retrieved], "context": list(clip.context), "prompt": clip.prompt,
        "boxes": None if clip.boxes is None else [None if np.isnan(b).any() else b.tolist() for b in clip.boxes],
    }


def _first(of: dict[str, Any], frames: int | None, context: int | None) -> dict[str, Any]:
    """What is said of a clip, of its first frames and context frames alone."""
    per_frame = {name: of[name] and of[name][:frames] for name in ("poses", "stamps_ns", "animation_s", "retrieved", "boxes")}
    return of | per_frame | {"context": of["context"][:context]}


def _read_clip(file: ZipFile, run: str, name: str, said: dict[str, Any], of: dict[str, Any]) -> Clip:
    needed = sorted({*of["context"], *chain.from_iterable(of["retrieved"])})
    place = {k: i for i, k in enumerate(needed)}
    camera = _camera(of["camera"])

    def frames(kind: str) -> list[np.ndarray]:
        return np.split(_load(file, f"{run}/{name}.{kind}"), of["frames"])[: len(of["poses"])]

    depths = [_metres(d) for d in frames("view_depth")]
    ages = [a.astype(np.float32) * np.float32(AGE_STEP_S) for a in frames("view_age")]
    sensed = [s.astype(np.float32) / np.float32(255.0) for s in frames("view_sensed")]
    doubted = [
        Doubted(rgb, depth) if depth.any() else None
        for rgb, depth in zip(frames("doubted_rgb"), [_metres(d) for d in frames("doubted_depth")], strict=True)
    ]
    shown = zip(frames("view_rgb"), depths, [d > 0 for d in depths], sensed, ages, doubted, strict=True)
    views = tuple(View(*each) for each in shown)
    targets = tuple(
        Frame(rgb, _metres(depth), camera, np.array(pose), stamp)
        for rgb, depth, pose, stamp in zip(frames("truth_rgb"), frames("truth_depth"), of["poses"], of["stamps_ns"], strict=True)
    )
    boxes = None if of["boxes"] is None else np.array([b or [np.nan] * 4 for b in of["boxes"]])
    moving = np.stack(frames("moving"))
    return Clip(
        views, targets, None if of["animation_s"] is None else np.array(of["animation_s"]),
        tuple(tuple(place[k] for k in each) for each in of["retrieved"]), tuple(place[k] for k in of["context"]),
        tuple(_read_sight(file, f"{run}/s{k}", said["sights"][k]) for k in needed),
        of["prompt"], boxes, (moving & 1) > 0, moving > 0,
    )


def _read_sight(file: ZipFile, name: str, said: dict[str, Any]) -> Sight:
    mask = _load(file, f"{name}.mask")
    masked, moves = (mask & 2) > 0, (mask & 4) > 0
    key = Keyframe(
        _load(file, f"{name}.rgb"), _metres(_load(file, f"{name}.depth")), (mask & 1) > 0, _camera(said["camera"]),
        np.array(said["pose"]), said["stamp_ns"], masked if masked.any() else None,
    )
    return Sight(key, said["animation_s"], said["moving"], moves if moves.any() else None)


def _opened(path: Path) -> ZipFile:
    try:
        if path.stat().st_size > MAX_SHARD_BYTES:
            raise SpatiaError(f"shard {path}: expected at most {MAX_SHARD_BYTES} bytes, got {path.stat().st_size}")
        return ZipFile(path)
    except (OSError, BadZipFile) as error:
        raise SpatiaError(f"shard {path}: not a shard of clips ({error}); delete it and build again") from None


def _index(path: Path, file: ZipFile) -> dict[str, Any]:
    try:
        if file.getinfo("index.json").file_size > MAX_INDEX_BYTES:
            raise SpatiaError(f"shard {path}: expected an index of at most {MAX_INDEX_BYTES} bytes")
        index: dict[str, Any] = json.loads(file.read("index.json"))
        version = index["version"]
    except (KeyError, ValueError, TypeError, BadZipFile) as error:
        raise SpatiaError(f"shard {path}: not a shard of clips ({error}); delete it and build again") from None
    if version != VERSION:
        raise SpatiaError(f"shard {path}: expected version {VERSION}, got {version}; delete it and build again")
    return index


def _put(file: ZipFile, name: str, data: bytes, how: int = ZIP_STORED) -> None:
    info = ZipInfo(name, _DATE)
    info.compress_type = how
    file.writestr(info, data)


def _image(file: ZipFile, name: str, image: np.ndarray) -> None:
    done, data = cv2.imencode(".png", image[..., ::-1] if image.ndim == 3 else image, _PNG)
    if not done:
        raise SpatiaError(f"shard: {name} of shape {list(image.shape)} cannot be written as PNG")
    _put(file, f"{name}.png", data.tobytes())


def _load(file: ZipFile, name: str) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(file.read(f"{name}.png"), np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError(f"{name} is not a picture")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB) if image.ndim == 3 else image


def _halves(depth: Float32) -> np.ndarray:
    return depth.astype(np.float16).view(np.uint16)


def _metres(image: np.ndarray) -> Float32:
    return np.ascontiguousarray(image).view(np.float16).astype(np.float32)


def _row(camera: Camera) -> list[float]:
    return [camera.width, camera.height, camera.fx, camera.fy, camera.cx, camera.cy]


def _camera(row: Sequence[float]) -> Camera:
    return Camera(int(row[0]), int(row[1]), *row[2:])
