"""Wan2.2-TI2V-5B and Spatia's weights, tiny and random, in the layout they are published in."""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from spatia_ros.generator.big.control import ControlBranch

CHANNELS, LAYERS, CANVAS = 4, 6, (96, 64)


def write(folder: Path, seed: int = 0) -> Path:
    """A folder with spatia.json, as the real one would look."""
    torch.manual_seed(seed)
    base = folder / "Wan2.2-TI2V-5B-Diffusers"
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=CHANNELS, out_channels=CHANNELS,
        text_dim=16, freq_dim=16, ffn_dim=32, num_layers=LAYERS, cross_attn_norm=True,
    )
    transformer.save_pretrained(base / "transformer")
    AutoencoderKLWan(
        base_dim=4, decoder_base_dim=4, z_dim=CHANNELS, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
        temperal_downsample=[False, True, True], is_residual=True, in_channels=12, out_channels=12, patch_size=2,
        scale_factor_spatial=16, latents_mean=[0.1] * CHANNELS, latents_std=[0.9] * CHANNELS,
    ).save_pretrained(base / "vae")
    config = UMT5Config(vocab_size=32, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
    UMT5EncoderModel(config).save_pretrained(base / "text_encoder")
    words = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", "a", "room", "place", "seen", "blurry"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>").save_pretrained(base / "tokenizer")
    (folder / "Spatia").mkdir()
    save_file(ControlBranch(transformer).published(), folder / "Spatia/step.safetensors")
    save_file(low_rank(transformer), folder / "Spatia/lora.safetensors")
    settings = {"format": "spatia-wan", "base": base.name, "control": "Spatia/step.safetensors"}
    settings |= {"low_rank": "Spatia/lora.safetensors", "depth": "depth"}
    settings |= {"steps": 2, "canvas": CANVAS, "references": 2, "prompt": "a room"}
    (folder / "spatia.json").write_text(json.dumps(settings))
    return folder


def low_rank(transformer, rank: int = 2) -> dict[str, torch.Tensor]:
    """Of queries in every block, named as released."""
    size = transformer.config.num_attention_heads * transformer.config.attention_head_dim
    names = [f"pipe.dit.blocks.{i}.self_attn.q" for i in range(LAYERS)]
    tensors = {f"{name}.lora_A.default.weight": torch.randn(rank, size) for name in names}
    return tensors | {f"{name}.lora_B.default.weight": torch.randn(size, rank) for name in names}


class FlatDepth:
    """Says that everything is as far: right up to a factor."""

    name = "flat"

    def __init__(self, folder):
        self.folder = folder

    def estimate(self, rgb, camera):
        from spatia_ros.seed.depth import Estimate

        return Estimate(torch.full(rgb.shape[:2], 0.7).numpy(), "scale", camera)
