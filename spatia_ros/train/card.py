"""The model card: what a network is, what it learned from, how good it is and where it fails, from the run's own record."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CARD = "card.md"
LIMITS = """\
- It mixes what a view and its references hold with what it imagines at a sixteenth of the resolution: invented places are soft.
- One step gives the expected picture (least square error), not a sample: many equally likely worlds come out as their mean.
- Prompts know the stated vocabulary and no more; a few hours of training make them weak.
- It has seen rooms, corridors, desks and streets made by a program, and few real places. Judge it on your own with
  `spatia evaluate novel-view`.
"""


@dataclass(frozen=True, slots=True)
class CardFacts:
    """What a card says.

    Args:
        before: the commands that made the weights it began with, oldest first; none: it began from chance.
        data: one line per source. left_out: recordings never trained on.
        stages: name, steps made, steps planned, minutes, of each stage begun.
        figures: the last report on held-out clips.
        by_steps: by stage, PSNR of invented pixels sampled in so many steps, or empty.
        by_share: by how far the decoder's choices may go from their prior, the held-out figures, or empty.
        worth: by condition, PSNR with it and without on held-out clips that need it, or empty.
    """

    name: str
    size: str
    parameters: int
    command: str
    before: Sequence[str]
    device: str
    data: Sequence[str]
    left_out: Sequence[str]
    stages: Sequence[tuple[str, int, int, float]]
    figures: Mapping[str, float]
    worth: Mapping[str, tuple[float, float]]
    by_steps: Mapping[str, Mapping[int, float]]
    by_share: Mapping[float, Mapping[str, float]]


def card(facts: CardFacts) -> str:
    """The card as Markdown."""
    stages = [f"| {name} | {made} of {planned} | {minutes:.0f} |" for name, made, planned, minutes in facts.stages]
    figures = [f"| {_said(name)} | {value:.3g} |" for name, value in facts.figures.items()]
    blocks = [
        f"# {facts.name}",
        f"A space-time generator of size `{facts.size}` ({facts.parameters / 1e6:.1f} million weights): colour and depth of "
        "what a memory does not show, from its render, reference frames, camera rays, animation time and a prompt.",
        "## Made by", "\n".join(["```", *facts.before, facts.command, "```"]),
        f"Device: {facts.device}." + (" Data and training are those of the last." if facts.before else ""),
        "## Data", "\n".join(f"- {line}" for line in facts.data),
        f"Left out, for evaluation: {', '.join(facts.left_out) or 'nothing'}.",
        "## Training", "| Stage | Steps | Minutes |\n|---|---|---|\n" + "\n".join(stages),
        "## Figures on held-out procedural clips", "| Measure | |\n|---|---|\n" + "\n".join(figures),
    ]
    if facts.by_steps:
        counts = list(next(iter(facts.by_steps.values())))
        rows = [f"| {stage} | " + " | ".join(f"{line[n]:.2f}" for n in counts) + " |" for stage, line in facts.by_steps.items()]
        head = f"| After stage | {' | '.join(map(str, counts))} |\n|{'---|' * (len(counts) + 1)}\n"
        blocks += ["PSNR of invented pixels, dB, sampled in so many steps:", head + "\n".join(rows)]
    if facts.by_share:
        rows = [f"| {share:g} | {line['psnr_net']:.2f} | {line['absrel_net']:.3f} |" for share, line in facts.by_share.items()]
        head = "| Share | PSNR, dB | AbsRel |\n|---|---|---|\n"
        blocks += ["With the decoder's choices among fills only so far from their prior:", head + "\n".join(rows)]
    if facts.worth:
        rows = [f"| {name.replace('_', ' ')} | {told:.2f} | {untold:.2f} |" for name, (told, untold) in facts.worth.items()]
        blocks += [
            "PSNR of invented pixels on held-out clips that need a condition, dB:",
            "| Condition | With it | Without |\n|---|---|---|\n" + "\n".join(rows),
        ]
    return "\n\n".join([*blocks, "## Limits", LIMITS])


def _said(name: str) -> str:
    names = {
        "psnr_net": "PSNR of invented pixels, network, dB", "psnr_fill": "PSNR of invented pixels, fill alone, dB",
        "absrel_net": "AbsRel of invented depth, network", "absrel_fill": "AbsRel of invented depth, fill alone",
    }
    return names.get(name, name)


def write_card(folder: Path, facts: CardFacts) -> None:
    """Write the card of a run, whole or not at all."""
    partial = folder / (CARD + ".partial")
    partial.write_text(card(facts))
    os.replace(partial, folder / CARD)


def last_figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The held-out figures of the last row that has any."""
    names = ("psnr_net", "psnr_fill", "absrel_net", "absrel_fill")
    for row in reversed(rows):
        if "psnr_net" in row:
            return {name: float(row[name]) for name in names}
    return {}
