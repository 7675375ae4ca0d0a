"""Greedy and beam search of the embedded captioners' decoder.

The answers are those of Hugging Face's `generate`, float rounding aside. What is different: no cache is ever reordered,
as each lane knows which entries of its image's cache are its own past; finished images are dropped; and the chosen
tokens' probabilities are kept, so that no second pass must find them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from srdscan.models.captioners.base import Floats
from srdscan.models.captioners.grid_decoder import GridDecoder, Seen
from srdscan.models.gpt2 import attention_weights

NEVER = -1e9
"""Score of what cannot be chosen."""
DROPPED = 0.75
"""Share of images still open at which the others are dropped; copying what is left costs as much as a step or two."""


@dataclass(frozen=True)
class Search:
    """How captions are searched for.

    Attributes:
        beams: width; 1 is greedy.
        start: the token before every caption.
        end: the token that ends one.
        longest: tokens of a caption at most, end token included.
        length_penalty: exponent of the length that a caption's score is divided by.
    """

    beams: int
    start: int
    end: int
    longest: int
    length_penalty: float = 1.0

    @staticmethod
    def of(config: Any, beams: int, start: int) -> "Search | None":
        """What a generation config asks for; None if it asks for anything that is not done here."""
        plain = {"max_length", "num_beams", "length_penalty", "decoder_start_token_id", "eos_token_id"}
        plain |= {"bos_token_id", "pad_token_id", "transformers_version", "_from_model_config", "use_cache"}
        asked = {name: value for name, value in config.to_diff_dict().items() if value}
        if asked.keys() - plain or not isinstance(config.eos_token_id, int) or not config.max_length:
            return None
        penalty = 1.0 if config.length_penalty is None else float(config.length_penalty)
        return Search(beams, start, config.eos_token_id, config.max_length - 1, penalty)


class _Cache:
    """Self-attention's keys and values of A images, E entries each: those of all lanes at all steps."""

    def __init__(self, decoder: GridDecoder, images: int, most: int, like: torch.Tensor) -> None:
        layers = len(decoder.model.transformer.h)
        self.states = like.new_empty(layers, 2, images, decoder.heads, most, decoder.depth)
        self.entries = 0

    def attend(
        self, layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, own: torch.Tensor
    ) -> torch.Tensor:
        """(A, H, lanes, D) each, new entries last; `own` (A, lanes, E) says which entries are a lane's past."""
        new = self.entries + keys.shape[2]
        kept = self.states[layer, :, :, :, :new]
        kept[0][:, :, self.entries :], kept[1][:, :, self.entries :] = keys, values
        return attention_weights(queries, kept[0], own[:, None]) @ kept[1]

    def take(self, rows: torch.Tensor) -> None:
        self.states = self.states[:, :, rows]


