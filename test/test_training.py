"""Training the space-time network: noise, stages, and a run that resumes as if it had not stopped."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_stand_ins import TINY, RandomClips

from spatia_ros.engine.bundle import engines_folder, read_bundle
from spatia_ros.generator.network import SpaceTimeNet
from spatia_ros.train import checkpoint, log_html
from spatia_ros.train.card import CARD
from spatia_ros.train.conditions import conditions_of
from spatia_ros.train.feed import ClipBatches, held_out
from spatia_ros.train.initial import by_chance, lineage
from spatia_ros.train.loop import rate_at
from spatia_ros.train.noise import (
    CONDITIONS,
    Corruption,
    blanked,
    draw_dropped,
    drop,
    logit_normal,
    none_dropped,
    only_dropped,
    worn,
)
from spatia_ros.train.objectives import OBJECTIVES, clean_latents
from spatia_ros.train.presets import PRESETS, STAGES, StageName, StagePlan, preset_of
from spatia_ros.train.processes import Processes
from spatia_ros.train.run import RunOptions, RunPlan, first_network, read_result, run
from spatia_ros.train.validate import generate, validate, worth
from spatia_ros.types import SpatiaError

SHORT = StagePlan(steps=4, batch=2, frames=2, context=2, learning_rate=1e-3, warmup=2)
CLIPS = RandomClips()
ALONE = Processes()


def noise_of(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def at_once() -> bool:
    """One step is let through; then the run is saved and left."""
    return True


def tiny_plan(*stages: StageName, **changes: object) -> RunPlan:
    numbers = tuple((stage, SHORT) for stage in stages)
    plan = RunPlan("tiny", "nano", TINY.as_dict(), numbers, None, ("random clips",), ("lounge",), 3, False, "spatia train")
    return replace(plan, **changes)


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """What is this small is slower on more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def network() -> SpaceTimeNet:
    network = by_chance(SpaceTimeNet(TINY), 5)
    with torch.no_grad():  # so that no part is silent because it starts at zero
        for i, parameter in enumerate(network.parameters()):
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=noise_of(i)))
    return network


# --- noise


def test_flow_times_lie_between_and_lean_to_noise() -> None:
    even, shifted = logit_normal((4000,), 1.0, noise_of()), logit_normal((4000,), 3.0, noise_of())
    assert float(shifted.min()) > 0
    assert float(shifted.max()) < 1
    assert abs(float(even.mean()) - 0.5) < 0.02
    assert float(shifted.median()) == pytest.approx(0.75, abs=0.02)  # 3 t / (1 + 2 t) at t = 1/2


def test_conditions_drop_alone_several_and_together() -> None:
    dropped = draw_dropped(4000, 0.1, 0.2, noise_of())
    shares = [float(getattr(dropped, name).float().mean()) for name in CONDITIONS]
    assert all(0.08 < share < 0.12 for share in shares), shares
    assert 0.17 < float(dropped.guidance.float().mean()) < 0.23
    several = torch.stack([getattr(dropped, name) for name in CONDITIONS]).sum(0)
    assert {0, 1, 2, 3} <= set(several.tolist())


@pytest.mark.parametrize("name", CONDITIONS)
def test_what_is_dropped_no_longer_matters(network: SpaceTimeNet, name: str) -> None:
    batch = CLIPS.one_batch(2)
    other = CLIPS.one_batch(2, seed=9)
    fields = {
        "memory_render": ("memory", "uncovered", "image"), "references": ("context_frames",), "rays": ("rays", "context_rays"),
        "animation_time": ("animation", "context_animation"), "text": ("tokens",),
    }[name]
    changed = replace(batch, **{field: getattr(other, field) for field in fields})
    if name == "memory_render":  # the pixels' own rays are the camera's
        changed.image[:, :, 13:15] = batch.image[:, :, 13:15]
    dropped = only_dropped(name, 2)
    assert torch.equal(generate(network, batch, 1, 0, dropped), generate(network, changed, 1, 0, dropped))
    assert not torch.equal(generate(network, batch, 1, 0), generate(network, changed, 1, 0))


@torch.no_grad()
def test_guidance_drops_the_prompt_and_makes_context_noise(network: SpaceTimeNet) -> None:
    told = conditions_of(network, CLIPS.one_batch(2))
    untold = drop(told, replace(none_dropped(2), guidance=torch.tensor([True, False])), noise_of())
    assert (untold.tokens[0] == 0).all()
    assert torch.equal(untold.tokens[1], told.tokens[1])
    assert abs(float(untold.context[0].std()) - 1) < 0.1
    assert torch.equal(untold.context[1], told.context[1])
    assert torch.equal(untold.memory, told.memory)


def test_absent_context_stays_absent(network: SpaceTimeNet) -> None:
    batch = CLIPS.one_batch(2)
    batch.context_frames[:, 1] = 0.0
    context = worn(conditions_of(network, batch).context, noise_of())
    assert (context[:, 1] == 0).all()
    assert (context[:, 0, :-1] != 0).all()


