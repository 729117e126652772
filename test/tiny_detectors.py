"""Open-vocabulary detectors of random weights, small enough for a test, saved as public ones are."""

from __future__ import annotations

import json
from pathlib import Path


def _clip_tokenizer(folder: Path):
    """A CLIP tokenizer whose words are single letters."""
    from transformers import CLIPTokenizer

    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = ["!", "<|startoftext|>", "<|endoftext|>", *letters, *[f"{c}</w>" for c in letters]]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=16, pad_token="!")


def tiny_owl(folder: Path, kind: str = "owlv2") -> Path:
    """An OWL-ViT or OWLv2 of a few thousand weights."""
    import torch
    import transformers as t

    torch.manual_seed(0)
    tokenizer = _clip_tokenizer(folder)
    parts = {"owlv2": ("Owlv2", t.Owlv2ImageProcessor), "owlvit": ("OwlViT", t.OwlViTImageProcessor)}
    name, images = parts[kind]
    text = {
        "vocab_size": len(tokenizer), "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 16, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    vision = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 64,
        "patch_size": 16,
    }  # fmt: skip
    config = getattr(t, f"{name}Config")(text_config=text, vision_config=vision, projection_dim=16)
    model = getattr(t, f"{name}ForObjectDetection")(config)
    with torch.no_grad():  # boxes stay about where their patches are
        for weight in model.box_head.parameters():
            weight.mul_(0.02)
    model.save_pretrained(folder)
    getattr(t, f"{name}Processor")(images(size={"height": 64, "width": 64}), tokenizer).save_pretrained(folder)
    return folder


def tiny_dino(folder: Path) -> Path:
    """A Grounding DINO of a few thousand weights."""
    import torch
    import transformers as t

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *letters, *[f"##{c}" for c in letters]]
    (folder / "vocab.txt").write_text("\n".join(words))
    tokenizer = t.BertTokenizerFast(vocab={word: i for i, word in enumerate(words)})
    backbone = t.SwinConfig(
        image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=2,
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    text = t.BertConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32)
    config = t.GroundingDinoConfig(
        backbone_config=backbone, text_config=text, d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, num_queries=9, num_feature_levels=4,
        max_text_len=64, encoder_n_points=1, decoder_n_points=1,
    )  # fmt: skip
    t.GroundingDinoForObjectDetection(config).save_pretrained(folder)
    images = t.GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    t.GroundingDinoProcessor(images, tokenizer).save_pretrained(folder)
    return folder
