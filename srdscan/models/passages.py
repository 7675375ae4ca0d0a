"""Texts of any length as unit vectors, by models that read a window of so many tokens."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def embed_whole(
    texts: Sequence[str], cut: Callable[[str], Sequence[str]], embed: Callable[[list[str]], npt.NDArray[np.floating]]
) -> Floats:
    """(N, D) float32 unit vectors; equal texts, and equal passages, are computed once.

    The vector of a text with several passages is the mean of theirs, put to length 1.

    Args:
        texts: N of them.
        cut: a text as it is, or its passages where it is too long for the model; at least one.
        embed: (K, D) vectors of K passages.
    """
    parts = {text: list(cut(text)) for text in dict.fromkeys(texts)}
    unique = list(dict.fromkeys(part for found in parts.values() for part in found))
    table = unit(embed(unique))
    place = {part: row for row, part in enumerate(unique)}
    whole = {text: table[[place[part] for part in found]] for text, found in parts.items()}
    means = {text: rows[0] if len(rows) == 1 else unit(rows.mean(axis=0)) for text, rows in whole.items()}
    return np.stack([means[text] for text in texts])


def unit(vectors: npt.NDArray[np.floating]) -> Floats:
    """Vectors put to length 1, along the last axis."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True).clip(1e-9)
    return np.asarray(vectors / lengths, dtype=np.float32)
