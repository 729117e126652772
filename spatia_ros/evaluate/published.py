"""What the papers report, to stand beside ours; each with what their protocol does differently, for none of them is the same."""

from __future__ import annotations

from typing import NamedTuple

SPATIA, SPACE_TIME = "Spatia (arXiv 2512.15716)", "SpaceTimePilot (arXiv 2512.25075)"


class Published(NamedTuple):
    """A table out of a paper.

    Args:
        source: where it is from. columns: heads; the first is of the names. rows: name, then values. differs: from our protocol.
    """

    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    differs: str


CLOSED_LOOP = Published(
    SPATIA, ("", "PSNR_C, dB", "SSIM_C", "match"),
    (("Spatia", "19.38", ".579", ".698"), ("Voyager", "17.66", ".540", ".507"), ("ViewCrafter", "14.79", ".481", ".447")),
    "Theirs: other places and paths, at 1248x704, geometry estimated from the pictures, every frame made whole by a 5B video "
    "model, matches by RoMa. Ours: a measured RGB-D frame to start from, a recorded or procedural path, remembered pixels "
    "copied from memory, matches by SIFT. Pixels that are copied come back as they were: high figures here say that memory "
    "holds, not that inventions are good.",
)
LONG_HORIZON_CLIPS = (2, 4, 6)
LONG_HORIZON = {"Spatia": (19.38, 18.23, 18.04), "Wan2.2": (13.00, 11.32, 10.74)}
LONG_HORIZON_DIFFERS = (
    "Their clips are 121 and then 81 frames of video, ours are 16 poses of the recorded path (or as many as the generator "
    "makes at once, if more); otherwise as for the closed loop. They report no more than 6 clips."
)
ABLATION = Published(
    SPATIA, ("", "closed-loop PSNR, dB"),
    (
        ("neither render nor references", "15.55"), ("references only", "15.64"), ("render only", "17.18"), ("both", "19.38"),
    ),
    "Theirs is the first frame against the last of a closed loop, ours of one model that is not told one thing, along our way. "
    "Rays and animation time they do not ablate.",
)
REFERENCES = {"1": 17.50, "3": 17.85, "5": 18.48, "7": 19.38}
VOXEL_M = {"0.01": 18.58, "0.03": 17.10, "0.05": 16.35, "0.07": 15.97}
TABLES_DIFFER = (
    "Their renders are of points alone; ours draw from kept frames at full resolution where these saw the same surface, which "
    "hides much of a coarse cloud."
)
CAMERA = Published(
    SPACE_TIME + "; " + SPATIA, ("", "rotation, deg", "RTA@30", "WorldScore camera control"),
    (("SpaceTimePilot", "2.71", "54 %", "-"), ("TrajectoryCrafter", "5.94", "26 %", "-"), ("Spatia", "-", "-", ".7566")),
    "Theirs: on their own videos, positions after an alignment of scale. Ours: SIFT and PnP against the measured frames memory "
    "was made from, metric, nothing aligned; a frame whose pose is not found counts as missed. The recorded frames themselves, "
    "measured the same way, are the floor. WorldScore's threshold of 0.5 is metres here.",
)
