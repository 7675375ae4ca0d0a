"""The VisionEncoderDecoder family: vit-gpt2, and srdscan's embedded captioners."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers import AutoImageProcessor, AutoTokenizer, DynamicCache, EncoderDecoderCache, VisionEncoderDecoderModel
from transformers.modeling_outputs import BaseModelOutput

from srdscan.captioners import grid_encoder  # noqa: F401  registers the embedded captioners' encoder
from srdscan.captioners.base import AttentionMaps, Description, Floats
from srdscan.captioners.preprocess import Preprocessor
from srdscan.device import autocast_dtype, module_fingerprint

CPU_IMAGES = 4
"""Images that an encoder takes at once on a CPU: as fast as 64, and no activation is large (see `device`)."""
_EAGER_DECODER = {"encoder": "sdpa", "decoder": "eager"}


@dataclass
class GridEncoding:
    """Encoded images.

    Attributes:
        memory: (B, P, D), the encoder's output.
        projected: what a captioner's decoder attends to, by the captioner's fingerprint; filled on first use.
    """

    memory: torch.Tensor
    features: Floats
    projected: dict[str, torch.Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.memory)


class BeamCache(EncoderDecoderCache):
    """A cache whose image half stays put in beam search.

    Beams change places only among those of one image, whose cross-attention keys and values are equal; copying them
    at every token took half of the time of a beam search.
    """

    def reorder_cache(self, beam_idx: torch.LongTensor) -> None:
        self.self_attention_cache.reorder_cache(beam_idx)


class VisionEncoderDecoderCaptioner:
    """A Hugging Face `VisionEncoderDecoderModel` under srdscan's contract.

    Generation runs under sdpa, which gives no attention; one teacher-forced pass of an eager decoder over the caption
    then gives the maps and the log-probabilities, on the encoder output that generation used.

    Args:
        path: folder or Hub id.
        device: a torch device.
        num_beams: beam width; None takes the model's generation config.
    """

    def __init__(self, path: str, device: str = "cpu", num_beams: int | None = None) -> None:
        self.name = path
        self.device = torch.device(device)
        model = VisionEncoderDecoderModel.from_pretrained(
            path, attn_implementation=_EAGER_DECODER, dtype=torch.float32, use_safetensors=True
        )
        self.model: Any = model.to(self.device).eval()  # type: ignore[arg-type]
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        processor = AutoImageProcessor.from_pretrained(path, backend="pil")
        self.preprocess = Preprocessor(processor)
        self.num_beams = num_beams or self.model.generation_config.num_beams or 1
        self.fingerprint = module_fingerprint(self.model)
        settings = repr(sorted((k, repr(v)) for k, v in processor.to_dict().items()))
        self.encoder_fingerprint = hashlib.sha256(
            (module_fingerprint(self.model.encoder) + type(self.model.encoder).__name__ + settings).encode()
        ).hexdigest()
        # The model would project the encoder's output again for every token it generates; once a batch is enough.
        self.project: nn.Module = getattr(self.model, "enc_to_dec_proj", nn.Identity())
        if hasattr(self.model, "enc_to_dec_proj"):
            self.model.enc_to_dec_proj = nn.Identity()
        self.start = self.model.generation_config.decoder_start_token_id
        if self.start is None:
            self.start = self.model.config.decoder_start_token_id
        self.end = self.model.generation_config.eos_token_id
        if isinstance(self.end, list):
            self.end = self.end[0]
        self.autocast = autocast_dtype(self.device)

    @torch.inference_mode()
    def encode(self, images: Sequence[Image.Image]) -> GridEncoding:
        """One encoder pass, in bfloat16 where the device computes it natively."""
        pixels = self.preprocess(images)
        parts = pixels.split(CPU_IMAGES) if self.device.type == "cpu" else (pixels,)
        with torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            encoded = [
                self.model.encoder(pixel_values=part.to(self.device, non_blocking=True)).last_hidden_state.float()
                for part in parts
            ]
        memory = torch.cat(encoded)
        return GridEncoding(memory, memory.mean(dim=1).cpu().numpy())

    @torch.inference_mode()
    def describe(self, encoding: GridEncoding, *, attention: bool = False) -> Description:
        """Captions by the model's own beam width."""
        memory = self._projected(encoding)
        self.model.decoder.set_attn_implementation("sdpa")
        try:
            ids = self.model.generate(
                encoder_outputs=BaseModelOutput(last_hidden_state=memory),
                past_key_values=BeamCache(DynamicCache(), DynamicCache()),
                num_beams=self.num_beams,
                do_sample=False,
            )
        finally:
            self.model.decoder.set_attn_implementation("eager")
        captions = [text.strip() for text in self.tokenizer.batch_decode(ids, skip_special_tokens=True)]
        tokens = [self._cut(row) for row in ids[:, 1:].tolist()]
        log_probs, maps = self._teacher_force(memory, tokens, attention)
        return Description(captions, log_probs, maps)

    @torch.inference_mode()
    def score(self, encoding: GridEncoding, captions: Sequence[str]) -> list[Floats]:
        """ln p of each token of a given caption, end token included."""
        limit = int(getattr(self.model.config.decoder, "n_positions", 0) or 64) - 2
        tokens = [
            [*self.tokenizer(caption, add_special_tokens=False).input_ids[:limit], self.end] for caption in captions
        ]
        memory = self._projected(encoding)
        with torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            return self._teacher_force(memory, tokens, attention=False)[0]

    def _projected(self, encoding: GridEncoding) -> torch.Tensor:
        if self.fingerprint not in encoding.projected:
            encoding.projected[self.fingerprint] = self.project(encoding.memory)
        return encoding.projected[self.fingerprint]

    def _cut(self, row: list[int]) -> list[int]:
        """Generated tokens up to and including the first end token."""
        return row[: row.index(self.end) + 1] if self.end in row else row

    def _teacher_force(
        self, memory: torch.Tensor, tokens: list[list[int]], attention: bool
    ) -> tuple[list[Floats], AttentionMaps | None]:
        """One decoder pass over given captions: row t of the input predicts token t."""
        lengths = torch.tensor([len(row) for row in tokens], device=self.device)
        width = int(lengths.max())
        targets = torch.zeros(len(tokens), width, dtype=torch.long)
        for index, row in enumerate(tokens):
            targets[index, : len(row)] = torch.tensor(row)
        targets = targets.to(self.device)
        inputs = torch.cat([torch.full_like(targets[:, :1], self.start), targets[:, :-1]], dim=1)
        real = torch.arange(width, device=self.device)[None] < lengths[:, None]
        out = self.model.decoder(
            input_ids=inputs,
            attention_mask=real.long(),
            encoder_hidden_states=memory,
            output_attentions=attention,
            use_cache=False,
        )
        chosen = out.logits.float().log_softmax(-1).gather(-1, targets[..., None])[..., 0].cpu().numpy()
        log_probs = [chosen[index, : len(row)].astype(np.float32) for index, row in enumerate(tokens)]
        maps = self._maps(out.cross_attentions, real) if attention else None
        return log_probs, maps

    def _maps(self, layers: tuple[torch.Tensor, ...] | None, real: torch.Tensor) -> AttentionMaps:
        """Cross-attentions, L of (B, H, T, P), to maps; a leading class token is dropped."""
        if not layers:
            raise RuntimeError(f"{self.name}: the decoder returned no cross-attention; load it with eager attention")
        attention = torch.stack([layer.float() for layer in layers], dim=1)
        patches = attention.shape[-1]
        side = int(patches**0.5)
        attention = attention[..., patches - side * side :]
        attention = attention / attention.sum(-1, keepdim=True).clamp_min(1e-12)
        weight = (real / real.sum(1, keepdim=True))[:, None, None, :, None]
        first, mean = attention[:, :, :, 0], (attention * weight).sum(3)
        shape = (*first.shape[:3], side, side)
        return AttentionMaps(first.reshape(shape).cpu().numpy(), mean.reshape(shape).cpu().numpy())


def load(path: str | Path, **options: Any) -> VisionEncoderDecoderCaptioner:
    """The family's entry in `load.FAMILIES`."""
    return VisionEncoderDecoderCaptioner(str(path), **options)
