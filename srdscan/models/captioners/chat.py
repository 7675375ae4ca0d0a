"""What conversational models share: image features stand in a prompt, and the answer is the caption."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from srdscan.models.captioners.huggingface import MOST_NEW_TOKENS, HuggingFaceCaptioner


class ChatCaptioner(HuggingFaceCaptioner):
    """A decoder-only language model that reads image features among its tokens; maps are its self-attention to them.

    The prompt is put into the model's own chat template. It is the same for every image, so that a batch needs no
    padding before it.
    """

    default_prompt: ClassVar[str | None] = "Describe this image in one short sentence."
    default_template: ClassVar[str] = "USER: {image}\n{prompt} ASSISTANT:"
    """For models that come without a chat template."""

    @abstractmethod
    def _image_text(self) -> str:
        """What stands in the prompt for an image, one image token for each of its features."""

    @property
    def image_token(self) -> int:
        """The id of the token that a feature takes the place of."""
        return int(self.model.config.image_token_id)

    def _prefix(self, prompt: str | None) -> list[int]:
        token = str(self.tokenizer.convert_ids_to_tokens(self.image_token))
        if self.tokenizer.chat_template:
            content = [{"type": "image"}, {"type": "text", "text": prompt}]
            text = self.tokenizer.apply_chat_template(
                [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
            )
            special = False
        else:
            text, special = self.default_template.format(image=token, prompt=prompt), True
        if text.count(token) != 1:
            raise ValueError(f"the chat template puts {text.count(token)} images into the prompt, not one")
        ids: list[int] = self.tokenizer(text.replace(token, self._image_text()), add_special_tokens=special).input_ids
        if self.image_token not in ids:
            raise ValueError(
                f"the tokenizer does not read {token!r} as the image token; is tokenizer_config.json whole?"
            )
        return ids

    def _embeddings(self, memory: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        """(B, N, D) of tokens, image features in place of the prompt's image tokens; a caption may hold one, too."""
        embeddings: torch.Tensor = self.model.get_input_embeddings()(ids)
        places = (ids == self.image_token)[..., None]
        places[:, len(self.prefix) :] = False
        return embeddings.masked_scatter(places, memory.to(embeddings.dtype))

    def _language_model(self) -> Any:
        """What generates."""
        return self.model

    def _generate(self, memory: torch.Tensor) -> torch.Tensor:
        ids = torch.tensor(self.prefix, device=self.device).repeat(len(memory), 1)
        length = {} if self._generation_config().max_new_tokens else {"max_new_tokens": MOST_NEW_TOKENS}
        generated: torch.Tensor = self._language_model().generate(
            inputs_embeds=self._embeddings(memory, ids),
            attention_mask=torch.ones_like(ids),
            num_beams=self.num_beams,
            do_sample=False,
            **length,
        )
        return generated

    def decode(
        self, memory: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor, attention: bool
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor] | None]:
        out = self._language_model()(
            inputs_embeds=self._embeddings(memory, ids),
            attention_mask=mask,
            output_attentions=attention,
            use_cache=False,
        )
        if not attention:
            return out.logits, None
        columns = torch.tensor([n for n, token in enumerate(self.prefix) if token == self.image_token])
        return out.logits, [layer[..., columns.to(layer.device)] for layer in out.attentions]
