"""The BLIP-2 family, with decoder-only language models: blip2-opt-2.7b and its relatives."""

from pathlib import Path
from typing import Any, ClassVar

import torch
from transformers import Blip2Config, Blip2ForConditionalGeneration

from srdscan.models.captioners.chat import ChatCaptioner
from srdscan.models.captioners.huggingface import ImageEncoding, Parts, take_apart
from srdscan.models.whole import load_whole


class Blip2Captioner(ChatCaptioner):
    """A `Blip2ForConditionalGeneration` over OPT or another decoder-only language model.

    The language model sees no patches, only the Q-Former's query tokens. A map is therefore a product: how much the
    language model attends to each query (mean over its layers and heads), times where that query looked, for each of
    the Q-Former's cross-attention layers and heads. A prompt is the start of every caption.
    """

    default_prompt: ClassVar[str | None] = None

    def load_parts(self, path: str) -> Parts:
        if not Blip2Config.from_pretrained(path).use_decoder_only_language_model:
            raise ValueError("BLIP-2 over an encoder-decoder language model (flan-t5) is not supported")
        model = load_whole(
            Blip2ForConditionalGeneration,
            path,
            attn_implementation={"text_config": "eager", "vision_config": "sdpa", "qformer_config": "eager"},
        )
        return take_apart(path, model, model, model.language_model)

    def _generation_config(self) -> Any:
        return self.model.language_model.generation_config

    def _image_text(self) -> str:
        return str(self.tokenizer.convert_ids_to_tokens(self.image_token)) * int(self.model.config.num_query_tokens)

    def _prefix(self, prompt: str | None) -> list[int]:
        image = [self.image_token] * int(self.model.config.num_query_tokens)
        return image + list(self.tokenizer(prompt or "").input_ids)

    def _language_model(self) -> Any:
        return self.model.language_model

    def _encode(self, pixels: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        seen = self.model.vision_model(pixel_values=pixels).last_hidden_state
        asked = self.model.qformer(
            query_embeds=self.model.query_tokens.expand(len(seen), -1, -1),
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2], dtype=torch.long, device=seen.device),
            output_attentions=True,
        )
        looked = torch.stack([layer for layer in asked.cross_attentions if layer is not None], dim=1)
        return self.model.language_projection(asked.last_hidden_state), {"looked": looked}

    def _map_rows(self, maps: torch.Tensor, encoding: ImageEncoding) -> torch.Tensor:
        read = maps.mean(dim=(1, 2))  # (B, T, Q)
        looked = torch.einsum("btq,blhqp->blhtp", read, encoding.extra["looked"])
        return super()._map_rows(looked, encoding)


def load(path: str | Path, **options: Any) -> Blip2Captioner:
    """The family's entry in `load.FAMILIES`."""
    return Blip2Captioner(str(path), **options)
