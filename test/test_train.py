"""Pairs, shards, augmentation, losses, and a run that resumes as if it had not stopped."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from spatia_ros import geometry
from spatia_ros.generator.model import FillNet, FillNetConfig
from spatia_ros.generator.recall import Recalled
from spatia_ros.train.augment import augment, forgotten, mirrored, random_mask, recoloured
from spatia_ros.train.batches import PairSet, example, stack
from spatia_ros.train.build import build
from spatia_ros.train.loop import TrainConfig, loss, predict, rate_at, train
from spatia_ros.train.losses import depth_error, log_error, masked_mean, spread_error
from spatia_ros.train.pairs import Pair, episode
from spatia_ros.train.shards import read_shard, shard_path, write_shard
from spatia_ros.types import Camera, Frame, SpatiaError

CAMERA = Camera.from_fov(64, 48, 1.1)
TINY = FillNetConfig(widths=(8, 8, 16), blocks=(1, 1, 1), heads=2)


def room_frames(n: int = 8) -> list[Frame]:
    """A camera turning in front of a painted wall."""
    frames = []
    for i in range(n):
        T = geometry.look_at(np.array([0.1 * i, 0.0, 0.0]), np.array([0.35 * i, 0.0, 2.0]), np.array([0.0, -1.0, 0.0]))
        rays = geometry.pixel_rays(CAMERA) @ T[:3, :3].T
        depth = (2.0 / rays[..., 2]).astype(np.float32)
        p = T[:3, 3] + rays * depth[..., None]
        pattern = np.stack([np.sin(4 * p[..., 0]), np.cos(5 * p[..., 1]), np.sin(3 * p[..., 0] + 1)], -1)
        frames.append(Frame((127 + 90 * pattern).astype(np.uint8), depth, CAMERA, T, i * 10**8))
    return frames


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    frames = room_frames()
    found = [p for seed in range(6) for p in episode(frames, frames, np.random.default_rng(seed), 4, 4)]
    assert len(found) >= 8
    return found


def test_pairs_show_less_than_the_truth_and_nothing_false(pairs: list[Pair]) -> None:
    for pair in pairs:
        assert 0.1 < pair.view.coverage.mean() < 0.99
        error = np.abs(pair.view.depth - pair.target.depth)[pair.view.coverage]
        assert np.median(error) < 0.02
        assert not (pair.recalled.known & pair.view.coverage).any()
        assert 1 <= len(pair.references) <= 2


def test_shards_keep_pairs(pairs: list[Pair], tmp_path: Path) -> None:
    path = shard_path(tmp_path, "scenes", 7)
    write_shard(path, pairs)
    for before, after in zip(pairs, read_shard(path), strict=True):
        for a, b in zip(example(before, 2), example(after, 2), strict=True):
            np.testing.assert_allclose(a, b, atol=0.02)
        assert np.array_equal(before.target.rgb, after.target.rgb)
        assert before.target.camera == after.target.camera
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(SpatiaError, match="not a shard of training pairs"):
        read_shard(path)


def test_mirroring_twice_is_nothing_and_once_is_a_mirror(pairs: list[Pair]) -> None:
    pair = pairs[0]
    once, twice = mirrored(pair), mirrored(mirrored(pair))
    assert np.array_equal(twice.view.rgb, pair.view.rgb)
    np.testing.assert_allclose(twice.target.T_world_cam, pair.target.T_world_cam)
    # The mirrored world projects to the mirrored image.
    point = np.array([[0.4, 0.1, 2.0]])
    uv, z = geometry.project(point, pair.target.camera, pair.target.T_world_cam)
    mirrored_uv, mirrored_z = geometry.project(point * [-1, 1, 1], once.target.camera, once.target.T_world_cam)
    np.testing.assert_allclose(mirrored_uv, [[CAMERA.width - uv[0, 0], uv[0, 1]]])
    np.testing.assert_allclose(z, mirrored_z)


def test_augmentation_forgets_in_memory_and_references_alike(pairs: list[Pair]) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = random_mask((48, 64), rng)
        less = forgotten(pairs[0], mask)
        if less is not pairs[0]:
            assert not (less.view.coverage & mask).any()
            assert not (less.recalled.known & mask).any()
            assert (less.view.rgb[~less.view.coverage] == 0).all()
    assert len({augment(pairs[0], np.random.default_rng(s)).view.rgb.tobytes() for s in range(5)}) == 5
    same = [augment(pairs[0], np.random.default_rng(3)) for _ in range(2)]
    assert np.array_equal(same[0].target.rgb, same[1].target.rgb)


def test_recolouring_is_the_same_everywhere(pairs: list[Pair]) -> None:
    """One map of colours for view, recall, target and references."""
    pair = pairs[0]
    copy = Pair(pair.view, Recalled(pair.recalled.rgb, pair.recalled.known),
                Frame(pair.view.rgb, pair.target.depth, CAMERA, pair.target.T_world_cam), pair.references)
    changed = recoloured(copy, np.random.default_rng(5))
    covered = pair.view.coverage
    assert np.array_equal(changed.view.rgb[covered], changed.target.rgb[covered])
    assert not np.array_equal(changed.view.rgb[covered], pair.view.rgb[covered])


def test_losses_on_known_answers() -> None:
    mask = torch.zeros(2, 1, 4, 4)
    mask[:, :, :2] = 1
    a, b = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.1)
    b[:, :, 2:] = 9.0  # outside the mask
    np.testing.assert_allclose(masked_mean((a - b) ** 2, mask), [0.01, 0.01], rtol=1e-5)
    psnr = -20 / np.log(10) * log_error(a, b, mask)
    np.testing.assert_allclose(psnr, [20.0, 20.0], atol=0.1)
    assert (masked_mean(a, mask * 0) == 0).all()
    depth, truth = torch.full((2, 1, 4, 4), 0.3), torch.full((2, 1, 4, 4), 0.1)
    np.testing.assert_allclose(depth_error(depth, truth, mask), [0.2, 0.2], rtol=1e-5)
    told = torch.log(torch.full((2, 1, 4, 4), 0.21))
    np.testing.assert_allclose(spread_error(told, depth, truth, mask), [0, 0], atol=1e-5)
    pulled = depth.clone().requires_grad_()
    assert not spread_error(told + 1, pulled, truth, mask).requires_grad, "the spread must not pull on the depth"


def test_the_loss_falls_and_the_truth_scores_best(pairs: list[Pair]) -> None:
    batch = stack([example(p, 2) for p in pairs[:4]])
    network = FillNet(TINY)
    perfect = torch.cat([batch.colour - batch.image[:, :3], batch.log_depth - batch.image[:, 3:4], batch.log_depth * 0 - 4.6], 1)
    start = network(batch.image, batch.references)
    assert loss(perfect, batch, 0.5)[0] < loss(start, batch, 0.5)[0] - 1
    colour, _, _ = predict(start, batch)
    covered = batch.image[:, 4:5] > 0
    assert torch.equal(torch.where(covered, colour, 0), torch.where(covered, batch.image[:, :3], 0)), "it starts as the fill"
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    values = []
    for _ in range(8):
        total, _ = loss(network(batch.image, batch.references), batch, 0.5)
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        values.append(total.item())
    assert values[-1] < values[0] - 0.03


def test_learning_rate_warms_up_and_falls() -> None:
    config = TrainConfig("", "", steps=1000)
    rates = [rate_at(step, config) for step in (0, 100, 199, 600, 999)]
    assert rates[0] < rates[1] < rates[2] > rates[3] > rates[4] > 0


def test_an_interrupted_run_ends_as_an_uninterrupted_one(pairs: list[Pair], tmp_path: Path) -> None:
    write_shard(shard_path(tmp_path / "pairs", "scenes", 0), pairs)

    def run(out: str, steps: list[int]) -> FillNet:
        for stop in steps:
            data = PairSet(tmp_path / "pairs", {"scenes": 1.0}, held_out=2)
            config = TrainConfig("", str(tmp_path / out), steps=4, batch=2, report_every=2, bfloat16=False)
            if stop < 4:  # killed after `stop` steps: what a checkpoint then holds is all that is left
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr("spatia_ros.train.loop.ahead", lambda d, c, first, stop=stop: _some(d, c, first, stop))
                    with pytest.raises(KeyboardInterrupt):
                        train(replace(config, save_every_s=0.0), TINY, data)
            else:
                network = train(config, TINY, data)
        return network

    whole, halves = run("whole", [4]), run("halves", [2, 4])
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(value, halves.state_dict()[name], rtol=1e-4, atol=1e-6)
    lines = [json.loads(line) for line in (tmp_path / "halves" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert "psnr_invented_network" in lines[-1]


def _some(data, config, first, stop):
    for step in range(first, stop):
        yield step, data.batch(config.seed, step, config.batch, config.references)
    raise KeyboardInterrupt


def test_building_resumes_and_depends_on_the_seed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spatia_ros.train.build.PER_SHARD", 2)
    monkeypatch.setattr("spatia_ros.train.build.SIZE", (64, 48))
    for name in ("a", "b"):
        build(tmp_path / name, None, 2, 3, 3, seed=1)
    names = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert names == ["scenes-00000.npz", "scenes-00001.npz"], "no data folder: procedural scenes alone"
    shard = tmp_path / "a" / names[1]
    first = read_shard(shard)
    shard.unlink()
    build(tmp_path / "a", None, 2, 0, 0, seed=1)
    assert all(np.array_equal(x.target.rgb, y.target.rgb) for x, y in zip(first, read_shard(shard), strict=True))


def test_no_pairs_is_said(tmp_path: Path) -> None:
    with pytest.raises(SpatiaError, match="expected shards of"):
        PairSet(tmp_path, {"scenes": 1.0}, held_out=0)
