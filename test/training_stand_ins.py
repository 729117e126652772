"""Random clips and a tiny network to train on; run as a program, one of two processes of a training run."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from spatia_ros.generator.anchor import Anchor
from spatia_ros.generator.condition import ClipCondition, Context
from spatia_ros.generator.image import ViewImage
from spatia_ros.generator.network import ModelConfig
from spatia_ros.train.example import Batch, Example, collate

TINY = ModelConfig(
    4, 32, 2, 2, encoder=(4, 8, 8), painter=(4, 8, 8), decoder=(8, 8, 16), decoder_heads=2, control_every=2, words=16, phrase=4,
)
ROWS, COLS, FRAMES, CONTEXT = 32, 48, 4, 2


def random_example(rng: np.random.Generator) -> Example:
    """Smooth truth, a view of it with a hole in it, and noise for every other condition."""

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    coarse = np.repeat(np.repeat(normal(FRAMES, 4, ROWS // 16, COLS // 16), 16, 2), 16, 3)
    image = normal(FRAMES, 15, ROWS, COLS)
    hole = np.ones((ROWS, COLS), bool)
    hole[:, : COLS // 2] = False
    image[:, 4] = ~hole
    image[:, :4] = np.where(hole, 0.0, coarse)
    ones = np.ones((FRAMES, 1, ROWS, COLS), np.float32)
    anchor = Anchor(np.eye(4), np.full(3, 0.5, np.float32), 0.2, 0.5, 0.0, 0.0)
    told = ClipCondition(
        image=image, to_view=np.tile(np.array([1, 0, 0, 0, 0], np.float32), (FRAMES, 1)),
        memory=np.concatenate([image[:, :4], image[:, 4:5]], 1),
        uncovered=rng.random((FRAMES, 1, ROWS // 16, COLS // 16), np.float32),
        rays=normal(FRAMES, 9, ROWS // 16, COLS // 16), time=normal(FRAMES), animation=normal(FRAMES),
        box=np.zeros((FRAMES, 1, ROWS // 16, COLS // 16), np.float32), tokens=rng.integers(1, 16, 4), anchor=anchor,
        views=tuple(ViewImage(frame, np.full(3, 0.5, np.float32), 0.2, 0.5, (ROWS, COLS)) for frame in image),
    )
    context = Context(normal(CONTEXT, 5, 80, 128), normal(CONTEXT, 9, 5, 8), normal(CONTEXT), normal(CONTEXT))
    return Example(
        told, context, np.concatenate([coarse, ones], 1), coarse[:, :3], np.full(FRAMES, 0.2, np.float32), coarse[:, 3:], ones,
        np.zeros((FRAMES, ROWS, COLS), bool), np.sign(normal(FRAMES, 1, ROWS // 16, COLS // 16)), True,
    )


class RandomClips:
    """A set of random clips."""

    def __init__(self) -> None:
        self.validation = [random_example(np.random.default_rng(100 + i)) for i in range(4)]
        self.checks = dict.fromkeys(("memory", "references", "rays", "animation"), self.validation[:2])

    def draw(self, rng: np.random.Generator, frames: int, context: int) -> Example:
        return random_example(rng).cut(frames, context)

    def one_batch(self, clips: int, seed: int = 0) -> Batch:
        rng = np.random.default_rng(seed)
        return collate([random_example(rng).cut(2, 2) for _ in range(clips)])


def main(folder: Path) -> None:
    from test_training import tiny_plan

    from spatia_ros.train.checkpoint import save_tensors
    from spatia_ros.train.processes import processes
    from spatia_ros.train.run import RunOptions, run

    torch.set_num_threads(1)
    with processes("cpu") as both:
        assert both.count == 2
        network = run(tiny_plan("direct"), RunOptions(folder / "run"), RandomClips(), both)
        assert network is not None
        save_tensors(folder / f"rank{both.rank}.safetensors", network.state_dict())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
