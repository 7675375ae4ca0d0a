"""The LLaVA family: llava-1.5 and models built like it."""

from pathlib import Path
from typing import Any

import torch
from transformers import LlavaForConditionalGeneration

from srdscan.models.captioners.chat import ChatCaptioner
from srdscan.models.captioners.huggingface import Parts, take_apart
from srdscan.models.whole import load_whole


class LlavaCaptioner(ChatCaptioner):
    """A `LlavaForConditionalGeneration`."""

    def load_parts(self, path: str) -> Parts:
        model = load_whole(
            LlavaForConditionalGeneration,
            path,
            attn_implementation={"text_config": "eager", "vision_config": "sdpa"},
        )
        return take_apart(path, model, model, model.model.language_model)

    def _image_text(self) -> str:
        config = self.model.config
        count = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
        if config.vision_feature_select_strategy != "default":
            count += 1  # the class token stays
        return str(self.tokenizer.convert_ids_to_tokens(self.image_token)) * int(count)

    def _encode(self, pixels: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return torch.stack(list(self.model.model.get_image_features(pixel_values=pixels).pooler_output)), {}


def load(path: str | Path, **options: Any) -> LlavaCaptioner:
    """The family's entry in `load.FAMILIES`."""
    return LlavaCaptioner(str(path), **options)
