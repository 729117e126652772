"""Making the gallery's films in a folder: what is there and was made from the same is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from spatia_ros.actors import script
from spatia_ros.cli.place import place_of_memory
from spatia_ros.config import CameraConfig, WorldConfig, dump
from spatia_ros.gallery import compose, places
from spatia_ros.gallery.film import Film
from spatia_ros.gallery.places import PLACES
from spatia_ros.gallery.shoot import Change, Shot, shoot
from spatia_ros.record.files import encode_jpeg, encode_png, write_bytes, write_json, write_text
from spatia_ros.record.poses import write_poses
from spatia_ros.record.video import write_video
from spatia_ros.sequence.w2c import read_camera_path
from spatia_ros.types import Camera, SpatiaError, Trajectory, UInt8
from spatia_ros.world import open_generator

Each = Callable[[Iterable[Any], str, int], Iterable[Any]]
"""Passes things on and may show how far it is: the things, what is being done, how many."""
HFOV_RAD = 1.15
VIDEO, STRIP, POSTER, FACTS, CAMERA = "film.mp4", "strip.png", "strip.jpg", "film.json", "camera.txt"


def scripts_folder() -> Path:
    """Where the scripts of the gallery are: config/gallery, beside the package or in its share.

    Raises:
        SpatiaError: when it is in neither place.
    """
    for parent in Path(__file__).resolve().parents:
        for folder in (parent / "config" / "gallery", parent / "share" / "spatia_ros" / "config" / "gallery"):
            if folder.is_dir():
                return folder
    raise SpatiaError("config/gallery: expected it beside the package or in share/spatia_ros, found it in neither")


class Studio:
    """Makes films.

    Args:
        out: the gallery's folder. config: what the films are made with; the camera's focal length is the gallery's own.
        each: for progress bars. change: makes an edit of a place.
    """

    def __init__(self, out: Path, config: WorldConfig, each: Each, change: Change) -> None:
        camera = Camera.from_fov(config.camera.width_px, config.camera.height_px, HFOV_RAD)
        framed = CameraConfig(
            width_px=camera.width, height_px=camera.height, fx_px=camera.fx, fy_px=camera.fy, cx_px=camera.cx, cy_px=camera.cy
        )
        self.config = config.model_copy(update={"camera": framed})
        self.out, self.each, self.change = out, each, change

    def place_config(self, film: Film) -> WorldConfig:
        """The configuration of a film's place."""
        return PLACES[film.place].config(self.config)

    def config_file(self, film: Film) -> Path:
        """The configuration of a film's place, as ``--config`` takes it."""
        return self.out / "places" / f"{film.place}.yaml"

    def memory_file(self, film: Film) -> Path:
        """A film's place as a memory."""
        return self.out / "places" / f"{film.place}.spatia"

    def facts(self, film: Film) -> dict[str, Any] | None:
        """What is known of a film that is there; None where it is not, or was made from something else."""
        folder = self.out / film.name
        if not all((folder / name).is_file() for name in (VIDEO, STRIP, POSTER, FACTS)):
            return None
        try:
            facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        except ValueError:
            return None
        mine = isinstance(facts, dict) and facts.get("made_from") == self.identity(film)
        return dict(facts) if mine else None

    def identity(self, film: Film) -> str:
        """A word for all that decides a film's pixels."""
        told = [asdict(film), [self.script_text(take.script) for take in film.takes], dump(self.place_config(film))]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()

    def script_text(self, name: str) -> str:
        """A script of the gallery."""
        return (scripts_folder() / f"{name}.yaml").read_text(encoding="utf-8")

    def make(self, film: Film) -> dict[str, Any]:
        """Make a film and everything beside it; returns what is known of it."""
        folder, config = self.out / film.name, self.place_config(film)
        self._place(film, config)
        place = place_of_memory(self.memory_file(film), config)
        for take in film.takes:
            write_text(folder / f"{take.script}.yaml", self.script_text(take.script))
        casts = [script.load(folder / f"{take.script}.yaml") for take in film.takes]
        world = place.world(place.effective(config), open_generator(config))
        trajectory = self._path(film, folder, world.start_ns)
        takes: list[list[Shot]] = [[] for _ in film.takes]
        frames = shoot(world, film, casts, trajectory, self.change)
        for number, shot in self.each(frames, film.name, len(film.takes) * len(trajectory)):
            takes[number].append(shot)
        moments = list(zip(*takes, strict=True))
        self._write(film, folder, moments)
        facts = {"made_from": self.identity(film)} | figures(film, moments)
        write_json(folder / FACTS, facts)
        return facts

    def _place(self, film: Film, config: WorldConfig) -> None:
        """Scan a film's place, unless it is there and was scanned for the same memory."""
        file, note = self.memory_file(film), self.out / "places" / f"{film.place}.json"
        made_from = {"memory": config.memory.model_dump(), "scanner": asdict(places.SCANNER)}
        known = json.loads(note.read_text(encoding="utf-8")) if note.is_file() and file.is_file() else None
        if known != json.loads(json.dumps(made_from)):
            memory = PLACES[film.place].memory(self.config, lambda frames, what, n: self.each(frames, f"{what} {film.place}", n))
            file.parent.mkdir(parents=True, exist_ok=True)
            memory.save(file, exact=True)
            write_json(note, made_from)
        write_text(self.config_file(film), dump(config))

    def _path(self, film: Film, folder: Path, start_ns: int) -> Trajectory:
        """The camera's way as its file has it, so that the same file gives the same frames."""
        rate = self.config.frame_rate_hz
        write_poses(folder / CAMERA, film.trajectory(start_ns, rate))
        return read_camera_path(folder / CAMERA, rate, start_ns)

    def _write(self, film: Film, folder: Path, moments: list[tuple[Shot, ...]]) -> None:
        names = [take.name for take in film.takes]
        pictures: Iterator[UInt8] = (compose.moment(shots, names, film.title) for shots in moments)
        write_video(folder / VIDEO, pictures, self.config.frame_rate_hz)
        strip = compose.strip([moments[k] for k in film.moments(len(moments))], names)
        write_bytes(folder / STRIP, encode_png(strip))
        write_bytes(folder / POSTER, encode_jpeg(strip))


def figures(film: Film, moments: list[tuple[Shot, ...]]) -> dict[str, Any]:
    """Of a film: frames; of two takes, what differs; of edits, how like itself the place is when the camera is back."""
    out: dict[str, Any] = {"frames": len(moments)}
    if len(film.takes) == 2:
        out["differing_share"] = round(float(np.mean([compose.differing(a, b).mean() for a, b in moments])), 5)
        out["differing_without_actor_px"] = sum(compose.stray(a, b) for a, b in moments)
    if film.returns_s:
        at_s = np.array([shots[0].at_s for shots in moments])
        first, last = (int(np.abs(at_s - s).argmin()) for s in film.returns_s)
        out["return_psnr_db"] = round(compose.likeness_db(moments[first][0], moments[last][0]), 1)
    return out
