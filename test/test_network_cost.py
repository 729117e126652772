"""The arithmetic of costs against torch's own counter, and the table in the docstring against the arithmetic."""

import re

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from spatia_ros.generator import cost
from spatia_ros.generator.network import PRESETS, ModelConfig, SpaceTimeNet

TINY = ModelConfig(4, 32, 5, 2, encoder=(8, 16, 24), painter=(4, 8, 12), decoder=(8, 16, 32), words=16)
T, K, S, H, W = 3, 2, 5, 32, 48


def counted(run) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        run()
    return counter.get_total_flops()


@pytest.fixture(scope="module")
def network() -> SpaceTimeNet:
    return SpaceTimeNet(TINY).eval()


def test_every_graph_costs_what_is_counted(network: SpaceTimeNet):
    n, (h, w) = torch.zeros, (H // 16, W // 16)
    context = (n(1, K, 5, 5, 8), n(1, K, 9, 5, 8), n(1, K), n(1, K))
    assert counted(lambda: network.encode(n(T, 5, H, W))) == T * cost.encode(TINY, H, W)
    assert counted(lambda: network.paint(n(T, 4, h, w))) == T * cost.paint(TINY, H, W)
    assert counted(lambda: network.decode(n(T, 5, h, w), n(T, 15, H, W), n(T, 5))) == T * cost.decode(TINY, H, W)
    assert counted(lambda: network.text(torch.ones(1, S, dtype=torch.int64))) == cost.text(TINY, S)
    assert counted(lambda: network.context(*context)) == cost.context(TINY, K)
    clip = (n(1, T, 5, h, w), n(1), n(1, T, 4, h, w), n(1, T, 1, h, w), n(1, T, 9, h, w), n(1, T), n(1, T), n(1, S, 32))
    kept = n(1, TINY.depth, TINY.heads, K * 40, 16)
    assert counted(lambda: network.denoise(*clip, kept, kept)) == cost.denoise(TINY, H, W, T, K, S)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_table_says_what_is_so(name: str):
    config = PRESETS[name]
    with torch.device("meta"):
        parameters = sum(p.numel() for p in SpaceTimeNet(config).parameters()) / 1e6
    per_frame = [sum(cost.frame(config, height, width, steps=1).values()) / 1e9 for height, width in ((160, 256), (288, 512))]
    row = re.search(rf"^{name} +(\S+) +(\S+) +(\S+)$", cost.__doc__ or "", re.MULTILINE)
    assert row is not None
    assert row.groups() == tuple(f"{value:.1f}" for value in (parameters, *per_frame))


def test_context_that_is_kept_costs_less_than_context_that_is_not():
    nano = PRESETS["nano"]
    assert cost.context(nano, 1) < 0.3 * cost.context(nano, 5)
    assert cost.denoise(nano, 160, 256, 1, 9, 8) < 1.2 * cost.denoise(nano, 160, 256, 1, 1, 8)
