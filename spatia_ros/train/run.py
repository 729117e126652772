"""A training run: its stages one after another, resumed by the same command.

The folder of a run::

    plan.json               what was asked for; the same folder with another plan is refused
    log.jsonl, log.html     figures and pictures as they come
    card.md                 the model card, written anew with every report
    weights.safetensors     when all is done: what the last stage left, for --init and for export
    <stage>/                checkpoint.safetensors (resumes), weights.safetensors when done, samples.jpg
"""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from spatia_ros.generator.network import ModelConfig, SpaceTimeNet
from spatia_ros.train import checkpoint, log_html
from spatia_ros.train.card import CardFacts, last_figures, write_card
from spatia_ros.train.feed import ClipBatches, held_out
from spatia_ros.train.initial import PLAN, by_chance, lineage, load_newest, read_plan, start_from
from spatia_ros.train.loop import LoopConfig, never, run_stage
from spatia_ros.train.navigation import clips_for
from spatia_ros.train.objectives import OBJECTIVES
from spatia_ros.train.presets import StageName, StagePlan
from spatia_ros.train.processes import Processes
from spatia_ros.train.validate import by_share, figures_of, generate, mean_figures, pictures_of, validate, worth
from spatia_ros.types import SpatiaError

if TYPE_CHECKING:
    from spatia_ros.train.example import Batch
    from spatia_ros.train.feed import Clips

VALIDATED, MOST_CHECKED = 16, 32
"""Held-out clips looked at for every report, and in the end for what each condition is worth."""
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
SAMPLED = (1, 2, 4, 16)
"""Steps that a finished run is sampled in, for comparison; the last stands for many."""
CHECK_OF = {"memory_render": "memory", "references": "references", "rays": "rays", "animation_time": "animation"}
"""The set of held-out clips that need a condition."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Everything a run's outcome depends on, apart from what is in the clips.

    Args:
        model: of the network, :class:`ModelConfig` as plain values.
        stages: in order, with their numbers.
        init: engine or folder whose weights the run starts from, or None: chance.
        data: what the clips hold, a line per source. left_out: recordings kept from them.
    """

    name: str
    size: str
    model: dict[str, Any]
    stages: tuple[tuple[StageName, StagePlan], ...]
    init: str | None
    data: tuple[str, ...]
    left_out: tuple[str, ...]
    seed: int
    bfloat16: bool
    command: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for ``plan.json``."""
        return json.loads(json.dumps(asdict(self)))


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What does not change a run's outcome: where it is kept, how often it reports and when it pauses.

    Args:
        folder: of the run. stop: asked after every step, whether to save and stop.
        workers: processes that prepare batches; 0: a thread does.
    """

    folder: Path
    report_every: int = 200
    save_every_s: float = 120.0
    stop: Callable[[], bool] = never
    workers: int = 0


