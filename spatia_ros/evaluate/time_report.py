"""``spatia evaluate time-control``: places in, figures and pictures out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from spatia_ros.config import WorldConfig, dump
from spatia_ros.evaluate.footage import Footage
from spatia_ros.evaluate.measures import psnr
from spatia_ros.evaluate.pictures import strip
from spatia_ros.evaluate.time_control import (
    STAND_STILL,
    Filmed,
    Pipeline,
    camera_errors,
    figures_of,
    film,
    pooled,
    pooled_camera,
)
from spatia_ros.record.files import encode_png, write_bytes, write_json, write_text
from spatia_ros.types import UInt8

SHOWN = ("reverse", "ping-pong", "freeze", "bullet-time", "zigzag")
"""Patterns in a place's picture."""


def evaluate_time_control(
    places: Sequence[Callable[[], Footage]], pipelines: Mapping[str, Pipeline], config: WorldConfig, out_dir: Path, every: int = 2
) -> dict[str, Any]:
    """Measure pipelines in places, one after the other, and leave a picture and the figures of each.

    Args:
        places: each is made when its turn comes.
        pipelines: by name; the first is what is measured, others are given beside it.
        every: so-manieth poses of each target way are looked at.

    Returns:
        The figures, as docs/evaluation.md names them: those of the first pipeline, the others' under their names.
    """
    each: dict[str, list[dict[str, Any]]] = {name: [] for name in pipelines}
    cameras: dict[str, list[dict[str, Any]]] = {name: [] for name in (*pipelines, "truth")}
    listed: list[dict[str, Any]] = []
    for make in tqdm(places, desc="time control", unit="place"):
        filmed = film(make(), pipelines, every)
        said: dict[str, Any] = {"place": filmed.footage.name, "moving": _moving(filmed)}
        for k, name in enumerate(pipelines):
            figures, camera = figures_of(filmed, name), camera_errors(filmed, name)
            each[name].append(figures)
            cameras[name].append(camera["ours"])
            cameras["truth"] += [camera["truth"]] if k == 0 else []
            said[name] = pooled([figures]) | {"camera": pooled_camera([camera["ours"]])}
        listed.append(said)
        write_bytes(out_dir / f"{filmed.footage.name}.png", encode_png(picture(filmed)))
        write_json(out_dir / "places.json", listed)
    figures = _summary(each, cameras) | {"generator": config.generator.name, "places": [_brief(said, each) for said in listed]}
    write_json(out_dir / "figures.json", figures)
    write_text(out_dir / "config.yaml", dump(config))
    return figures


def _summary(each: Mapping[str, list[dict[str, Any]]], cameras: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    first, *others = each
    figures = pooled(each[first]) | {"camera": pooled_camera(cameras[first]) | {"truth": pooled_camera(cameras["truth"])}}
    return figures | {name: pooled(each[name]) | {"camera": pooled_camera(cameras[name])} for name in others}


def _brief(said: Mapping[str, Any], pipelines: Mapping[str, Any]) -> dict[str, Any]:
    """One place in a few numbers."""
    out: dict[str, Any] = {"place": said["place"], "moving": said["moving"]}
    for name in pipelines:
        mine = said[name]
        out[name] = mine["mean"] | {
            "time_ignored": mine["time_ignored"]["psnr"], "camera_only": mine["camera_only"]["psnr"],
            "rot_deg": mine["camera"]["rot_deg"], "trans_m": mine["camera"]["trans_m"],
        }
    return out


def _moving(filmed: Filmed) -> float:
    """Share of the target's pixels that show movers, as time goes forward."""
    return round(float(np.mean([t.moving.mean() for t in filmed.truth["forward"]])), 4)


def picture(filmed: Filmed) -> UInt8:
    """Truth, each pipeline and the controls of the first, at a moment of each pattern in which time matters."""
    first = next(iter(filmed.frames))
    rows = []
    for name in SHOWN:
        truth, still = filmed.truth[name], filmed.frames[first][STAND_STILL]
        away = np.abs(filmed.animation_s[name] - filmed.animation_s["forward"])
        k = int(np.argmax(np.minimum(away, filmed.animation_s[name])))
        row = [(truth[k].frame.rgb, f"{name}, {filmed.animation_s[name][k]:.2f} s")]
        pictures = [frames[name][k] for frames in filmed.frames.values()]
        for rgb in (*pictures, filmed.frames[first]["forward"][k], still[k]):
            row.append((rgb, f"{psnr(rgb, truth[k].frame.rgb):.1f} dB"))
        error = np.abs(pictures[0].astype(int) - truth[k].frame.rgb)
        row.append((np.clip(3 * error, 0, 255).astype(np.uint8), "error x 3"))
        rows.append(row)
    return strip(["truth", *filmed.frames, f"{first}: camera only", f"{first}: time ignored", f"{first}: error"], rows)
