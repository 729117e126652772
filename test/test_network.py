"""The space-time network against its slow readable truth, and what each of its conditions may and may not change."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from spatia_ros.generator.blocks import Places, SelfAttention, TransformerBlock, rotate
from spatia_ros.generator.decoder import COLOUR_PRIOR, DEPTH_PRIOR, candidates, shrink
from spatia_ros.generator.network import NANO, PRESETS, ModelConfig, SpaceTimeNet, graphs
from spatia_ros.generator.transformer import NO_CLOCK, SEEN, TICKS_S, Clock, Denoiser, octaves, tokens_of
from spatia_ros.types import SpatiaError

TINY = ModelConfig(4, 32, 5, 2, encoder=(8, 8, 16), painter=(8, 8, 16), decoder=(8, 16, 16), words=16)


def random_network(seed: int = 0, config: ModelConfig = TINY) -> SpaceTimeNet:
    """A network none of whose layers is zero: each of its conditions reaches the outcome."""
    torch.manual_seed(seed)
    network = SpaceTimeNet(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.2 * torch.randn_like(parameter) / max(parameter[0].numel(), 1) ** 0.5
    return network


def clip(seed: int = 1, B: int = 2, T: int = 3, K: int = 2, S: int = 4, h: int = 2, w: int = 3) -> dict[str, Tensor]:
    """Inputs of context (with _c) and denoise."""
    g = torch.Generator().manual_seed(seed)
    n = lambda *shape: torch.randn(*shape, generator=g)  # noqa: E731
    return {
        "latents_c": n(B, K, 5, 5, 8), "rays_c": n(B, K, 9, 5, 8), "time_c": n(B, K), "animation_c": n(B, K),
        "z": n(B, T, 5, h, w), "flow_time": torch.rand(B, generator=g), "memory": n(B, T, 4, h, w),
        "uncovered": torch.rand(B, T, 1, h, w, generator=g), "rays": n(B, T, 9, h, w), "time": n(B, T), "animation": n(B, T),
        "tokens": torch.randint(1, 16, (B, S), generator=g),
    }


@torch.no_grad()
def denoised(network: SpaceTimeNet, told: dict[str, Tensor]) -> Tensor:
    """The cached path: context once, then the clip."""
    keys, values = network.context(*(told[f"{name}_c"] for name in ("latents", "rays", "time", "animation")))
    names = ("z", "flow_time", "memory", "uncovered", "rays", "time", "animation")
    return network.denoise(*(told[name] for name in names), network.text(told["tokens"]), keys, values)


# --- the slow truth: all tokens in one sequence, a mask that says who looks at whom, one query at a time in float64


def attention_truth(block: TransformerBlock, tokens: Tensor, angle: Tensor, mask: Tensor) -> Tensor:
    """Attention of one entry's normalised and modulated tokens [M, W] by the book, angle [M, d / 2], mask [M, M] bool."""
    _, heads, d = block.attention.split
    q, k, v = (block.attention.qkv(tokens).reshape(len(tokens), 3, heads, d)[:, i] for i in range(3))
    found = torch.zeros_like(tokens)
    turns = torch.polar(torch.ones_like(angle), angle)
    for head in range(heads):
        turned = []
        for x, gain, lean in zip((q, k), block.attention.gain, block.attention.lean[:, head, 0], strict=True):
            x = x[:, head] / (x[:, head] ** 2).mean(1, keepdim=True).add(1e-6).sqrt() * gain + lean
            turned.append(torch.view_as_real(torch.complex(x[:, : d // 2], x[:, d // 2 :]) * turns).transpose(1, 2).flatten(1))
        weight = (turned[0] @ turned[1].T).masked_fill(~mask, -torch.inf).softmax(1)
        found[:, head * d : (head + 1) * d] = weight @ v[:, head]
    return block.attention.out(found)


def block_truth(block: TransformerBlock, x: Tensor, told: list[Tensor], angle: Tensor, mask: Tensor) -> Tensor:
    """One block over one entry's tokens [M, W]; told: clock and the six modulations, each [M, W]."""
    clock, shift, scale, gate, shift_mlp, scale_mlp, gate_mlp = told
    x = x + clock
    x = x + gate * attention_truth(block, block.norm(x) * scale + shift, angle, mask)
    return x + gate_mlp * block.mlp(block.norm(x) * scale_mlp + shift_mlp)


def angles_truth(net: Denoiser, time: Tensor, animation: Tensor, rays: Tensor) -> Tensor:
    """Rotation [T * h * w, d / 2] of every token, one by one; rays [T, 9, h, w]."""
    h, w = rays.shape[2:]
    axes = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 3**0.5
    angles = []
    for t, shown, ray in zip(time, animation, rays, strict=True):
        clock = 0.0 if shown <= NO_CLOCK else shown * TICKS_S
        for i in range(h):
            for j in range(w):
                places = [t * TICKS_S, clock, (i + 0.5) / h * 10.0, (j + 0.5) / w * 16.0, *(axes @ ray[6:, i, j])]
                angles.append(torch.cat([p * f for p, f in zip(places, net.places.frequency, strict=True)]))
    return torch.stack(angles)


@torch.no_grad()
def denoised_truth(network: SpaceTimeNet, told: dict[str, Tensor], entry: int) -> Tensor:
    """The uncached path of one batch entry: context frames, clip and text as one masked sequence."""
    net, e = network.transformer, {name: value[entry] for name, value in told.items()}
    (K, _, hc, wc), (T, C, h, w) = e["latents_c"].shape, e["z"].shape
    n_c, n_x, text = K * hc * wc, T * h * w, net.norm(network.text(e["tokens"][None])[0])
    flat = lambda x: tokens_of(x[None]).flatten(0, 2)  # noqa: E731
    seen, ray = torch.cat([flat(e["latents_c"]), flat(e["z"])]), torch.cat([flat(e["rays_c"]), flat(e["rays"])])
    x = net.enter(seen) + net.rays(octaves(ray))
    middle = angles_truth(net, e["time"][:1], e["animation"][:1], torch.zeros(1, 9, 1, 1)).expand(len(text), -1)
    of_context = angles_truth(net, e["time_c"], e["animation_c"], e["rays_c"])
    place = torch.cat([of_context, angles_truth(net, e["time"], e["animation"], e["rays"]), middle])
    frame = torch.cat([torch.arange(K).repeat_interleave(hc * wc), torch.full((n_x + len(text),), -1)])
    mask = frame[:, None] == frame  # a context frame sees itself
    mask[n_c : n_c + n_x] = True  # the clip sees everything
    mask[n_c + n_x :] = torch.eye(len(mask), dtype=torch.bool)[n_c + n_x :]

    clean = [net.timing(torch.zeros(1), clock.view(1, 1)) for clock in e["animation_c"]]
    noisy = net.timing(e["flow_time"][None], e["animation"][None])

    def told_of(i: int) -> list[Tensor]:
        parts = []
        for j in range(7):
            own = noisy[i][j].expand(1, T, 1, -1)[0, :, 0].repeat_interleave(h * w, 0)
            context = torch.cat([timing[i][j][0, 0].expand(hc * wc, -1) for timing in clean])
            parts.append(torch.cat([context, own]))
        return parts

    hint = x[n_c:] + net.memory(flat(torch.cat([e["memory"], e["uncovered"]], 1)))
    own = slice(n_c, n_c + n_x)
    for i, block in enumerate(net.blocks):
        if i % net.every == 0:
            j = i // net.every
            told_hint = [part[own] for part in told_of(len(net.blocks) + j)]
            hint = block_truth(net.control[j], hint, told_hint, place[own], torch.ones(n_x, n_x, dtype=torch.bool))
            x = torch.cat([x[:n_c], x[n_c:] + net.hint[j](hint)])
        as_is = [torch.zeros_like(text), torch.zeros_like(text), torch.ones_like(text)] + 4 * [torch.zeros_like(text)]
        parts = [torch.cat(pair) for pair in zip(told_of(i), as_is, strict=True)]
        # text comes normalised and goes into every block as it is: norm(norm(text)) is norm(text)
        x = block_truth(block, torch.cat([x, text]), parts, place, mask)[: n_c + n_x]
    learned = net.leave(net.norm(x[own])).view(T, h, w, C).permute(0, 3, 1, 2)
    return learned + torch.cat([e["memory"], torch.zeros_like(e["uncovered"])], 1)


def test_the_cached_path_is_one_masked_attention():
    network, told = random_network(), clip()
    fast = denoised(network, told)
    for entry in range(2):
        torch.testing.assert_close(fast[entry], denoised_truth(network, told, entry), atol=2e-4, rtol=1e-4)


def test_keys_and_values_of_a_context_frame_stand_on_their_own():
    network, told = random_network(), clip(K=3)
    parts = [told[f"{name}_c"] for name in ("latents", "rays", "time", "animation")]
    with torch.no_grad():
        together = network.context(*parts)
        one_by_one = [network.context(*(part[:, i : i + 1] for part in parts)) for i in range(3)]
    for whole, pieces in zip(together, zip(*one_by_one, strict=True), strict=True):
        torch.testing.assert_close(whole, torch.cat(pieces, 3), atol=1e-5, rtol=1e-5)


def test_a_context_frame_and_words_that_are_not_there_change_nothing():
    network, told = random_network(), clip()
    padded = dict(told)
    for name in ("latents_c", "rays_c", "time_c", "animation_c"):
        padded[name] = torch.cat([told[name], torch.zeros_like(told[name][:, :1])], 1)
    padded["tokens"] = torch.cat([told["tokens"], torch.zeros(2, 3, dtype=torch.int64)], 1)
    torch.testing.assert_close(denoised(network, padded), denoised(network, told), atol=1e-5, rtol=1e-5)


def test_nothing_at_all_to_look_at_is_finite():
    network, told = random_network(), clip(K=1)
    for name in ("latents_c", "rays_c", "rays", "memory", "tokens"):
        told[name] = torch.zeros_like(told[name])
    told["animation"] = torch.full_like(told["animation"], NO_CLOCK)
    assert torch.isfinite(denoised(network, told)).all()


@pytest.mark.parametrize("name", sorted(clip()))
def test_every_condition_reaches_the_outcome_of_its_own_entry_only(name: str):
    network, told = random_network(), clip()
    before, other = denoised(network, told), told[name].clone()
    other[0] = told[name][0].flip(0) if name == "tokens" else told[name][0] * 0.5
    after = denoised(network, told | {name: other})
    assert (after[0] - before[0]).abs().max() > 1e-5
    torch.testing.assert_close(after[1], before[1], atol=1e-6, rtol=0)


def test_an_untrained_network_says_what_memory_says():
    torch.manual_seed(0)
    network, told = SpaceTimeNet(TINY).eval(), clip()
    clean = denoised(network, told)
    assert torch.equal(clean[:, :, :4], told["memory"])
    assert not clean[:, :, 4].any()


def test_conditions_start_by_changing_nothing():
    """With only the way in and out trained, what control, rays and clocks say is not heard yet: only places turn attention."""
    torch.manual_seed(0)
    network, told = SpaceTimeNet(TINY).eval(), clip()
    with torch.no_grad():
        network.transformer.leave.weight.normal_()
        network.transformer.timing.offset.fill_(0.5)  # gates open
    before = denoised(network, told)
    more = {name: told[name] + 1.0 for name in ("uncovered", "rays", "rays_c")}
    for name in ("rays", "rays_c"):
        more[name][:, :, SEEN] = told[name][:, :, SEEN]
    for name, value in more.items():
        torch.testing.assert_close(denoised(network, told | {name: value}), before, atol=0, rtol=0)
    assert not torch.equal(denoised(network, told | {"latents_c": told["latents_c"] + 1.0}), before)


def test_the_clock_is_causal():
    torch.manual_seed(0)
    clock, times = Clock(8), torch.tensor([[0.0, 0.1, 0.2, 0.3, 0.4]])
    later = times.clone()
    later[0, 3] = 7.0
    before, after = clock(times), clock(later)
    torch.testing.assert_close(before[:, :3], after[:, :3], atol=0, rtol=0)
    assert (before[:, 3:] - after[:, 3:]).abs().amax(-1).min() > 1e-4


def test_frames_without_a_clock_look_like_those_before_the_first():
    torch.manual_seed(0)
    clock = Clock(8)
    late = clock(torch.tensor([[NO_CLOCK, NO_CLOCK, NO_CLOCK, NO_CLOCK, 0.3, 0.4]]))
    torch.testing.assert_close(clock(torch.tensor([[NO_CLOCK, NO_CLOCK, 0.3, 0.4]])), late[:, 2:])


def test_times_with_gaps_matter_and_only_differences_do():
    network, told = random_network(), clip()
    told["time"], told["time_c"] = torch.tensor([[3.0, 3.1, 3.2]] * 2), torch.tensor([[2.8, 2.9]] * 2)
    before = denoised(network, told)
    gap = denoised(network, told | {"time_c": torch.tensor([[0.4, 2.9]] * 2)})
    assert (gap - before).abs().max() > 1e-3
    shifted = denoised(network, told | {"time": told["time"] + 5.0, "time_c": told["time_c"] + 5.0})
    torch.testing.assert_close(shifted, before, atol=2e-4, rtol=1e-3)


def test_rotation_keeps_lengths_and_sees_differences_only():
    places, x = Places(16), torch.randn(1, 1, 1, 16, generator=torch.Generator().manual_seed(0))
    nowhere = torch.zeros(1, 2, 3, 1, 1)
    near, far = (places(torch.tensor([[t, t + 2.0]]), torch.tensor([[t, t - 1.0]]), nowhere) for t in (0.0, 40.0))
    a, b = (rotate(x.expand(1, 1, 2, 16), turn) for turn in (near, far))
    torch.testing.assert_close(a.norm(dim=-1), x.norm().expand(1, 1, 2))
    torch.testing.assert_close(a[..., 0, :] @ a[..., 1, :].mT, b[..., 0, :] @ b[..., 1, :].mT, atol=1e-4, rtol=1e-4)


def test_what_says_nothing_leans_towards_its_own_moment():
    """Whatever the clock, the pixel and the direction: how far apart the times shown are decides, and equal ones win."""
    attention, g = SelfAttention(128, 2), torch.Generator().manual_seed(0)
    shown = torch.tensor([[0.0, 0.0, 0.1, 0.2, 0.4, -0.4, 1.4, 1.8]])
    seen = torch.nn.functional.normalize(torch.randn(1, 8, 3, 1, 1, generator=g), dim=2)
    turn = Places(64)(torch.rand(1, 8, generator=g) * 100.0, shown * TICKS_S, seen)
    q, k, _ = attention.project(torch.zeros(1, 8, 1, 128), turn)
    logits = (q @ k.transpose(2, 3))[0].detach()
    assert torch.allclose(logits[0], logits[1], atol=1e-5), "both heads start alike"
    row = logits[0, 0]
    assert row[0] == pytest.approx(float(row[1]), abs=1e-5)
    assert row[0] > 1.2
    assert row[2:].max() < row[0] - 0.3
    assert row[4] == pytest.approx(float(row[5]), abs=1e-5)
    assert logits[0, 6, 7] == pytest.approx(float(row[4]), abs=1e-4), "only differences matter"


def test_grids_of_different_sizes_share_their_places():
    places = Places(16)
    now = torch.zeros(1, 1)
    (coarse, _), (fine, _) = (places(now, now, torch.zeros(1, 1, 3, *grid)) for grid in ((5, 8), (15, 24)))
    torch.testing.assert_close(fine.view(15, 24, 8)[1::3, 1::3], coarse.view(5, 8, 8))


def test_latents_have_the_scale_of_noise():
    network = random_network()
    z = network.encode(5.0 * torch.randn(2, 5, 32, 48, generator=torch.Generator().manual_seed(0)))
    assert z.shape == (2, 4, 2, 3)
    torch.testing.assert_close((z**2).mean(1), torch.ones(2, 2, 3), atol=1e-3, rtol=0)
    assert network.paint(z).shape == (2, 4, 32, 48)


def fill_inputs(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """z of the NANO shape, image and to_view of two 32x48 frames with half of them covered."""
    g = torch.Generator().manual_seed(seed)
    image = torch.randn(2, 15, 32, 48, generator=g)
    image[:, 4] = (image[:, 4] > 0).float()
    return torch.randn(2, 17, 2, 3, generator=g), image, torch.tensor([[1.2, 0.1, -0.1, 0.0, 0.3]] * 2)


def test_an_untrained_decoder_weighs_the_fills_by_their_prior():
    torch.manual_seed(0)
    z, image, to_view = fill_inputs()
    network = SpaceTimeNet(NANO)
    with torch.no_grad():
        got, painted = network.decode(z, image, to_view), network.paint(z[:, :16])
    offset, share = to_view[:, :, None, None], torch.softmax(torch.tensor(COLOUR_PRIOR), 0)
    parts = (*candidates(image), offset[:, :1] * painted[:, :3] + offset[:, 1:4])
    want = sum(s * part for s, part in zip(share, parts, strict=True)) - image[:, :3]
    torch.testing.assert_close(got[:, :3], want * (image[:, 4:5] == 0), atol=1e-4, rtol=0)
    assert share[-1] < 0.002, "next to none of it is what latents show"


def test_latents_that_are_trusted_fill_holes_and_nothing_else():
    network = random_network()
    z, image, to_view = fill_inputs()
    hole, offset = image[:, 4:5] == 0, to_view[:, :, None, None]
    with torch.no_grad():
        for last in (len(COLOUR_PRIOR), len(COLOUR_PRIOR) + len(DEPTH_PRIOR)):
            network.decode.head.bias[last * 16 : (last + 1) * 16] = 40.0
        painted, change = network.paint(z[:, :4]), network.decode(z[:, :5], image, to_view)
    want = torch.cat([offset[:, :1] * painted[:, :3] + offset[:, 1:4], painted[:, 3:] + offset[:, 4:]], 1) - image[:, :4]
    torch.testing.assert_close(change[:, :4], want * hole, atol=1e-4, rtol=1e-4)


def test_shrinking_goes_back_to_the_prior():
    z, image, to_view = fill_inputs()
    network, untrained = random_network(), SpaceTimeNet(TINY)
    shrink(network.decode, 0.0)
    torch.testing.assert_close(network.decode.head.bias[16:], untrained.decode.head.bias[16:])
    assert not network.decode.head.weight[16:].any()
    assert network.decode.head.weight[:16].any()
    same = random_network()
    shrink(same.decode, 1.0)
    with torch.no_grad():
        torch.testing.assert_close(same.decode(z[:, :5], image, to_view), random_network().decode(z[:, :5], image, to_view))


def test_depth_may_have_a_share_of_its_own():
    z, image, to_view = fill_inputs()
    with torch.no_grad():
        free, untrained, network = (
            net.decode(z[:, :5], image, to_view) for net in (random_network(), _shared(0.0, 0.0), _shared(1.0, 0.0))
        )
        other = _shared(0.0, 1.0).decode(z[:, :5], image, to_view)
    for mine, colour, depth in ((network, free, untrained), (other, untrained, free)):
        assert (mine[:, 4] - free[:, 4]).abs().max() == 0, "the foretold error is as learned"
        assert (mine[:, 3] - depth[:, 3]).abs().max() < (free[:, 3] - untrained[:, 3]).abs().max() * 0.2
        assert (mine[:, :3] - colour[:, :3]).abs().max() < (free[:, :3] - untrained[:, :3]).abs().max() * 0.2


def _shared(share: float, depth_share: float) -> SpaceTimeNet:
    network = random_network()
    shrink(network.decode, share, depth_share)
    return network


def test_config_goes_through_a_manifest():
    for config in PRESETS.values():
        assert ModelConfig.from_dict(config.as_dict()) == config
    with pytest.raises(SpatiaError, match="expected the fields"):
        ModelConfig.from_dict(NANO.as_dict() | {"colour": 3})
    assert replace(NANO, depth=2) != NANO


def test_every_parameter_learns():
    """No layer is left out of what training sees, as one that starts at zero behind another would be."""
    network, told = random_network(), clip()
    frames = torch.randn(2, 5, 32, 48, generator=torch.Generator().manual_seed(0))
    keys, values = network.context(*(told[f"{name}_c"] for name in ("latents", "rays", "time", "animation")))
    names = ("z", "flow_time", "memory", "uncovered", "rays", "time", "animation")
    z = network.denoise(*(told[name] for name in names), network.text(told["tokens"]), keys, values)
    _, image, to_view = fill_inputs()
    (network.decode(z[:, 0] + network.encode(frames).mean(), image, to_view).square().mean() + z.square().mean()).backward()
    idle = [name for name, parameter in network.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert idle == []


def test_graphs_share_the_weights():
    network = random_network()
    owned = {id(parameter) for parameter in network.parameters()}
    assert {id(p) for graph in graphs(network).values() for p in graph.parameters()} == owned


def test_bfloat16_says_about_the_same():
    network, told = random_network(), clip()
    want = denoised(network, told)
    with torch.autocast("cpu", torch.bfloat16):
        got = denoised(network, told).float()
    assert (got - want).abs().mean() < 0.1 * (want - torch.nn.functional.pad(told["memory"], (0, 0, 0, 0, 0, 1))).abs().mean()
