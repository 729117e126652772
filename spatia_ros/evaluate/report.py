"""One page that holds all measures of a world: figures, curves, pictures, and what papers report beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
from markupsafe import Markup

from spatia_ros.config import WorldConfig, dump
from spatia_ros.evaluate import published
from spatia_ros.evaluate.ablation import evaluate_ablation
from spatia_ros.evaluate.camera import evaluate_camera
from spatia_ros.evaluate.closed_loop import evaluate_closed_loop
from spatia_ros.evaluate.long_horizon import CLIPS, evaluate_long_horizon
from spatia_ros.evaluate.novel_view import METHODS, evaluate_novel_view
from spatia_ros.evaluate.prepare import DepthDelay
from spatia_ros.evaluate.tsed import GAPS, THRESHOLDS_PX, evaluate_tsed
from spatia_ros.record.chart import line_chart
from spatia_ros.record.files import encode_jpeg, write_json, write_text
from spatia_ros.record.report import Page, inline, rendered
from spatia_ros.sequence import Sequence as Recording
from spatia_ros.types import SpatiaError

MEASURES = ("novel_view", "closed_loop", "long_horizon", "camera", "tsed", "ablation")
Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One measure on the page.

    Args:
        title, text: what it asks and how. columns, rows: our figures. charts: heading and SVG. pictures: the strip, as ``data:``.
        beside: what papers report: source, columns, rows; differs: in what the protocols are not alike.
    """

    title: str
    text: str
    columns: Row
    rows: Sequence[Row]
    charts: Sequence[tuple[str, Markup]] = ()
    pictures: Markup | None = None
    beside: tuple[str, Row, Sequence[Row]] | None = None
    differs: str = ""


def evaluate_report(
    sequence: Recording, config: WorldConfig, out_dir: Path, scene: int | None = None, depth_delay: DepthDelay = "auto",
    measures: Sequence[str] = MEASURES, clips: Sequence[int] = CLIPS, command: str = "spatia evaluate report",
) -> dict[str, Any]:
    """Run the measures, each into a folder of its own, and write ``report.html`` over all of them.

    A measure whose folder holds its figures, made with the same configuration and on the same source, is not run again.

    Args:
        scene: the seed, where the sequence is a procedural scene. measures: out of MEASURES. clips: of the long horizon.

    Returns:
        The figures of each measure by its name.

    Raises:
        SpatiaError: on an unknown measure, or as the measures do.
    """
    if not measures or set(measures) - set(MEASURES):
        raise SpatiaError(f"report: expected measures out of {', '.join(MEASURES)}, got {list(measures)}")
    runs: dict[str, Callable[[Path], dict[str, Any]]] = {
        "novel_view": lambda at: evaluate_novel_view(sequence, config, at, depth_delay=depth_delay),
        "closed_loop": lambda at: evaluate_closed_loop(sequence, config, at, depth_delay),
        "long_horizon": lambda at: evaluate_long_horizon(sequence, config, at, clips, depth_delay),
        "camera": lambda at: evaluate_camera(sequence, config, at, depth_delay),
        "tsed": lambda at: evaluate_tsed(sequence, config, at, depth_delay),
        "ablation": lambda at: evaluate_ablation(sequence, config, at, scene, depth_delay),
    }
    figures = {}
    for name in measures:
        at = out_dir / name
        found = _found(at, sequence.name, config)
        figures[name] = runs[name](at) if found is None else found
    write_json(out_dir / "figures.json", figures)
    write_report(out_dir / "report.html", figures, config, command)
    return figures


def _found(folder: Path, sequence: str, config: WorldConfig) -> dict[str, Any] | None:
    """The figures a folder holds of just this, or None."""
    figures, written = folder / "figures.json", folder / "config.yaml"
    if not figures.is_file() or not written.is_file() or written.read_text(encoding="utf-8") != dump(config):
        return None
    values = json.loads(figures.read_text(encoding="utf-8"))
    return values if isinstance(values, dict) and values.get("sequence") == sequence else None


def write_report(path: Path, figures: Mapping[str, dict[str, Any]], config: WorldConfig, command: str) -> None:
    """Write the page from the figures of measures and the pictures in the folders beside it."""
    sections = [SECTIONS[name](values, path.parent / name) for name, values in figures.items()]
    source = next(iter(figures.values()))["sequence"]
    page = Page(
        f"{config.generator.name} on {source}",
        "How well a world made of part of a recording shows the rest, stays itself, and follows its camera. Every measure "
        "stands beside controls made in the same run; docs/evaluation.md defines each figure.",
        (), dump(config), [(f"{name}/", "figures.json, config.yaml, pictures") for name in figures], command,
    )
    write_text(path, rendered("evaluate_report.html.j2", page, {"sections": sections}))


