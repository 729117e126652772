"""The errors a stored point is promised, and the coarser levels against their plain definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatia_ros.memory import chunks, quantise
from spatia_ros.memory.levels import LEVEL_SENSED_SHIFT, LEVELS, SEEN_MASK, SEEN_SHIFT, build_levels


def test_weights_keep_their_promise_and_come_back_the_same() -> None:
    weight = np.exp(np.random.default_rng(0).uniform(np.log(quantise.WEIGHT_LEAST), np.log(1e4), 20_000)).astype(np.float32)
    stored = quantise.weight_of(quantise.weight_code(weight))
    assert np.abs(stored / weight - 1).max() <= quantise.WEIGHT_ERROR
    codes = np.arange(256, dtype=np.uint8)
    assert np.array_equal(quantise.weight_code(quantise.weight_of(codes)), codes)
    whole = np.array([0.5, *range(1, 33)], np.float32)
    assert np.array_equal(quantise.weight_of(quantise.weight_code(whole)), whole)


@given(st.lists(st.integers(-(2**31) + 1, 2**31 - 1), min_size=1, max_size=20))
def test_times_are_early_by_less_than_their_range_over_32768(times: list[int]) -> None:
    seen = np.array(times, np.int32)
    steps, base, shift = quantise.time_code(seen)
    stored = quantise.time_of(steps, base, shift)
    early = seen.astype(np.int64) - stored
    span = int(seen.max()) - int(seen.min())
    assert (early >= 0).all()
    assert (early <= span / 32768).all()
    assert span > 65535 or not early.any()
    again = quantise.time_code(stored)
    assert np.array_equal(again[0], steps)
    assert again[1:] == (base, shift)


def test_normals_are_within_their_error() -> None:
    normal = np.random.default_rng(1).normal(size=(50_000, 3))
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    stored = quantise.normal_of(quantise.normal_code(normal.astype(np.float32)))
    angle = np.degrees(np.arccos(np.clip((normal * stored).sum(1), -1, 1)))
    assert angle.max() < quantise.NORMAL_ERROR_DEG
    poles = np.concatenate([np.eye(3), -np.eye(3)]).astype(np.float32)
    np.testing.assert_allclose(quantise.normal_of(quantise.normal_code(poles)), poles, atol=1e-12)


@pytest.mark.parametrize("voxel_m", [0.001, 0.01, 0.05])
def test_positions_are_within_half_a_quantum_and_settle(voxel_m: float) -> None:
    rng = np.random.default_rng(2)
    cell = rng.integers(-32000, 32000, (20_000, 3))
    xyz = ((cell + rng.random(cell.shape)) * voxel_m).astype(np.float32)
    quanta = quantise.position_quanta(xyz, cell, voxel_m)
    stored = quantise.position_of(quanta, cell, voxel_m)
    rounding = np.spacing(np.abs(xyz).max())
    assert np.abs(stored - xyz).max() <= voxel_m / (2 * quantise.POSITION_STEPS) + 2 * rounding
    assert np.array_equal(quantise.position_quanta(stored, cell, voxel_m), quanta)


def test_words_hold_what_was_put_in() -> None:
    rng = np.random.default_rng(3)
    fraction, rgb = rng.integers(0, 256, (2, 5000, 3), dtype=np.uint8)
    voxel, sensed = rng.integers(0, 512, 5000).astype(np.uint16), rng.random(5000) < 0.5
    put_in = fraction, rgb, voxel, sensed
    for a, b in zip(quantise.unpack_words(quantise.pack_words(*put_in)), put_in, strict=True):
        assert np.array_equal(a, b)


def test_levels_are_the_means_of_their_cells() -> None:
    rng = np.random.default_rng(4)
    cells = np.unique(rng.integers(0, 128, (3000, 3)), axis=0)
    morton = chunks._spread(cells[:, 0]) | chunks._spread(cells[:, 1]) << 1 | chunks._spread(cells[:, 2]) << 2
    order = np.argsort(morton)
    cells, morton, n = cells[order], morton[order], len(cells)
    quanta, rgb = rng.integers(0, 256, (2, n, 3), dtype=np.uint8)
    seen, sensed = rng.integers(0, 1 << 16, n).astype(np.uint16), rng.random(n) < 0.5
    levels = build_levels(morton, quanta, rgb, seen, sensed)
    assert len(levels) == LEVELS
    for level, words in enumerate(levels, 1):
        groups, of = np.unique(morton >> 3 * level, return_inverse=True)
        count = np.bincount(of)
        assert len(words) == len(groups)
        place = cells * 256 + quanta.astype(int)
        for k in range(3):
            mean = np.bincount(of, place[:, k]) / count / 128
            assert np.array_equal((words >> np.uint64(8 * k)).astype(np.uint8), np.floor(mean).astype(np.uint8))
            colour = np.bincount(of, rgb[:, k].astype(float)) / count
            assert np.abs((words >> np.uint64(24 + 8 * k)).astype(np.uint8) - colour).max() <= 0.5
        latest = np.zeros(len(groups), int)
        np.maximum.at(latest, of, seen)
        assert np.array_equal((words >> np.uint64(SEEN_SHIFT)).astype(int) & SEEN_MASK, latest >> 1)
        assert np.array_equal(words >> np.uint64(LEVEL_SENSED_SHIFT) == 1, 2 * np.bincount(of, sensed) >= count)
