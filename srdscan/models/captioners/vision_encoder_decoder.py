"""The VisionEncoderDecoder family: vit-gpt2, and, with a decoder of their own, srdscan's embedded captioners."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, DynamicCache, EncoderDecoderCache, VisionEncoderDecoderModel
from transformers.modeling_outputs import BaseModelOutput

from srdscan.models.captioners import grid_encoder
from srdscan.models.captioners.huggingface import HuggingFaceCaptioner, ImageEncoding, Parts, take_apart
from srdscan.models.whole import POOLER, load_whole

_EAGER_DECODER = {"encoder": "sdpa", "decoder": "eager"}


class BeamCache(EncoderDecoderCache):
    """A cache whose image half stays put in beam search.

    Beams change places only among those of one image, whose cross-attention keys and values are equal; copying them
    at every token took half of the time of a beam search.
    """

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        self.self_attention_cache.reorder_cache(beam_idx)


class VisionEncoderDecoderCaptioner(HuggingFaceCaptioner):
    """A `VisionEncoderDecoderModel`; maps are its decoder's cross-attention."""

    takes_prompt = False

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(path, **options)
        # The model would project the encoder's output again for every token it generates; once a batch is enough.
        self.project: nn.Module = getattr(self.model, "enc_to_dec_proj", nn.Identity())
        if hasattr(self.model, "enc_to_dec_proj"):
            self.model.enc_to_dec_proj = nn.Identity()

    def load_parts(self, path: str) -> Parts:
        model = load_whole(VisionEncoderDecoderModel, path, spare=POOLER, attn_implementation=_EAGER_DECODER)
        return take_apart(path, model, model.encoder, model.decoder)

    def _prefix(self, prompt: str | None) -> list[int]:
        start = self.model.generation_config.decoder_start_token_id
        return [self.model.config.decoder_start_token_id if start is None else start]

    def _encode(self, pixels: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        return self.model.encoder(pixel_values=pixels).last_hidden_state, {}

    def memory(self, encoding: ImageEncoding) -> torch.Tensor:
        if self.fingerprint not in encoding.projected:
            encoding.projected[self.fingerprint] = self.project(encoding.memory)
        projected: torch.Tensor = encoding.projected[self.fingerprint]
        return projected

    def _generate(self, memory: torch.Tensor) -> torch.Tensor:
        ids: torch.Tensor = self.model.generate(
            encoder_outputs=BaseModelOutput(last_hidden_state=memory),
            past_key_values=BeamCache(DynamicCache(), DynamicCache()),
            num_beams=self.num_beams,
            do_sample=False,
        )
        return ids[:, 1:]

    def decode(
        self, memory: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor, attention: bool
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor] | None]:
        out = self.model.decoder(
            input_ids=ids,
            attention_mask=mask,
            encoder_hidden_states=memory,
            output_attentions=attention,
            use_cache=False,
        )
        return out.logits, out.cross_attentions

    def _longest(self) -> int:
        return int(getattr(self.model.config.decoder, "n_positions", 0) or 64) - 2


def load(path: str | Path, **options: Any) -> VisionEncoderDecoderCaptioner:
    """The family's entry in `load.FAMILIES`."""
    from srdscan.models.captioners.grid import GridCaptioner

    encoder = getattr(AutoConfig.from_pretrained(path), "encoder", None)
    family = GridCaptioner if isinstance(encoder, grid_encoder.GridEncoderConfig) else VisionEncoderDecoderCaptioner
    return family(str(path), **options)
