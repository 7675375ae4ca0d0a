"""`check_captioner`: does a captioner keep the contract? In the manner of Gymnasium's `check_env`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from srdscan import scenes
from srdscan.models.captioners.base import AttentionMaps, Captioner


class ContractError(AssertionError):
    """A captioner breaks the contract in `base`; the message says which clause."""


def _require(condition: bool, clause: str) -> None:
    if not condition:
        raise ContractError(clause)


def check_captioner(captioner: Captioner, images: Sequence[Image.Image] | None = None) -> None:
    """Checks types, shapes, probabilities, determinism and independence of the batch.

    Args:
        captioner: what to check.
        images: RGB images to check with; five drawn scenes of different sizes by default.

    Raises:
        ContractError: the first clause that does not hold.

    >>> from srdscan.models.captioners.load import load_captioner
    >>> check_captioner(load_captioner("captioner"))
    """
    if images is None:
        shapes = ((224, 224), (320, 240), (90, 200), (224, 224), (64, 64))
        images = [scenes.make(5, i)[0].resize(shape) for i, shape in enumerate(shapes)]
    count = len(images)
    for attribute in ("name", "fingerprint", "encoder_fingerprint"):
        _require(bool(str(getattr(captioner, attribute, ""))), f"`{attribute}` is missing or empty")

    encoding = captioner.encode(images)
    check_encoding(encoding, count)
    described = captioner.describe(encoding, attention=True)
    check_description(described, count)
    check_log_probs(captioner.score(encoding, described.captions), count, "score")

    again = captioner.describe(captioner.encode(images), attention=True)
    _require(again.captions == described.captions, "the same images gave other captions the second time")

    alone = [captioner.describe(captioner.encode([image]), attention=True) for image in images]
    _require(
        [d.captions[0] for d in alone] == described.captions, "an image's caption depends on the rest of its batch"
    )
    if described.attention is not None:
        for index, single in enumerate(alone):
            _require(single.attention is not None, "attention is there in a batch but not for a single image")
            assert single.attention is not None
            gap = float(np.abs(single.attention.first[0] - described.attention.first[index]).max())
            _require(gap < 0.02, f"an image's attention depends on the rest of its batch (differs by {gap:.3f})")
    if hasattr(encoding, "take") and count > 1:
        _check_take(captioner, encoding, described.captions)


def check_encoding(encoding: Any, count: int) -> None:
    """What must hold of the encoding of `count` images; cheap enough for every batch of an audit.

    Raises:
        ContractError: the first clause that does not hold; so in the functions below.
    """
    _require(hasattr(encoding, "features"), "encode(images) gives something without `features`")
    _require(len(encoding) == count, f"len(encode(images)) is {len(encoding)}, not {count}")
    features = np.asarray(encoding.features)
    _require(features.ndim == 2 and len(features) == count, f"features have shape {features.shape}, not ({count}, F)")
    _require(bool(np.isfinite(features).all()), "features are not finite")


def check_description(described: Any, count: int) -> None:
    """What must hold of the description of `count` images."""
    for attribute in ("captions", "log_probs", "attention"):
        _require(hasattr(described, attribute), f"describe gives something without `{attribute}`")
    _require(len(described.captions) == count, f"describe gives {len(described.captions)} captions, not {count}")
    _require(all(isinstance(c, str) for c in described.captions), "captions are not all strings")
    check_log_probs(described.log_probs, count, "describe")
    if described.attention is not None:
        _check_maps(described.attention, count)


def check_log_probs(given: Sequence[Any], count: int, method: str) -> None:
    """What must hold of the log-probabilities of `count` captions."""
    _require(len(given) == count, f"{method} gives {len(given)} arrays for {count} captions")
    for values in given:
        fits = isinstance(values, np.ndarray) and values.ndim == 1 and values.size > 0
        _require(fits, "log-probabilities are one-dimensional arrays and not empty")
        _require(
            bool((values <= 1e-4).all() and np.isfinite(values).all()), "log-probabilities are finite and at most 0"
        )


def _check_take(captioner: Captioner, encoding: Any, captions: list[str]) -> None:
    """An encoding that can be taken apart gives the chosen images' rows, also one twice."""
    rows = [1, 0, 0]
    taken = encoding.take(rows)
    check_encoding(taken, len(rows))
    expected = np.asarray(encoding.features)[rows]
    _require(bool(np.array_equal(taken.features, expected)), "take(rows) gives the features of other images")
    found = captioner.describe(taken).captions
    _require(found == [captions[row] for row in rows], "take(rows) gives the captions of other images")


def _check_maps(maps: AttentionMaps, count: int) -> None:
    for name, values in (("first", maps.first), ("mean", maps.mean)):
        _require(values.ndim == 5, f"attention.{name} has {values.ndim} dimensions, not 5: (B, L, H, R, C)")
        _require(values.shape[0] == count, f"attention.{name} is for {values.shape[0]} images, not {count}")
        _require(bool((values >= 0).all()), f"attention.{name} has negative values")
        sums = values.sum(axis=(-1, -2))
        _require(bool(np.allclose(sums, 1.0, atol=1e-3)), f"attention.{name}: maps do not sum to 1")
    _require(maps.first.shape == maps.mean.shape, "attention.first and .mean differ in shape")