def test_corruption_leaves_some_and_falls_back_to_memory() -> None:
    latents, memory = torch.ones(64, 1, 4, 6, 6), torch.full((64, 1, 4, 6, 6), 7.0)
    spoilt = Corruption(clean=0.5, noise=0.0, forget=1.0)(latents, memory, noise_of())
    assert set(spoilt.unique().tolist()) == {1.0, 7.0}
    assert 0.3 < float((spoilt == 1).flatten(1).all(1).float().mean()) < 0.7
    noisy = Corruption(clean=0.0, noise=0.5, forget=0.0)(latents, memory, noise_of())
    assert 0.0 < float(noisy.std()) < 0.5


# --- stages


@pytest.mark.parametrize("stage", OBJECTIVES)
def test_every_stage_learns_its_part_and_no_other(stage: str, network: SpaceTimeNet) -> None:
    twin = by_chance(network, 0)
    twin.load_state_dict(network.state_dict())
    before = {name: value.clone() for name, value in twin.state_dict().items()}
    objective = OBJECTIVES[stage](twin)
    optimiser = torch.optim.Adam([p for p in twin.parameters() if p.requires_grad], 2e-3)
    batch, losses = CLIPS.one_batch(4), []
    for _ in range(6):
        total, _ = objective(batch, noise_of(1))
        optimiser.zero_grad()
        total.backward()
        assert all(p.grad is not None for p in twin.parameters() if p.requires_grad), "processes wait for every gradient"
        optimiser.step()
        losses.append(float(total.detach()))
    assert losses[-1] < losses[0]
    moved = {name.split(".")[0] for name, value in twin.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {part.rstrip(".") for part in objective.trained}


def test_what_flows_end_at_carries_the_box(network: SpaceTimeNet) -> None:
    batch = CLIPS.one_batch(2)
    clean = clean_latents(network, batch)
    assert clean.shape[2] == TINY.latent + 1
    assert torch.equal(clean[:, :, -1:], batch.box)
    np.testing.assert_allclose((clean[:, :, :-1] ** 2).mean(2).detach(), 1.0, rtol=1e-2)


def test_learning_rate_warms_up_and_falls() -> None:
    plan = replace(SHORT, steps=1000, warmup=200)
    rates = [rate_at(step, plan) for step in (0, 100, 199, 600, 999)]
    assert rates[0] < rates[1] < rates[2] > rates[3] > rates[4] > 0


def test_presets_have_every_stage_and_grow() -> None:
    for preset in PRESETS.values():
        assert set(STAGES) | {"tune", "consistency", "navigate"} == set(preset.stages)
    assert PRESETS["nano"].stages["flow"].steps < PRESETS["small"].stages["flow"].steps < PRESETS["base"].stages["flow"].steps
    with pytest.raises(SpatiaError, match="expected one of nano, small, base"):
        preset_of("huge")


# --- runs


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_resumed_run_is_an_uninterrupted_one_bit_for_bit(tmp_path: Path) -> None:
    plan = tiny_plan("autoencoder", "flow", "direct")
    whole, halves = RunOptions(tmp_path / "whole", report_every=2), RunOptions(tmp_path / "halves", report_every=2)
    assert run(plan, whole, CLIPS, ALONE) is not None
    pauses = 0
    while run(plan, replace(halves, stop=at_once), CLIPS, ALONE) is None:
        pauses += 1
    assert pauses == 9
    for stage in ("autoencoder", "flow", "direct"):
        straight, resumed = (checkpoint.load_file(f / stage / checkpoint.FILE) for f in (whole.folder, halves.folder))
        assert any(name.startswith("optimiser.") for name in straight)
        assert same(straight, resumed), stage
    rows = log_html.read(halves.folder)
    assert [(row["stage"], row["step"]) for row in rows] == [(s, n) for s, _ in plan.stages for n in (2, 4)]
    assert all(np.isfinite(row["psnr_net"]) for row in rows)


def test_consistency_resumes_with_its_target(tmp_path: Path) -> None:
    plan = tiny_plan("consistency")
    run(plan, RunOptions(tmp_path / "whole"), CLIPS, ALONE)
    while run(plan, RunOptions(tmp_path / "halves", stop=at_once), CLIPS, ALONE) is None:
        pass
    assert same(*(checkpoint.load_file(tmp_path / f / "consistency" / checkpoint.FILE) for f in ("whole", "halves")))


def test_a_run_leaves_page_card_and_weights(tmp_path: Path) -> None:
    plan = tiny_plan("autoencoder", "direct", seed=1)
    assert run(plan, RunOptions(tmp_path, report_every=2), CLIPS, ALONE) is not None
    page = (tmp_path / log_html.PAGE).read_text()
    assert page.count("<svg") >= 4
    assert "data:image/jpeg;base64," in page
    assert "http" not in page.replace("http-equiv", ""), "the page needs nothing else"
    card = (tmp_path / CARD).read_text()
    told = ("random clips", "lounge", "4 of 4", "| memory render |", "| direct | ", "PSNR of invented pixels, network", "Limits")
    for said in told:
        assert said in card, said
    result = read_result(tmp_path)
    assert (result.stage, result.step) == ("direct", 4)
    assert set(result.figures) == {"psnr_net", "psnr_fill", "absrel_net", "absrel_fill"}
    finished = first_network(replace(plan, init=str(tmp_path)))
    assert same(finished.state_dict(), result.network.state_dict())


def test_a_card_tells_what_its_weights_began_from(tmp_path: Path) -> None:
    first, second = (replace(tiny_plan("autoencoder"), command=f"train {name}") for name in ("first", "second"))
    run(first, RunOptions(tmp_path / "first"), CLIPS, ALONE)
    run(replace(second, init=str(tmp_path / "first")), RunOptions(tmp_path / "second"), CLIPS, ALONE)
    assert "```\ntrain first\n```" in (tmp_path / "first" / CARD).read_text()
    assert "```\ntrain first\ntrain second\n```" in (tmp_path / "second" / CARD).read_text()
    assert lineage(str(tmp_path / "second")) == ("train first", "train second")
    assert lineage("nano") == (read_bundle(engines_folder() / "nano").command,)
    assert lineage(str(tmp_path / "gone")) == lineage(None) == ()


def test_an_unfinished_run_can_be_read_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    plan = tiny_plan("autoencoder", "direct")
    assert run(plan, RunOptions(tmp_path / "some", stop=at_once), CLIPS, ALONE) is None
    assert (read_result(tmp_path / "some").stage, read_result(tmp_path / "some").step) == ("autoencoder", 1)
    with pytest.raises(SpatiaError, match=r"expected plan\.json, found none"):
        read_result(tmp_path)


def test_another_plan_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    options = RunOptions(tmp_path, stop=at_once)
    run(tiny_plan("autoencoder"), options, CLIPS, ALONE)
    with pytest.raises(SpatiaError, match="expected to go on with seed = 3, got 4"):
        run(tiny_plan("autoencoder", seed=4), options, CLIPS, ALONE)
    wider = replace(TINY, latent=8).as_dict()
    with pytest.raises(SpatiaError, match="expected to go on with model"):
        run(tiny_plan("autoencoder", model=wider), options, CLIPS, ALONE)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    run(tiny_plan("autoencoder"), RunOptions(tmp_path, stop=at_once), CLIPS, ALONE)
    file = tmp_path / "autoencoder" / checkpoint.FILE
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(SpatiaError, match="not a checkpoint"):
        run(tiny_plan("autoencoder"), RunOptions(tmp_path), CLIPS, ALONE)


def test_nothing_to_start_from_is_said() -> None:
    with pytest.raises(SpatiaError, match="expected an engine or a training run"):
        first_network(tiny_plan("tune", init="no-such-engine"))


def test_batches_follow_from_their_seeds_and_cost_the_same() -> None:
    batches = ClipBatches(CLIPS)
    plan = replace(SHORT, frames=4)
    a, b, c = batches.batch((1, 2), plan), batches.batch((1, 2), plan), batches.batch((1, 3), plan)
    assert torch.equal(a.image, b.image)
    assert not (a.image.shape == c.image.shape and torch.equal(a.image, c.image))
    shapes = {batches.batch((seed,), plan).image.shape[:2] for seed in range(12)}
    assert {B * T for B, T in shapes} == {8}
    assert len(shapes) == 3


def test_validation_says_what_a_condition_is_worth(network: SpaceTimeNet) -> None:
    batches = held_out(CLIPS.validation, SHORT, 4)
    figures = validate(network, batches)
    assert figures == validate(network, batches), "the same seed, the same figures"
    told, untold = worth(network, "memory_render", batches)
    assert told == pytest.approx(figures["psnr_net"])
    assert told != untold


def test_a_blank_image_keeps_its_rays() -> None:
    image = CLIPS.one_batch(2).image
    blank = blanked(image, torch.tensor([True, False]))
    assert torch.equal(blank[1], image[1])
    assert torch.equal(blank[0, :, 13:15], image[0, :, 13:15])
    assert (blank[0, :, 8:10] == 1).all()
    assert (blank[0, :, :8] == 0).all()
    assert (blank[0, :, 10:13] == 0).all()


def test_two_processes_learn_one_network(tmp_path: Path) -> None:
    """Gradients are averaged over both processes' batches: two of half the size are one of the whole."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(__file__).with_name("training_stand_ins.py")
    environment = os.environ | {
        "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parent)]),
    }
    both = [
        subprocess.Popen([sys.executable, str(script), str(tmp_path)], env=environment | {"RANK": str(rank), "LOCAL_RANK": "0"})
        for rank in range(2)
    ]
    assert [process.wait(timeout=400) for process in both] == [0, 0]
    weights = [checkpoint.load_file(tmp_path / f"rank{rank}.safetensors") for rank in range(2)]
    assert same(*weights), "both hold the same weights"
    assert not same(weights[0], dict(first_network(tiny_plan("direct")).state_dict())), "and they moved"
    assert json.loads((tmp_path / "run" / log_html.LOG).read_text().splitlines()[-1])["step"] == 4
