"""srdscan's embedded captioners: the VisionEncoderDecoder family with the grid encoder, and a decoder of its own."""

from collections.abc import Sequence
from typing import Any

import torch

from srdscan.models.captioners.base import AttentionMaps, Description, Floats
from srdscan.models.captioners.grid_decoder import GridDecoder, Seen
from srdscan.models.captioners.grid_search import Search, describe
from srdscan.models.captioners.huggingface import ImageEncoding
from srdscan.models.captioners.vision_encoder_decoder import VisionEncoderDecoderCaptioner

IMAGES = 32
"""Images whose captions are searched for together: keys and values of 25 MB, which a processor's cache still holds."""


class GridCaptioner(VisionEncoderDecoderCaptioner):
    """A captioner whose encoder is a `GridEncoder`.

    Where its decoder is a plain GPT-2 and its generation config asks for nothing but width and length, captions come
    from `grid_search`, and everything else from `grid_decoder`; else all is as in the family.
    """

    def __init__(self, path: str, **options: Any) -> None:
        super().__init__(path, **options)
        self.grid: GridDecoder | None = None
        if GridDecoder.understands(self.model.decoder):
            self.grid = GridDecoder(self.model.decoder)
        self.search = Search.of(self.model.generation_config, self.num_beams, self.prefix[0])

    @torch.inference_mode()
    def describe(self, encoding: ImageEncoding, *, attention: bool = False) -> Description:
        """Captions by the model's own beam width."""
        if self.grid is None or self.search is None:
            return super().describe(encoding, attention=attention)
        seen = self._seen(encoding)
        tokens, log_probs, maps = [], [], []
        for start in range(0, len(seen), IMAGES):
            part = seen[slice(start, start + IMAGES)]
            said, sure = describe(self.grid, part, self.search)
            tokens += said
            log_probs += sure
            if attention:
                maps.append(self.grid.attention(part, self.search.start, said))
        captions = [text.strip() for text in self.tokenizer.batch_decode(tokens, skip_special_tokens=True)]
        found = AttentionMaps(*(_on_grid(part) for part in zip(*maps, strict=True))) if attention else None
        return Description(captions, log_probs, found)

    def score(self, encoding: ImageEncoding, captions: Sequence[str]) -> list[Floats]:
        """ln p of each token of a given caption, end token included."""
        return self.score_of(encoding, captions, range(len(captions)))

    @torch.inference_mode()
    def score_of(self, encoding: ImageEncoding, captions: Sequence[str], images: Sequence[int]) -> list[Floats]:
        """The same for captions of which several may be about one image.

        Args:
            images: the image of each caption, ascending.
        """
        if self.grid is None:
            return super().score(encoding.take(images), captions)
        with torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            return self.grid.read(self._seen(encoding), images, self.prefix[0], self.tokens(captions))

    def _seen(self, encoding: ImageEncoding) -> Seen:
        """The encoding's keys and values, computed on first use."""
        assert self.grid is not None
        name = f"{self.fingerprint} seen"
        if name not in encoding.projected:
            encoding.projected[name] = self.grid.see(self.project(encoding.memory))
        seen: Seen = encoding.projected[name]
        return seen


def _on_grid(parts: Sequence[torch.Tensor]) -> Floats:
    """(B, L, H, P) of several batches as (B, L, H, R, R)."""
    maps = torch.cat(list(parts))
    side = int(maps.shape[-1] ** 0.5)
    found: Floats = maps.unflatten(-1, (side, side)).float().cpu().numpy()
    return found
