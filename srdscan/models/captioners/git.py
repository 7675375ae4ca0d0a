"""The GIT family: git-base-coco and its relatives."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import GitForCausalLM
from transformers.modeling_outputs import BaseModelOutput

from srdscan.models.captioners.huggingface import HuggingFaceCaptioner, Parts, take_apart
from srdscan.models.whole import load_whole


class Encoded(nn.Module):
    """Stands in for the image encoder where its output is handed over in place of pixels."""

    def forward(self, pixel_values: torch.Tensor, **options: Any) -> BaseModelOutput:
        """(B, 1, P, D) of the real encoder's output to (B, P, D); four dimensions, as pixels have."""
        return BaseModelOutput(last_hidden_state=pixel_values.squeeze(1))


class GitCaptioner(HuggingFaceCaptioner):
    """A `GitForCausalLM`; maps are its self-attention to the image's columns, which come first.

    A prompt is the start of every caption; the captions are what follows it.
    """

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(path, **options)
        self.image_encoder = self.model.git.image_encoder
        self.model.git.image_encoder = Encoded()

    def load_parts(self, path: str) -> Parts:
        model = load_whole(GitForCausalLM, path)
        return take_apart(path, model, model.git.image_encoder)

    def _prefix(self, prompt: str | None) -> list[int]:
        words = self.tokenizer(prompt, add_special_tokens=False).input_ids if prompt else []
        return [self.model.config.bos_token_id, *words]

    def _encode(self, pixels: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return self.image_encoder(pixels).last_hidden_state, {}

    def _generate(self, memory: torch.Tensor) -> torch.Tensor:
        ids: torch.Tensor = self.model.generate(
            input_ids=torch.tensor(self.prefix, device=self.device).repeat(len(memory), 1),
            pixel_values=memory[:, None],
            num_beams=self.num_beams,
            do_sample=False,
        )
        return ids[:, len(self.prefix) :]

    def decode(
        self, memory: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor, attention: bool
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor] | None]:
        out = self.model(
            input_ids=ids,
            attention_mask=mask,
            pixel_values=memory[:, None],
            output_attentions=attention,
            use_cache=False,
        )
        image = memory.shape[1]
        layers = [layer[:, :, image:, :image] for layer in out.attentions] if attention else None
        return out.logits[:, image:], layers

    def _longest(self) -> int:
        return int(self.model.config.max_position_embeddings) - len(self.prefix) - 1


def load(path: str | Path, **options: Any) -> GitCaptioner:
    """The family's entry in `load.FAMILIES`."""
    return GitCaptioner(str(path), **options)
