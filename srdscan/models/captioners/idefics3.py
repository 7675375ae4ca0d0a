"""The Idefics3 family, SmolVLM included."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from srdscan.models.captioners.chat import ChatCaptioner
from srdscan.models.captioners.huggingface import Parts, take_apart
from srdscan.models.whole import load_whole


class Idefics3Captioner(ChatCaptioner):
    """An `Idefics3ForConditionalGeneration` or `SmolVLMForConditionalGeneration`.

    Images are not split into tiles: the whole image, at the side that the vision model takes, has one grid of patches.
    """

    def load_parts(self, path: str) -> Parts:
        model = load_whole(
            AutoModelForImageTextToText,
            path,
            attn_implementation={"text_config": "eager", "vision_config": "sdpa"},
        )
        parts = take_apart(path, model, model, model.model.text_model)
        parts.image_processor.do_image_splitting = False
        parts.image_processor.max_image_size = {"longest_edge": model.config.vision_config.image_size}
        return parts

    def _image_text(self) -> str:
        vision = self.model.config.vision_config
        count = (vision.image_size // vision.patch_size // self.model.config.scale_factor) ** 2
        token = str(self.tokenizer.convert_ids_to_tokens(self.image_token))
        return f"<fake_token_around_image><global-img>{token * count}<fake_token_around_image>"

    def _pixels(self, images: Sequence[Image.Image]) -> torch.Tensor:
        return self.preprocess([[image] for image in images])  # a list of images for each prompt

    def _encode(self, pixels: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return torch.stack(list(self.model.model.get_image_features(pixel_values=pixels).pooler_output)), {}


def load(path: str | Path, **options: Any) -> Idefics3Captioner:
    """The family's entry in `load.FAMILIES`."""
    return Idefics3Captioner(str(path), **options)