def _novel_view(f: dict[str, Any], folder: Path) -> Section:
    rows = [
        (region, *(_number(f[region][m], ".2f") for m in METHODS)) for region in ("all", "remembered", "invented")
    ] + [("SSIM, all", *(_number(f["ssim"][m], ".3f") for m in METHODS))]
    depth = f["depth"]
    absrel = f"{_number(depth['absrel_remembered'], '.3f')} remembered, {_number(depth['absrel_invented'], '.3f')} invented"
    text = (
        f"Memory from half of the recording; {f['frames']} frames of the other half that it shows in part "
        f"({f['coverage']:.0%}), drawn and compared, in dB. Depth AbsRel: {absrel}."
    )
    return Section("Novel view", text, ("pixels", *(m.replace("_", " ") for m in METHODS)), rows, pictures=_strip(folder))


def _closed_loop(f: dict[str, Any], folder: Path) -> Section:
    names = ("psnr_first_last", "psnr_real_last", "ssim", "match")
    rows = [
        (name, *(_number(part[key], ".2f" if key.startswith("psnr") else ".3f") for key in names))
        for name, part in (("ours", f), ("no memory", f["no_memory"]))
    ]
    text = f"From one measured frame out along the recording and back, {f['frames']} frames: is the place still what it was?"
    p = published.CLOSED_LOOP
    columns = ("", "first to last, dB", "real to last, dB", "SSIM", "match")
    return Section("Closed loop", text, columns, rows, (), _strip(folder), (p.source, p.columns, p.rows), p.differs)


def _long_horizon(f: dict[str, Any], folder: Path) -> Section:
    rows = []
    for i, n in enumerate(f["clips"]):
        for name, part in (("ours", f), ("no memory", f["no_memory"])):
            measured = (("psnr_c", ".2f"), ("ssim_c", ".3f"), ("match", ".3f"), ("psnr_way", ".2f"))
            values = (_number(part[key][i], form) for key, form in measured)
            rows.append((f"{n} clips, {name}", *values))
    laps = f["laps"]
    series = {"ours": laps["psnr_c"], "no memory": f["no_memory"]["laps"]["psnr_c"], "ours, all along the way": laps["psnr_way"]}
    charts = [("First to last lap after lap, dB", _chart(laps["clips"], series, "clips flown", "dB"))]
    few = list(zip(f["clips"], f["psnr_c"], f["no_memory"]["psnr_c"], strict=True))
    few = [each for each in few if each[0] in published.LONG_HORIZON_CLIPS]
    if len(few) > 1:
        at = [published.LONG_HORIZON_CLIPS.index(n) for n, _, _ in few]
        series = {"ours": [v for _, v, _ in few], "no memory": [v for _, _, v in few]}
        series |= {f"{name} (paper)": [values[i] for i in at] for name, values in published.LONG_HORIZON.items()}
        charts.append(("PSNR_C over clips, dB", _chart([n for n, _, _ in few], series, "clips", "dB")))
    text = f"Out for half of the clips and back for the other half; a clip is {f['clip_frames']} frames. More are laps of 6."
    beside = [(name, *(f"{v:.2f}" for v in values)) for name, values in published.LONG_HORIZON.items()]
    heads = ("PSNR_C, dB", *(f"{n} clips" for n in published.LONG_HORIZON_CLIPS))
    return Section(
        "Long horizon", text, ("", "PSNR_C, dB", "SSIM_C", "match", "all along the way, dB"), rows, charts, _strip(folder),
        (published.SPATIA, heads, beside), published.LONG_HORIZON_DIFFERS,
    )


_CAMERA = (
    ("estimated", ".0%"), ("rot_deg", ".2f"), ("rot_deg_median", ".2f"), ("trans_m", ".3f"), ("trans_m_median", ".3f"),
    ("rta_15", ".0%"), ("rta_30", ".0%"), ("camera_control", ".3f"),
)


