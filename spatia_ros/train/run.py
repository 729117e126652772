"""One command from nothing to a shipped engine: build pairs, train, export. Again, and it resumes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from spatia_ros.engine.export import export
from spatia_ros.engine.manifest import Manifest
from spatia_ros.generator.model import FillNetConfig, shrunk
from spatia_ros.train.batches import PairSet
from spatia_ros.train.build import PER_SHARD, build
from spatia_ros.train.loop import SOURCES, TrainConfig, train

MIXTURE_SHARE = 0.2
"""How far from their prior the exported network's mixture logits may go (see docs/training.md)."""


@dataclass(frozen=True, slots=True)
class TrainPlan:
    """Everything a training run depends on.

    Args:
        name: of the engine. out: run folder (pairs/, checkpoint, log.jsonl, engine/).
        data: folder with recordings and meshes, or None to learn from procedural scenes alone.
        scene_shards, mesh_shards, recording_shards: how many shards of 36 pairs from each source.
        steps, batch, seed: as in :class:`spatia_ros.train.loop.TrainConfig`.
        command: what the user typed, for the manifest.
    """

    name: str
    out: Path
    data: Path | None
    command: str
    scene_shards: int = 69
    mesh_shards: int = 6
    recording_shards: int = 30
    steps: int = 1200
    batch: int = 8
    seed: int = 0
    device: str = "cpu"


def run(plan: TrainPlan) -> Manifest:
    """Build what pairs are missing, train (or go on training), and export to ``out/engine``."""
    pairs = plan.out / "pairs"
    build(pairs, plan.data, plan.scene_shards, plan.mesh_shards, plan.recording_shards, plan.seed)
    data = PairSet(pairs, SOURCES, held_out=min(PER_SHARD, plan.scene_shards * PER_SHARD // 4))
    bfloat16 = plan.device != "cpu" or torch.cpu.get_capabilities().get("avx512_bf16", False)
    config = TrainConfig(str(pairs), str(plan.out), steps=plan.steps, batch=plan.batch, seed=plan.seed, bfloat16=bfloat16)
    network = train(config, FillNetConfig(), data, plan.device)
    figures = json.loads((plan.out / "log.jsonl").read_text().splitlines()[-1])
    figures |= {"pairs": len(data), "mixture_share": MIXTURE_SHARE}
    return export(shrunk(network.cpu(), MIXTURE_SHARE), plan.out / "engine", plan.name, plan.command, plan.steps, figures)