def settle_plan(folder: Path, plan: RunPlan) -> None:
    """Write a run's plan, or check that the folder was begun with the same one.

    Raises:
        SpatiaError: when it was begun with another.
    """
    new = plan.as_dict()
    if (folder / PLAN).is_file():
        old = read_plan(folder)
        ours = ("command", "data", "left_out")  # words for people
        other = [name for name in new if name not in ours and old.get(name) != new[name]]
        if other:
            raise SpatiaError(
                f"training run {folder}: expected to go on with {other[0]} = {old.get(other[0])}, got {new[other[0]]}; "
                f"give the command it was begun with ({old.get('command')}), or another --out"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / (PLAN + ".partial")
    partial.write_text(json.dumps(new, indent=1) + "\n")
    os.replace(partial, folder / PLAN)


def first_network(plan: RunPlan) -> SpaceTimeNet:
    """The network a run begins with."""
    network = by_chance(SpaceTimeNet(ModelConfig.from_dict(plan.model)), plan.seed)
    if plan.init:
        start_from(network, plan.init)
    return network


class Reporter:
    """Figures, pictures, page and card of a run as it goes."""

    def __init__(self, plan: RunPlan, options: RunOptions, validation: Sequence[Batch], device: str) -> None:
        self.plan, self.folder, self.validation, self.device = plan, options.folder, validation, device
        self.worth: dict[str, tuple[float, float]] = {}
        self.by_steps: dict[str, dict[int, float]] = {}
        self.by_share: dict[float, dict[str, float]] = {}

    def __call__(self, stage: StageName, network: SpaceTimeNet, step: int, seconds: float, parts: dict[str, float]) -> None:
        """One report of a stage."""
        row: dict[str, float | str] = {"stage": stage, "step": step, "seconds": round(seconds, 1), "order": round(time.time(), 1)}
        row |= {name: round(value, 5) for name, value in parts.items()}
        if self.validation:
            changes = [generate(network, batch, 1, i) for i, batch in enumerate(self.validation)]
            found = [figures_of(change, batch) for change, batch in zip(changes, self.validation, strict=True)]
            row |= {name: round(value, 4) for name, value in mean_figures(found).items()}
            (self.folder / stage).mkdir(exist_ok=True)
            image = log_html.strip(pictures_of(changes[0], self.validation[0]))
            log_html.write_strip(self.folder / stage / log_html.STRIP, image)
        log_html.append(self.folder, row)
        _log.info("%s", {k: v for k, v in row.items() if k != "order"})
        self.write(network)

    def write(self, network: SpaceTimeNet) -> None:
        """Page and card anew."""
        names = [stage for stage, _ in self.plan.stages]
        log_html.write_page(self.folder, f"{self.plan.name}: {self.plan.command}", names)
        write_card(self.folder, self.facts(network))

    def facts(self, network: SpaceTimeNet) -> CardFacts:
        """What the card says now."""
        made = []
        for stage, numbers in self.plan.stages:
            rows = log_html.read(self.folder, stage)
            if rows:
                made.append((stage, int(rows[-1]["step"]), numbers.steps, float(rows[-1]["seconds"]) / 60.0))
        device = torch.cuda.get_device_name() if self.device.startswith("cuda") else f"CPU, {platform.machine()}"
        return CardFacts(
            self.plan.name, self.plan.size, sum(p.numel() for p in network.parameters()), self.plan.command,
            lineage(self.plan.init), device, self.plan.data, self.plan.left_out, made, last_figures(log_html.read(self.folder)),
            self.worth, self.by_steps, self.by_share,
        )


def run(plan: RunPlan, options: RunOptions, clips: Clips, processes: Processes) -> SpaceTimeNet | None:
    """Train, or go on training, through all stages.

    Returns:
        The averaged network, or None: asked to stop, saved; the same call goes on.
    """
    if processes.first:
        settle_plan(options.folder, plan)
    network = first_network(plan).to(processes.device)
    for number, (stage, numbers) in enumerate(plan.stages):
        done = options.folder / stage / checkpoint.WEIGHTS
        if done.exists():
            checkpoint.load_weights(done, network)
            continue
        seen = clips_for(stage, clips)
        batches = held_out(seen.validation, numbers, VALIDATED) if processes.first else []
        reporter = Reporter(plan, options, [batch.to(processes.device) for batch in batches], processes.device)
        config = LoopConfig(
            options.folder / stage, plan.seed, number, plan.bfloat16, options.save_every_s, options.report_every,
            options.stop, options.workers,
        )
        objective = OBJECTIVES[stage](network).to(processes.device)
        tell = lambda *facts, stage=stage, reporter=reporter: reporter(stage, *facts)  # noqa: E731
        if not run_stage(objective, numbers, config, ClipBatches(seen), processes, tell):
            return None
        network = objective.network
    if processes.first and not (options.folder / checkpoint.WEIGHTS).exists():
        finish(plan, options, network, clips, processes.device)
    return network.eval()


def finish(plan: RunPlan, options: RunOptions, network: SpaceTimeNet, clips: Clips, device: str) -> None:
    """The last figures, what each condition is worth, and the weights of a finished run."""
    reporter = Reporter(plan, options, [], device)
    network.eval()
    batches = [batch.to(device) for batch in held_out(clips.validation, plan.stages[-1][1], VALIDATED)]
    if batches:
        reporter.by_steps = by_steps(plan, options.folder, batches)
        reporter.by_share = by_share(network, batches, SHARES)
    for condition, check in CHECK_OF.items():
        batches = [batch.to(device) for batch in held_out(clips.checks.get(check, ()), plan.stages[-1][1], MOST_CHECKED)]
        if batches:
            reporter.worth[condition] = worth(network, condition, batches)
    reporter.write(network)
    checkpoint.save_tensors(options.folder / checkpoint.WEIGHTS, network.state_dict())


def by_steps(plan: RunPlan, folder: Path, batches: Sequence[Batch]) -> dict[str, dict[int, float]]:
    """PSNR of invented pixels, dB, of every generating stage that is done, sampled in few and in many steps."""
    network, table = first_network(plan).to(batches[0].image.device).eval(), {}
    for stage, _ in plan.stages:
        weights = folder / stage / checkpoint.WEIGHTS
        if stage != "autoencoder" and weights.exists():
            checkpoint.load_weights(weights, network)
            table[stage] = {steps: validate(network, batches, steps)["psnr_net"] for steps in SAMPLED}
    return table


@dataclass(frozen=True, slots=True)
class RunResult:
    """The best a run has at the moment: the averaged weights of the newest stage.

    Args:
        stage, step: where they come from. plan: of the run. figures: the last held-out ones.
    """

    network: SpaceTimeNet
    stage: str
    step: int
    plan: dict[str, Any]
    figures: dict[str, float]


def read_result(folder: Path) -> RunResult:
    """What a run, finished or not, has come to: for export.

    Raises:
        SpatiaError: when the folder holds no run, or one without a checkpoint.
    """
    plan = read_plan(folder)
    network = SpaceTimeNet(ModelConfig.from_dict(plan["model"]))
    stage, step = load_newest(folder, network)
    return RunResult(network.eval(), stage, step, plan, last_figures(log_html.read(folder)))


def data_lines(made_of: Mapping[str, Any]) -> tuple[str, ...]:
    """What a set of clips holds, from its ``set.json``, a line per source, for the card."""
    own = made_of.get("sequences", [])
    recordings = ", ".join([*(f"{name} (its first half)" for name in made_of["recordings"]), *own])
    what = {
        "scenes": "procedural rooms, corridors, desks and streets, with things that move and weather",
        "timed": "procedural places in which only animation time tells where what moves is",
        "mesh": f"paths through one half of {', '.join(made_of['meshes'])}",
        "recordings": f"neighbouring frames of {recordings}",
        "warped": f"frames of {recordings} warped forward and back",
        "onward": "procedural places in which a generator's world had gone on past what was seen",
    }
    have = {"mesh": made_of["meshes"], "recordings": recordings, "warped": recordings}
    shards = {source: n for source, n in made_of["shards"].items() if n and have.get(source, True)}
    return tuple(f"{shards[source]} shards: {line}" for source, line in what.items() if source in shards)


def left_out(sets: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The names that were to be left out of sets of clips, from their ``set.json``, and that none of them was made of."""
    makes = {"recordings": ("recordings", "warped"), "meshes": ("mesh",), "sequences": ("recordings", "warped")}
    read = {
        name for each in sets for kind, sources in makes.items() for name in each[kind] if any(map(each["shards"].get, sources))
    }
    return tuple(sorted({name for each in sets for name in each["without"]} - read))


def with_changes(
    stages: Sequence[tuple[StageName, StagePlan]], steps: Sequence[int] | None, **changes: int | None
) -> tuple[tuple[StageName, StagePlan], ...]:
    """Stages with the numbers that are given in place of their own; steps are one number for all stages, or one for each.

    Raises:
        SpatiaError: when steps are neither.
    """
    given = {name: value for name, value in changes.items() if value is not None}
    if steps and len(steps) not in (1, len(stages)):
        raise SpatiaError(f"train --steps: expected one number, or one for each of {len(stages)} stages, got {len(steps)}")
    numbers: Sequence[int | None] = [None] * len(stages) if not steps else list(steps) * (len(stages) // len(steps))
    return tuple(
        (name, replace(plan, **given, steps=plan.steps if n is None else n))
        for (name, plan), n in zip(stages, numbers, strict=True)
    )
