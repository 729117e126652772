"""Phrases to numbers, and the seam for a large encoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from spatia_ros.generator.large_text import LargeTextEncoder
from spatia_ros.generator.text import LENGTH, PAD, VOCABULARY, WORDS, detokenise, tokenise
from spatia_ros.types import SpatiaError


def test_every_word_is_its_number_and_back() -> None:
    words = [word for kind in VOCABULARY.values() for word in kind]
    assert len(set(words)) == len(words) == len(WORDS) - 1 <= 255
    for i in range(0, len(words), LENGTH):
        some = " ".join(words[i : i + LENGTH])
        assert detokenise(tokenise(some)) == some


def test_a_phrase_is_heard_as_it_is_said() -> None:
    tokens = tokenise("A foggy street, with two red cars left of the tall building.")
    assert tokens.dtype == np.int64
    assert tokens.shape == (LENGTH,)
    assert detokenise(tokens) == "fog street two red car left tall building"
    assert (tokens[8:] == PAD).all()
    assert np.array_equal(tokens, tokenise("FOG STREET two red car LEFT tall building"))
    assert (tokenise("") == PAD).all()
    assert (tokenise("the of a") == PAD).all()


def test_what_is_not_understood_is_said() -> None:
    with pytest.raises(SpatiaError, match=r"'strete' \(nearest: street.*'zqx' \(nearest: none\)"):
        tokenise("a strete with a zqx car")
    with pytest.raises(SpatiaError, match=r"at most 16 words.*got 17"):
        tokenise("car " * 17)
    with pytest.raises(SpatiaError, match="at most 400 characters"):
        tokenise("car " * 1000)
    with pytest.raises(SpatiaError, match="expected numbers of 0"):
        detokenise(np.array([1, len(WORDS)]))
    with pytest.raises(SpatiaError, match="expected numbers of 0"):
        detokenise(np.array([-1]))


def test_the_documentation_states_the_vocabulary() -> None:
    page = (Path(__file__).parents[1] / "docs" / "generator.md").read_text(encoding="utf-8")
    for kind, words in VOCABULARY.items():
        assert f"| {kind} | {', '.join(words)} |" in page


def text_model(folder: Path, kind: str) -> None:
    """A tiny text model with random weights, and its tokenizer, as save_pretrained leaves them."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0, "[PAD]": 1, "[SEP]": 2, "red": 3, "car": 4}, "[UNK]"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.post_processor = tokenizers.processors.TemplateProcessing(single="$A [SEP]", special_tokens=[("[SEP]", 2)])
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]", sep_token="[SEP]")
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    if kind == "bert":
        config = transformers.BertConfig(
            vocab_size=5, hidden_size=12, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
        )
        transformers.BertModel(config).save_pretrained(folder)
    else:
        config = transformers.T5Config(vocab_size=5, d_model=12, d_kv=6, d_ff=16, num_layers=1, num_heads=2)
        transformers.T5Model(config).save_pretrained(folder)


@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_a_large_encoder_of_a_local_folder_gives_features(tmp_path: Path, kind: str) -> None:
    text_model(tmp_path, kind)
    encoder = LargeTextEncoder(tmp_path, tokens=8)
    told = encoder("red car")
    assert told.shape == (3, encoder.width) == (3, 12)
    assert told.dtype == np.float32
    assert np.array_equal(told, encoder("red car")), "no dropout at run time"
    assert np.abs(told - encoder("car red")).max() > 1e-3
    assert encoder("").shape == (1, 12)
    assert encoder("red " * 100).shape == (8, 12)


def test_a_folder_without_a_text_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpatiaError, match="expected a folder with config"):
        LargeTextEncoder(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(SpatiaError, match="not a text model"):
        LargeTextEncoder(tmp_path)
    text_model(tmp_path, "bert")
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(SpatiaError, match="not a text model"):
        LargeTextEncoder(tmp_path)
    with pytest.raises(SpatiaError, match=r"expected 1\.\.512 tokens"):
        LargeTextEncoder(tmp_path, tokens=0)
