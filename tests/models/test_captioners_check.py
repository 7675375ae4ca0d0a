"""check_captioner: who keeps the contract passes, who breaks it is told the clause."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from srdscan.models.captioners.base import Description
from srdscan.models.captioners.check import ContractError, check_captioner
from srdscan.models.captioners.load import EMBEDDED, load_captioner


@pytest.mark.parametrize("name", EMBEDDED)
def test_the_embedded_captioners_keep_the_contract(name: str) -> None:
    check_captioner(load_captioner(name))


def test_captioners_with_one_encoder_understand_each_others_encodings(
    captioner: Any, pictures: list[Image.Image]
) -> None:
    other = load_captioner("captioner-backdoored")
    assert other.encoder_fingerprint == captioner.encoder_fingerprint
    assert other.fingerprint != captioner.fingerprint
    own, shared = (other.describe(encoder.encode(pictures)) for encoder in (other, captioner))
    assert own.captions == shared.captions


class Wrapped:
    """The real captioner, with something broken on the way out."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.name, self.fingerprint, self.encoder_fingerprint = "wrapped", inner.fingerprint, inner.encoder_fingerprint
        self.calls = 0

    def encode(self, images: Sequence[Image.Image]) -> Any:
        return self.inner.encode(images)

    def describe(self, encoding: Any, *, attention: bool = False) -> Description:
        self.calls += 1
        return self.broken(self.inner.describe(encoding, attention=attention))

    def broken(self, described: Description) -> Description:
        return described

    def score(self, encoding: Any, captions: Sequence[str]) -> list[np.ndarray]:
        return self.inner.score(encoding, captions)


class DoubledMaps(Wrapped):
    def broken(self, described: Description) -> Description:
        maps = described.attention
        return dataclasses.replace(described, attention=dataclasses.replace(maps, mean=2 * maps.mean))


class NegativeMaps(Wrapped):
    def broken(self, described: Description) -> Description:
        maps = described.attention
        return dataclasses.replace(described, attention=dataclasses.replace(maps, first=maps.first - 1e-3))


class HeadsAveraged(Wrapped):
    def broken(self, described: Description) -> Description:
        maps = described.attention
        return dataclasses.replace(described, attention=dataclasses.replace(maps, first=maps.first.mean(axis=2)))


class SeesTheBatch(Wrapped):
    def broken(self, described: Description) -> Description:
        return dataclasses.replace(described, captions=[f"{c} ({len(described.captions)})" for c in described.captions])


class Moody(Wrapped):
    def broken(self, described: Description) -> Description:
        return dataclasses.replace(described, captions=[f"{c}{' ' * self.calls}" for c in described.captions])


class DropsOne(Wrapped):
    def broken(self, described: Description) -> Description:
        return dataclasses.replace(described, captions=described.captions[1:])


class AttentionOfTheBatch(Wrapped):
    def broken(self, described: Description) -> Description:
        maps = described.attention
        first = np.broadcast_to(maps.first.mean(axis=0), maps.first.shape)
        return dataclasses.replace(described, attention=dataclasses.replace(maps, first=first))


class Probabilities(Wrapped):
    def score(self, encoding: Any, captions: Sequence[str]) -> list[np.ndarray]:
        return [np.exp(values) for values in super().score(encoding, captions)]


class ScoresTooFew(Wrapped):
    def score(self, encoding: Any, captions: Sequence[str]) -> list[np.ndarray]:
        return super().score(encoding, captions)[1:]


class TakesTheFirst(Wrapped):
    def encode(self, images: Sequence[Image.Image]) -> Any:
        encoding = super().encode(images)
        take = encoding.take
        encoding.take = lambda rows: take([0] * len(rows))
        return encoding


class Nameless(Wrapped):
    fingerprint = property(lambda self: "", lambda self, value: None)


@pytest.mark.parametrize(
    ("broken", "clause"),
    [
        (DoubledMaps, "attention.mean: maps do not sum to 1"),
        (NegativeMaps, "attention.first has negative values"),
        (HeadsAveraged, "attention.first has 4 dimensions, not 5"),
        (SeesTheBatch, "an image's caption depends on the rest of its batch"),
        (Moody, "the same images gave other captions the second time"),
        (DropsOne, "describe gives 2 captions, not 3"),
        (AttentionOfTheBatch, "an image's attention depends on the rest of its batch"),
        (Probabilities, "log-probabilities are finite and at most 0"),
        (ScoresTooFew, "score gives 2 arrays for 3 captions"),
        (TakesTheFirst, "take(rows) gives the features of other images"),
        (Nameless, "`fingerprint` is missing or empty"),
    ],
)
def test_a_broken_captioner_is_told_which_clause_it_breaks(
    captioner: Any, pictures: list[Image.Image], broken: type[Wrapped], clause: str
) -> None:
    with pytest.raises(ContractError, match=re.escape(clause)):
        check_captioner(broken(captioner), pictures[:3])
