"""What is asked for in words, through Wan's text encoder (umT5) from a local folder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

MAX_TOKENS = 512


class Words:
    """Embeddings of prompts, each made once.

    Args:
        tokenizer, encoder: of ``transformers``. device, dtype: where the embeddings are wanted; the encoder stays where it is.
    """

    def __init__(self, tokenizer: Any, encoder: Any, device: torch.device, dtype: torch.dtype) -> None:
        self.tokenizer, self.encoder, self.device, self.dtype = tokenizer, encoder, device, dtype
        self._known: dict[str, Tensor] = {}

    @torch.inference_mode()
    def __call__(self, prompt: str) -> Tensor:
        """[1, 512, channels]; what follows the prompt's last token is 0."""
        if prompt not in self._known:
            cut = {"padding": "max_length", "truncation": True, "max_length": MAX_TOKENS, "return_tensors": "pt"}
            tokens = self.tokenizer([" ".join(prompt.split())], add_special_tokens=True, **cut)
            inputs = tokens.input_ids.to(self.encoder.device), tokens.attention_mask.to(self.encoder.device)
            states = self.encoder(*inputs).last_hidden_state
            self._known[prompt] = (states * inputs[1][..., None]).to(self.device, self.dtype)
        return self._known[prompt]
