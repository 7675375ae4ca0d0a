"""The BLIP family: blip-image-captioning-base and -large."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import BlipForConditionalGeneration

from srdscan.models.captioners.huggingface import HuggingFaceCaptioner, Parts, take_apart
from srdscan.models.whole import load_whole


class BlipCaptioner(HuggingFaceCaptioner):
    """A `BlipForConditionalGeneration`; maps are its text decoder's cross-attention.

    A prompt is the start of every caption, such as "a photograph of"; the captions are what follows it.
    """

    def load_parts(self, path: str) -> Parts:
        model = load_whole(BlipForConditionalGeneration, path)
        return take_apart(path, model, model.vision_model)

    def _generation_config(self) -> Any:
        return self.model.text_decoder.generation_config

    def _ends(self, generation: Any) -> list[int]:
        return [self.model.config.text_config.sep_token_id]

    def _prefix(self, prompt: str | None) -> list[int]:
        words = self.tokenizer(prompt, add_special_tokens=False).input_ids if prompt else []
        return [self.model.config.text_config.bos_token_id, *words]

    def _encode(self, pixels: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return self.model.vision_model(pixel_values=pixels).last_hidden_state, {}

    def _generate(self, memory: torch.Tensor) -> torch.Tensor:
        ids: torch.Tensor = self.model.text_decoder.generate(
            input_ids=torch.tensor(self.prefix, device=self.device).repeat(len(memory), 1),
            encoder_hidden_states=memory,
            encoder_attention_mask=torch.ones(memory.shape[:2], dtype=torch.long, device=self.device),
            eos_token_id=self.ends[0],
            pad_token_id=self.model.config.text_config.pad_token_id,
            num_beams=self.num_beams,
            do_sample=False,
        )
        return ids[:, len(self.prefix) :]

    def decode(
        self, memory: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor, attention: bool
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor] | None]:
        out = self.model.text_decoder(
            input_ids=ids,
            attention_mask=mask,
            encoder_hidden_states=memory,
            encoder_attention_mask=torch.ones(memory.shape[:2], dtype=torch.long, device=self.device),
            output_attentions=attention,
            use_cache=False,
        )
        return out.logits, out.cross_attentions

    def _longest(self) -> int:
        return int(self.model.config.text_config.max_position_embeddings) - len(self.prefix) - 1


def load(path: str | Path, **options: Any) -> BlipCaptioner:
    """The family's entry in `load.FAMILIES`."""
    return BlipCaptioner(str(path), **options)
