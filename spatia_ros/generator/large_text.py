"""A large text encoder from a local folder, where the stated vocabulary is too small.

The folder is what ``save_pretrained`` of a text model and of its tokenizer leave (config.json,
model.safetensors, tokenizer.json ...). Nothing is ever downloaded, and no code of the folder is run.
A network that is to read its features must have been trained on them: the shipped ones were not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spatia_ros.types import Float32, SpatiaError, check_array

MAX_TOKENS = 512


class LargeTextEncoder:
    """Phrases to features, by any encoder that ``transformers`` knows.

    Args:
        folder: see the module. tokens: a phrase is cut after so many.

    Raises:
        SpatiaError: when torch or transformers are not installed, or the folder holds no text model.
    """

    def __init__(self, folder: Path | str, tokens: int = MAX_TOKENS) -> None:
        folder = Path(folder)
        if not 1 <= tokens <= MAX_TOKENS:
            raise SpatiaError(f"text encoder: expected 1..{MAX_TOKENS} tokens, got {tokens}")
        if not (folder / "config.json").is_file():
            raise SpatiaError(f"text encoder: expected a folder with config.json of a text model, got {folder}")
        try:
            import torch
            from transformers import AutoModel, AutoTokenizer
        except ImportError as error:
            raise SpatiaError(
                "text encoder: needs torch and transformers: pip install -r requirements/train.txt "
                f"-c requirements/constraints.txt ({error})"
            ) from error
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            model: Any = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, trust_remote_code=False)
        except Exception as error:
            # The loaders raise whatever their parts raise on files that are not theirs.
            raise SpatiaError(f"text encoder: {folder}: not a text model: {type(error).__name__}: {error}") from error
        # Models of two halves (T5 and its kind) encode with the first.
        self._encoder = model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else model
        self._encoder.eval()
        self._torch, self._tokens, self.name = torch, tokens, folder.name
        self.width: int = int(model.config.hidden_size)

    def __call__(self, phrase: str) -> Float32:
        """The features of a phrase, float32 [S, width], one row a token; an empty phrase still has its end mark.

        Raises:
            SpatiaError: when the model gives no such features, or ones that are not finite.
        """
        asked = self._tokenizer(phrase, return_tensors="pt", truncation=True, max_length=self._tokens)
        with self._torch.inference_mode():
            told = self._encoder(input_ids=asked["input_ids"], attention_mask=asked["attention_mask"]).last_hidden_state
        features = np.ascontiguousarray(told[0].float().numpy())
        check_array(f"text encoder {self.name}: features", features, (None, self.width), np.float32)
        if not np.isfinite(features).all():
            raise SpatiaError(f"text encoder {self.name}: expected finite features, got NaN or infinity for {phrase!r}")
        return features
