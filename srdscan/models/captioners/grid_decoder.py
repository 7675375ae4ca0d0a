"""The embedded captioners' decoder: what it says of images, how likely it finds given captions, and where it looks.

It is a GPT-2 that attends to the grid of its encoder (`models.gpt2`). Keys and values of an image are computed once,
whatever is asked afterwards, and all captions of a batch advance in one product a matrix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch

from srdscan.models.captioners.base import Floats
from srdscan.models.gpt2 import Gpt2, Ragged, attention_weights


@dataclass(frozen=True)
class Seen:
    """What a decoder attends to of B images.

    Attributes:
        keys: for each layer, (B, H, P, D).
        values: the same.
    """

    keys: list[torch.Tensor]
    values: list[torch.Tensor]

    def __len__(self) -> int:
        return len(self.keys[0])

    @property
    def device(self) -> torch.device:
        """Where it lies."""
        return self.keys[0].device

    def __getitem__(self, rows: torch.Tensor | slice) -> "Seen":
        """Of chosen images."""
        return Seen([part[rows] for part in self.keys], [part[rows] for part in self.values])

    def look(self, layer: int, queries: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Attention of (B, H, Q, D) queries about each image: (B, H, Q, D) what they take, (B, H, Q, P) from where."""
        weights = attention_weights(queries, self.keys[layer])
        return weights @ self.values[layer], weights


class GridDecoder(Gpt2):
    """A GPT-2 with cross-attention; see `Gpt2` for which."""

    def see(self, memory: torch.Tensor) -> Seen:
        """Keys and values of encoder output in the decoder's width, (B, P, H x D)."""
        keys, values = [], []
        for block in self.model.transformer.h:
            both = block.crossattention.c_attn(memory)
            both = both.reshape(*memory.shape[:2], 2, self.heads, self.depth)
            own, their = both.permute(2, 0, 3, 1, 4).contiguous()
            keys.append(own)
            values.append(their)
        return Seen(keys, values)

    def read(self, seen: Seen, images: Sequence[int], start: int, tokens: Sequence[list[int]]) -> list[Floats]:
        """ln p of each token of given captions.

        Args:
            images: the image of each of C captions, ascending.
            start: the token before each.
            tokens: of the C captions.
        """
        hidden, _ = self._forced(seen, images, start, tokens)
        targets = torch.tensor([token for row in tokens for token in row], device=hidden.device)
        found = self.chosen(hidden, torch.arange(len(targets), device=hidden.device), targets).cpu().numpy()
        return np.split(found, np.cumsum([len(row) for row in tokens])[:-1])

    def attention(self, seen: Seen, start: int, tokens: Sequence[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Where it looks while it says one caption of each of B images.

        Returns:
            (B, L, H, P) at the step that gives the first token, and the mean over the steps of all tokens.
        """
        _, maps = self._forced(seen, range(len(tokens)), start, tokens)
        real = Ragged([len(row) for row in tokens], maps[0].device).real
        weight = (real / real.sum(1, keepdim=True))[:, None, None]
        first = torch.stack([layer[:, :, 0] for layer in maps], dim=1)
        return first, torch.stack([(weight @ layer)[:, :, 0] for layer in maps], dim=1)

    def _forced(
        self, seen: Seen, images: Sequence[int], start: int, tokens: Sequence[list[int]]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """(N, D) of all tokens of all captions, and each layer's attention to the images, (B, H, Q, P)."""
        device = seen.device
        lengths = [len(row) for row in tokens]
        groups = groupby(range(len(tokens)), images.__getitem__)
        asked = [(image, sum(lengths[n] for n in group)) for image, group in groups]
        captions, about = Ragged(lengths, device), Ragged([count for _, count in asked], device)
        shown = [image for image, _ in asked]
        if shown != list(range(len(seen))):
            seen = seen[torch.tensor(shown, device=device)]
        causal = torch.ones(captions.shape[1], captions.shape[1], dtype=torch.bool, device=device).tril()
        maps: list[torch.Tensor] = []

        def attend(layer: int, *states: torch.Tensor) -> torch.Tensor:
            queries, keys, values = (self.split(captions.pad(part)).transpose(1, 2) for part in states)
            taken = attention_weights(queries, keys, causal) @ values
            return captions.pack(taken.transpose(1, 2).flatten(2))

        def look(layer: int, queries: torch.Tensor) -> torch.Tensor:
            taken, weights = seen.look(layer, self.split(about.pad(queries)).transpose(1, 2))
            maps.append(weights)
            return about.pack(taken.transpose(1, 2).flatten(2))

        ids = [token for row in tokens for token in (start, *row[:-1])]
        positions = [place for count in lengths for place in range(count)]
        embedded = self.embed(*(torch.tensor(part, device=device) for part in (ids, positions)))
        return self.run(embedded, attend, look), maps