def _camera(f: dict[str, Any], _: Path) -> Section:
    rows = []
    for name, part in (("ours", f), ("recorded", f["recorded"]), ("no memory", f["no_memory"])):
        rows.append((name, *(_number(part[key], form) for key, form in _CAMERA)))
    columns = ("", "pose found", "rotation, deg", "median", "position, m", "median", "RTA@15", "RTA@30", "camera control")
    p = published.CAMERA
    text = (
        f"Memory from every 8th frame of the recording, then {f['frames']} frames along what lies between. From where was each "
        "generated frame seen, by its own features, and how far is that from where the camera was told to be?"
    )
    return Section("Camera error", text, columns, rows, beside=(p.source, p.columns, p.rows), differs=p.differs)


def _tsed(f: dict[str, Any], _: Path) -> Section:
    rows = []
    for gap in GAPS:
        for name, part in (("ours", f), ("recorded", f["recorded"]), ("no memory", f["no_memory"])):
            g = part[f"gap_{gap}"]
            shares = (_number(g[f"{limit}px"], ".0%") for limit in THRESHOLDS_PX)
            rows.append((f"{name}, {gap} apart", *shares, _number(g["enough_matches"], ".0%"), str(g["pairs"])))
    columns = ("", *(f"< {limit} px" for limit in THRESHOLDS_PX), "enough matches", "pairs")
    text = (
        "Of pairs of generated frames: the share that have enough SIFT matches, and whose median symmetric epipolar distance "
        "under the commanded poses is below a threshold (Yu et al., ICCV 2023). The flight is that of the camera error."
    )
    return Section("TSED", text, columns, rows)


def _ablation(f: dict[str, Any], folder: Path) -> Section:
    flight, needed, loop = f.get("flight"), f.get("needed"), f["closed_loop"]
    rows = []
    for name in ("full", *(name for name in f if name.startswith("no_"))):
        row = [name.replace("_", " "), _number(f[name], ".2f")] + ([_number(flight[name], ".2f")] if flight else [])
        row.append(_number(loop.get(name), ".2f"))
        if needed:
            own = needed.get(name.removeprefix("no_"))
            row.append("" if own is None else f"{_number(own['full'], '.2f')} to {_number(own['without'], '.2f')}")
        rows.append(tuple(row))
    columns = ["dB", f["conditions_over"], *(["flight"] if flight else []), "flight, first to last"]
    columns += ["clips that need it: with to without"] if needed else []
    charts = []
    for key, heading, theirs in (
        ("references", "Reference frames", published.REFERENCES), ("voxel_m", "Point spacing, m", published.VOXEL_M),
    ):
        series = {
            "ours, against the truth": list(f[key].values()), "ours, first to last": [loop[key].get(x) for x in f[key]],
            "Spatia, first to last": [theirs.get(x) for x in f[key]],
        }
        charts.append((heading, _chart([float(x) for x in f[key]], series, heading.lower(), "dB")))
        for x, value in f[key].items():
            both = _number(value, ".2f"), _number(loop[key].get(x), ".2f")
            rows.append((f"{heading.lower()}: {x}", *([""] if flight else []), *both, *([""] if needed else [])))
    p = published.ABLATION
    text = (
        "What each condition is worth: the same generator, told one thing less; then other references and memories. Against "
        "the true frames, and first frame to last (where a generator that is told nothing draws the same nothing twice)."
    )
    beside = (p.source, p.columns, p.rows)
    return Section(
        "Ablation", text, tuple(columns), rows, charts, _strip(folder), beside, p.differs + " " + published.TABLES_DIFFER,
    )


SECTIONS: dict[str, Callable[[dict[str, Any], Path], Section]] = {
    "novel_view": _novel_view, "closed_loop": _closed_loop, "long_horizon": _long_horizon, "camera": _camera, "tsed": _tsed,
    "ablation": _ablation,
}


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else f"{value:{form}}"


def _chart(x: Sequence[float], series: Mapping[str, Sequence[float | None]], x_name: str, y_name: str) -> Markup:
    """Lines over a common x; a line with a value missing is left out."""
    whole = {name: [v for v in values if v is not None] for name, values in series.items() if None not in values}
    return Markup(line_chart(x, whole, x_name, y_name))


def _strip(folder: Path) -> Markup | None:
    """The strip of pictures a measure left, as a ``data:`` address."""
    picture = cv2.imread(str(folder / "strip.png"))
    return None if picture is None else Markup(inline("image/jpeg", encode_jpeg(picture[..., ::-1])))