class _Steps:
    """The decoder, a token of every lane at a time."""

    def __init__(self, decoder: GridDecoder, seen: Seen, search: Search) -> None:
        self.decoder, self.seen = decoder, seen
        self.cache = _Cache(decoder, len(seen), 1 + search.beams * (search.longest - 1), seen.keys[0])

    def __call__(self, tokens: torch.Tensor, place: int, own: torch.Tensor) -> torch.Tensor:
        """(A, lanes, V) ln p of what follows (A, lanes) tokens."""
        decoder, lanes = self.decoder, tokens.shape[1]

        def apart(flat: torch.Tensor) -> torch.Tensor:
            return decoder.split(flat.reshape(-1, lanes, flat.shape[1])).transpose(1, 2)

        def joined(taken: torch.Tensor) -> torch.Tensor:
            return taken.transpose(1, 2).flatten(2).flatten(0, 1)

        def attend(layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
            return joined(self.cache.attend(layer, apart(queries), apart(keys), apart(values), own))

        def look(layer: int, queries: torch.Tensor) -> torch.Tensor:
            return joined(self.seen.look(layer, apart(queries))[0])

        embedded = decoder.embed(tokens.flatten(), torch.full_like(tokens.flatten(), place))
        hidden = decoder.run(embedded, attend, look)
        self.cache.entries += lanes
        log_probs = decoder.log_probs(hidden)
        return log_probs.reshape(-1, lanes, log_probs.shape[1])

    def take(self, rows: torch.Tensor) -> None:
        """Goes on with some of the images."""
        self.seen = self.seen[rows]
        self.cache.take(rows)


@dataclass
class _Lanes:
    """Lanes of A images: what each said, with which probabilities, and its score.

    Attributes:
        tokens: (A, lanes, T).
        log_probs: (A, lanes, T).
        scores: (A, lanes), best first.
    """

    tokens: torch.Tensor
    log_probs: torch.Tensor
    scores: torch.Tensor

    def best(self, scores: torch.Tensor, count: int) -> tuple["_Lanes", torch.Tensor]:
        """The lanes with the best of other scores, and which they are."""
        top, order = scores.topk(count, dim=1)
        return _Lanes(_pick(self.tokens, order), _pick(self.log_probs, order), top), order

    def beside(self, other: "_Lanes") -> "_Lanes":
        """These lanes, then others."""
        return _Lanes(
            torch.cat([self.tokens, other.tokens], dim=1),
            torch.cat([self.log_probs, other.log_probs], dim=1),
            torch.cat([self.scores, other.scores], dim=1),
        )

    def take(self, rows: torch.Tensor) -> "_Lanes":
        return _Lanes(self.tokens[rows], self.log_probs[rows], self.scores[rows])


def describe(decoder: GridDecoder, seen: Seen, search: Search) -> tuple[list[list[int]], list[Floats]]:
    """Tokens of a caption of each image, end token included, and ln p of each."""
    found = _greedy(decoder, seen, search) if search.beams == 1 else _beams(decoder, seen, search)
    tokens = found.tokens[:, 0].tolist()
    lengths = [row.index(search.end) + 1 if search.end in row else len(row) for row in tokens]
    log_probs = found.log_probs[:, 0].float().cpu().numpy()
    return (
        [row[:length] for row, length in zip(tokens, lengths, strict=True)],
        [row[:length].astype(np.float32) for row, length in zip(log_probs, lengths, strict=True)],
    )


def _nothing(count: int, lanes: int, search: Search, like: torch.Tensor) -> _Lanes:
    shape = (count, lanes, search.longest)
    tokens = torch.full(shape, search.end, device=like.device)
    return _Lanes(tokens, like.new_zeros(shape, dtype=torch.float32), like.new_full(shape[:2], NEVER))


def _greedy(decoder: GridDecoder, seen: Seen, search: Search) -> _Lanes:
    count, device = len(seen), seen.device
    done = _nothing(count, 1, search, seen.keys[0])
    steps = _Steps(decoder, seen, search)
    rows = torch.arange(count, device=device)
    last = torch.full((count, 1), search.start, device=device)
    for place in range(search.longest):
        own = torch.ones(len(rows), 1, place + 1, dtype=torch.bool, device=device)
        log_probs, last = steps(last, place, own).max(-1)
        done.tokens[rows, 0, place], done.log_probs[rows, 0, place] = last[:, 0], log_probs[:, 0]
        going = (last[:, 0] != search.end).nonzero()[:, 0]
        if not len(going):
            break
        if len(going) <= DROPPED * len(rows):
            steps.take(going)
            rows, last = rows[going], last[going]
    return done


def _beams(decoder: GridDecoder, seen: Seen, search: Search) -> _Lanes:
    """As `generate` with `early_stopping=False`: an image is done when its best open lane is no better than its worst
    finished one, both divided by their length to the power of the penalty."""
    count, device, beams = len(seen), seen.device, search.beams
    result = _nothing(count, beams, search, seen.keys[0])
    steps = _Steps(decoder, seen, search)
    rows = torch.arange(count, device=device)
    done = _nothing(count, beams, search, seen.keys[0])
    open_lanes = _nothing(count, 1, search, seen.keys[0])
    open_lanes.scores[:] = 0.0
    last = torch.full((count, 1), search.start, device=device)
    own = torch.ones(count, 1, 1, dtype=torch.bool, device=device)
    alive = torch.ones(count, dtype=torch.bool, device=device)
    for place in range(search.longest):
        log_probs = steps(last, place, own)
        words = log_probs.shape[-1]
        scores, chosen = (open_lanes.scores[..., None] + log_probs).flatten(1).topk(2 * beams, dim=1)
        parents, tokens = chosen // words, chosen % words
        said = _Lanes(_pick(open_lanes.tokens, parents), _pick(open_lanes.log_probs, parents), scores)
        said.tokens[:, :, place] = tokens
        said.log_probs[:, :, place] = log_probs.flatten(1).gather(1, chosen)
        ends = tokens == search.end
        if place == search.longest - 1:
            ends[:] = True
        counts = ends & alive[:, None]
        counts[:, beams:] = False
        length = (place + 1) ** search.length_penalty
        said.scores = (scores / length).masked_fill(~counts, NEVER)
        merged = done.beside(said)
        done, _ = merged.best(merged.scores, beams)
        open_lanes, order = said.best(scores.masked_fill(ends, NEVER), beams)
        parents, last = parents.gather(1, order), tokens.gather(1, order)
        alive &= (done.scores[:, -1] == NEVER) | (open_lanes.scores[:, 0] / length > done.scores[:, -1])
        new = torch.eye(beams, dtype=torch.bool, device=device).expand(len(rows), -1, -1)
        own = torch.cat([_pick(own, parents), new], dim=2)
        going = alive.nonzero()[:, 0]
        if len(going) <= DROPPED * len(rows):
            result.tokens[rows], result.log_probs[rows] = done.tokens, done.log_probs
            if not len(going):
                break
            steps.take(going)
            rows, last, own, alive = rows[going], last[going], own[going], alive[going]
            done, open_lanes = done.take(going), open_lanes.take(going)
    result.tokens[rows], result.log_probs[rows] = done.tokens, done.log_probs
    return result


def _pick(values: torch.Tensor, lanes: torch.Tensor) -> torch.Tensor:
    """Chosen lanes: (A, lanes, T) and (A, K) to (A, K, T)."""
    return values.gather(1, lanes[..., None].expand(-1, -1, values.shape[2]))
