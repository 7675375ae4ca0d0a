"""The Florence-2 family, in the form that transformers itself holds (florence-community/Florence-2-base)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import Florence2ForConditionalGeneration
from transformers.modeling_outputs import BaseModelOutput

from srdscan.models.captioners.huggingface import HuggingFaceCaptioner, Parts, take_apart
from srdscan.models.whole import load_whole

TASKS = {
    "<CAPTION>": "What does the image describe?",
    "<DETAILED_CAPTION>": "Describe in detail what is shown in the image.",
    "<MORE_DETAILED_CAPTION>": "Describe with a paragraph what is shown in the image.",
}
"""Task tokens, and the questions that the model was trained with in their place."""


class Florence2Captioner(HuggingFaceCaptioner):
    """A `Florence2ForConditionalGeneration`; maps are its text decoder's cross-attention to the image's columns.

    Image features and prompt go through the text encoder together, and its output is what the decoder attends to.
    """

    default_prompt = "<CAPTION>"

    def load_parts(self, path: str) -> Parts:
        model = load_whole(
            Florence2ForConditionalGeneration,
            path,
            attn_implementation={"text_config": "eager", "vision_config": "eager"},
        )
        return take_apart(path, model, model, model.model.language_model)

    def _prefix(self, prompt: str | None) -> list[int]:
        question = TASKS.get(prompt or "", prompt or "")
        self.question = torch.tensor(self.tokenizer(question).input_ids, device=self.device)
        forced = self.model.generation_config.forced_bos_token_id
        return [self.model.config.text_config.decoder_start_token_id, *([] if forced is None else [forced])]

    def _encode(self, pixels: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        image = self.model.model.get_image_features(pixels).pooler_output
        self.columns = image.shape[1]
        asked = self.model.get_input_embeddings()(self.question).expand(len(image), -1, -1)
        together = torch.cat([image, asked.to(image.dtype)], dim=1)
        return self.model.model.language_model.encoder(inputs_embeds=together).last_hidden_state, {}

    def _generate(self, memory: torch.Tensor) -> torch.Tensor:
        ids: torch.Tensor = self.model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=memory),
            attention_mask=torch.ones(memory.shape[:2], dtype=torch.long, device=self.device),
            num_beams=self.num_beams,
            do_sample=False,
        )
        return ids[:, len(self.prefix) :]

    def decode(
        self, memory: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor, attention: bool
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor] | None]:
        out = self.model(
            decoder_input_ids=ids,
            decoder_attention_mask=mask,
            encoder_outputs=BaseModelOutput(last_hidden_state=memory),
            output_attentions=attention,
            use_cache=False,
        )
        layers = [layer[..., : self.columns] for layer in out.cross_attentions] if attention else None
        return out.logits, layers

    def _longest(self) -> int:
        return int(self.model.config.text_config.max_position_embeddings) - len(self.prefix) - 1


def load(path: str | Path, **options: Any) -> Florence2Captioner:
    """The family's entry in `load.FAMILIES`."""
    return Florence2Captioner(str(path), **options)
