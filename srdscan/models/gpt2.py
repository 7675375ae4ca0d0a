"""GPT-2's arithmetic over the tokens of many texts at once, none of them padding.

A decoder of captions is small, and Hugging Face's forward pass of it is slow for reasons that have nothing to do with
arithmetic: rows padded to the longest, an activation in eight passes over memory, a vocabulary of logits larger than
any cache. Here all tokens of all texts go through each matrix in one product; only attention, which its caller
computes, knows which tokens belong together.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.nn import functional as F

Attend = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Layer and (N, D) queries, keys, values -> (N, D) what the tokens take from one another."""
Look = Callable[[int, torch.Tensor], torch.Tensor]
"""Layer and (N, D) queries -> (N, D) what the tokens take from their image."""

ROWS = 256
"""Tokens whose logits are in memory together: 4 MB of them at 4,096 words."""
_SAME_ACTIVATION = ("gelu_new", "gelu_pytorch_tanh")


class Gpt2:
    """A `GPT2LMHeadModel`, with cross-attention or without, computed by hand from the weights that it holds.

    Args:
        model: one that `understands` accepts, in evaluation mode.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.heads: int = model.config.n_head
        self.depth = model.config.n_embd // self.heads

    @staticmethod
    def understands(model: Any) -> bool:
        """Whether a model has GPT-2's own arithmetic: no variant of its attention, no other activation."""
        config = model.config
        return (
            type(model).__name__ == "GPT2LMHeadModel"
            and config.activation_function in _SAME_ACTIVATION
            and config.scale_attn_weights
            and not config.scale_attn_by_inverse_layer_idx
            and not config.reorder_and_upcast_attn
        )

    def embed(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """(N, D) of N tokens and their places in their texts."""
        inner = self.model.transformer
        return F.embedding(ids, inner.wte.weight) + F.embedding(positions, inner.wpe.weight)

    def run(self, x: torch.Tensor, attend: Attend, look: Look | None = None) -> torch.Tensor:
        """(N, D) embedded tokens through all layers.

        Args:
            attend: self-attention.
            look: cross-attention, of a model that has it.
        """
        for layer, block in enumerate(self.model.transformer.h):
            queries, keys, values = _linear(block.attn.c_attn, _norm(block.ln_1, x)).chunk(3, dim=1)
            x = x + _linear(block.attn.c_proj, attend(layer, queries, keys, values))
            if look is not None:
                asked = _linear(block.crossattention.q_attn, _norm(block.ln_cross_attn, x))
                x = x + _linear(block.crossattention.c_proj, look(layer, asked))
            inner = F.gelu(_linear(block.mlp.c_fc, _norm(block.ln_2, x)), approximate="tanh")
            x = x + _linear(block.mlp.c_proj, inner)
        return _norm(self.model.transformer.ln_f, x)

    def log_probs(self, hidden: torch.Tensor) -> torch.Tensor:
        """(N, V) float32 ln p of every word, of N rows of `run`."""
        return F.linear(hidden, self.model.lm_head.weight).float().log_softmax(-1)

    def chosen(self, hidden: torch.Tensor, rows: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """(K,) float32 ln p of chosen tokens, without holding a vocabulary of numbers for all of them.

        Args:
            hidden: (N, D) rows of `run`.
            rows: (K,) ascending; which row predicts each token.
            tokens: (K,) the tokens.
        """
        found = []
        for start, stop in _spans(rows, len(hidden)):
            ours = rows[start:stop]
            first, last = int(ours[0]), int(ours[-1]) + 1
            found.append(self.log_probs(hidden[first:last])[ours - first, tokens[start:stop]])
        return torch.cat(found) if found else hidden.new_zeros(0, dtype=torch.float32)

    def split(self, values: torch.Tensor) -> torch.Tensor:
        """(..., D) to (..., heads, D / heads)."""
        return values.reshape(*values.shape[:-1], self.heads, self.depth)


class Ragged:
    """Texts of differing lengths: one after another as (N, D), or as rows of one width, (R, W, D).

    Args:
        lengths: of R texts.
        device: where the tensors lie.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self.shape = (len(lengths), max(lengths))
        self.full = min(lengths) == self.shape[1]
        counts = torch.tensor(lengths, device=device)
        self.real = torch.arange(self.shape[1], device=device) < counts[:, None]
        self.places = self.real.flatten().nonzero()[:, 0]

    def pad(self, flat: torch.Tensor) -> torch.Tensor:
        """(N, D) to (R, W, D), zeros behind the end of a text."""
        if self.full:
            return flat.reshape(*self.shape, flat.shape[1])
        rows = flat.new_zeros(self.shape[0] * self.shape[1], flat.shape[1])
        return rows.index_copy_(0, self.places, flat).reshape(*self.shape, flat.shape[1])

    def pack(self, rows: torch.Tensor) -> torch.Tensor:
        """(R, W, D) to (N, D)."""
        return rows.flatten(0, 1) if self.full else rows.flatten(0, 1)[self.places]


def attention_weights(queries: torch.Tensor, keys: torch.Tensor, allowed: torch.Tensor | None = None) -> torch.Tensor:
    """softmax(q k / sqrt(D)): (..., Q, D) and (..., K, D) to (..., Q, K); `allowed` is False where nothing is seen."""
    logits = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
    if allowed is not None:
        logits = logits.masked_fill(~allowed, torch.finfo(logits.dtype).min)
    weights: torch.Tensor = logits.softmax(-1)
    return weights


def _spans(rows: torch.Tensor, count: int) -> Iterator[tuple[int, int]]:
    """Stretches of ascending `rows` that lie within `ROWS` of one another."""
    edges = torch.arange(0, count + ROWS, ROWS, device=rows.device)
    cuts = torch.searchsorted(rows, edges).tolist()
    yield from ((start, stop) for start, stop in zip(cuts, cuts[1:], strict=False) if stop > start)


def _linear(conv: Any, x: torch.Tensor) -> torch.Tensor:
    """Hugging Face's `Conv1D`: weights lie (in, out)."""
    return torch.addmm(conv.bias, x, conv.weight)


def _norm(norm: Any, x: torch.Tensor) -> torch.Tensor:
    return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
