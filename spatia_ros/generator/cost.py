"""What a network costs, by arithmetic: floating-point operations (two for a multiply-add) of products and convolutions.

Million parameters, and GFLOP of one frame in one step (memory encoded, denoised, decoded, and one new
context frame), five context frames and eight words at hand:

=====  ==========  =======  =======
size   parameters  256x160  512x288
=====  ==========  =======  =======
nano   9.5         6.6      24.6
small  82.7        37.1     131.5
base   438.0       176.1    596.0
=====  ==========  =======  =======
"""

from __future__ import annotations

from spatia_ros.generator.autoencoder import FRAME_CHANNELS, PAINTED_CHANNELS, SHUFFLE, STRIDE
from spatia_ros.generator.decoder import TOLD
from spatia_ros.generator.image import INPUT_CHANNELS
from spatia_ros.generator.network import ModelConfig
from spatia_ros.generator.rays import RAY_CHANNELS
from spatia_ros.generator.transformer import RAY_OCTAVES

CONTEXT_TOKENS = 40
"""Of one context frame: 80x128 pixels."""
SHUFFLED = SHUFFLE**2


def product(rows: int, enter: int, leave: int) -> int:
    """Of a matrix [rows, enter] times [enter, leave]."""
    return 2 * rows * enter * leave


def attention(queries: int, keys: int, width: int) -> int:
    """Of queries' products with keys, and of their weights with values."""
    return 2 * product(queries, width, keys)


def residual(width: int, places: int, count: int) -> int:
    """Of residual blocks: two 3x3 convolutions each."""
    return count * 2 * product(places, 9 * width, width)


def encode(config: ModelConfig, height: int, width: int) -> int:
    """Of one frame [5, height, width] to latents."""
    (a, b, c), (at_a, at_b, at_c) = config.encoder, places(height, width)
    return (
        product(at_a, 9 * FRAME_CHANNELS * SHUFFLED, a) + residual(a, at_a, 1)
        + product(at_b, 16 * a, b) + residual(b, at_b, 1)
        + product(at_c, 16 * b, c) + residual(c, at_c, 1) + product(at_c, 9 * c, config.latent)
    )


def paint(config: ModelConfig, height: int, width: int) -> int:
    """Of one frame's latents to colour and depth."""
    (a, b, c), (at_a, at_b, at_c) = config.painter, places(height, width)
    return (
        product(at_c, 9 * config.latent, c) + residual(c, at_c, 2) + product(at_c, c, 4 * b)
        + residual(b, at_b, 1) + product(at_b, b, 4 * a) + residual(a, at_a, 1)
        + product(at_a, 9 * a, PAINTED_CHANNELS * SHUFFLED)
    )


def decode(config: ModelConfig, height: int, width: int) -> int:
    """Of one frame's latents and view to its change."""
    (a, b, c), (at_a, at_b, at_c) = config.decoder, places(height, width)
    down = product(at_a, 9 * INPUT_CHANNELS * SHUFFLED, a) + product(at_b, 16 * a, b) + product(at_c, 16 * b, c)
    bottom = product(at_c, 2 + config.latent + 4 * c, c) + attention(at_c, at_c, c)
    up = product(at_c, c, b) + product(at_b, b, a) + product(at_a, 9 * a, TOLD * SHUFFLED)
    stacks = residual(a, at_a, 4) + residual(b, at_b, 4) + residual(c, at_c, 4)
    return paint(config, height, width) + down + bottom + up + stacks


def text(config: ModelConfig, words: int) -> int:
    """Of a phrase to text."""
    return config.text_depth * (product(words, config.width, 8 * config.width) + attention(words, words, config.width))


def context(config: ModelConfig, frames: int) -> int:
    """Of context frames to keys and values; the last block's are taken before its attention, but it runs whole in torch."""
    tokens, W = frames * CONTEXT_TOKENS, config.width
    blocks = product(tokens, W, 12 * W) + attention(tokens, CONTEXT_TOKENS, W)
    return frames * timing(config, 1) + enter(config, tokens) + config.depth * blocks


def denoise(config: ModelConfig, height: int, width: int, frames: int, context_frames: int, words: int) -> int:
    """Of one step over a clip."""
    tokens, W = frames * places(height, width)[2], config.width
    seen = tokens + context_frames * CONTEXT_TOKENS + words
    main = product(tokens, W, 12 * W) + attention(tokens, seen, W) + product(words, W, 2 * W)
    control = product(tokens, W, 13 * W) + attention(tokens, tokens, W)
    ends = enter(config, tokens) + 2 * product(tokens, config.latent + 1, W)
    return timing(config, frames) + ends + config.depth * main + hints(config) * control


def enter(config: ModelConfig, tokens: int) -> int:
    """Of latents and rays to tokens."""
    return product(tokens, config.latent + 1 + RAY_CHANNELS * (1 + 2 * RAY_OCTAVES), config.width)


def timing(config: ModelConfig, frames: int) -> int:
    """Of diffusion time and a clip's animation times to what every block is told."""
    W, clock, blocks = config.width, config.width // 4, config.depth + hints(config)
    return product(1, W, 8 * W) + product(frames, clock, 8 * clock + blocks * W)


def hints(config: ModelConfig) -> int:
    """How many control blocks there are."""
    return -(-config.depth // config.control_every)


def places(height: int, width: int) -> tuple[int, int, int]:
    """Places at 1/4, 1/8 and 1/16 of the resolution."""
    at_c = height * width // STRIDE**2
    return 16 * at_c, 4 * at_c, at_c


def frame(config: ModelConfig, height: int, width: int, steps: int, context_frames: int = 5, words: int = 8) -> dict[str, int]:
    """By graph, of one streamed frame: its memory and one new context frame encoded, ``steps`` denoising steps, decoded."""
    return {
        "encode": encode(config, height, width) + encode(config, 80, 128),
        "context": context(config, 1),
        "denoise": steps * denoise(config, height, width, 1, context_frames, words),
        "decode": decode(config, height, width),
    }
