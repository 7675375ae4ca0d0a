"""What pass 1 knows of a batch of images and of the captions that stand beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from srdscan.measure.scores import Column
from srdscan.models.captioners.base import Captioner, Description, Floats
from srdscan.models.matchers.base import Matcher
from srdscan.text.plain import passages

if TYPE_CHECKING:  # they bring torch with them, which whoever reads score files and reports does without
    from srdscan.models.language_model import LanguageModel
    from srdscan.models.matchers.embedded import EmbeddedMatcher
    from srdscan.models.sentence_encoder import SentenceEncoder

Role = Literal["caption", "output", "reference"]
"""Whose text: the data set's, that of the captioner under audit, that of the trusted one."""

SCORED_AT_ONCE = 64
"""Captions whose likelihood is asked for in one call."""


@dataclass
class Batch:
    """B images, and P pairs of an image and one of its captions. Each derived value is computed once, for all signals.

    Attributes:
        captions: P captions of the data set.
        image_of: (P,) the image of each pair, ascending.
        reference: what the reference captioner says of the B images; None in a quick look, which does not ask it.
        output: what the captioner under audit says, with attention; None in a pair audit.
        pictures: the B images.
    """

    captions: list[str]
    image_of: npt.NDArray[np.int64]
    reference: Description | None
    output: Description | None
    reference_encoding: Any
    reference_captioner: Captioner
    sentence_encoder: SentenceEncoder
    language_model: LanguageModel
    matcher: Matcher
    looks: EmbeddedMatcher
    pictures: Sequence[Image.Image]

    def texts(self, role: Role) -> list[str]:
        """P captions of the data set, or B texts of a captioner."""
        if role == "caption":
            return self.captions
        described = self.reference if role == "reference" else self.output
        assert described is not None
        return described.captions

    def images(self, role: Role) -> npt.NDArray[np.int64]:
        """The image that each of a role's texts is about."""
        return self.image_of if role == "caption" else np.arange(len(self.pictures))

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """Which texts there are."""
        if self.reference is None:
            return ("caption",)
        return ("caption", "reference") if self.output is None else ("caption", "output", "reference")

    @cached_property
    def embeddings(self) -> dict[Role, Floats]:
        """Unit vectors of each role's texts, (P, D) or (B, D), from one call of the sentence encoder."""
        return self._split(self.sentence_encoder.embed([text for role in self.roles for text in self.texts(role)]))

    @cached_property
    def log_probs(self) -> dict[Role, list[Floats]]:
        """Language-model ln p of the tokens of each role's texts, from one call."""
        return self._split(self.language_model.log_probs([text for role in self.roles for text in self.texts(role)]))

    def _split(self, values: Any) -> dict[Role, Any]:
        ends = np.cumsum([len(self.texts(role)) for role in self.roles])
        starts = [0, *ends[:-1]]
        return {role: values[start:end] for role, start, end in zip(self.roles, starts, ends, strict=True)}

    @cached_property
    def image_vectors(self) -> Floats:
        """(B, 256) what the embedded matcher sees."""
        return self.looks.vectors(self.pictures, self.reference_encoding)

    @cached_property
    def matched(self) -> tuple[Floats, Floats] | None:
        """Unit vectors of the images and captions, (B, X) and (P, X), in one space; None if the matcher has none."""
        texts = self.matcher.texts(self.captions)
        return None if texts is None else (self.matcher.vectors(self.pictures, self.reference_encoding), texts)

    def support(self, role: Role) -> list[Floats]:
        """The reference captioner's ln p of each token of a role's texts, given the image.

        Long texts are asked for passage by passage, as the language model reads them.
        """
        if role == "reference" and self.reference is not None:
            return self.reference.log_probs
        return support_each(self.reference_captioner, self.reference_encoding, self.images(role), self.texts(role))


def support_each(
    captioner: Captioner, encoding: Any, images: npt.NDArray[np.int64], texts: Sequence[str]
) -> list[Floats]:
    """ln p(token | image) of captions of any length, passage by passage, in the order of their words.

    Args:
        encoding: of B images.
        images: (T,) which image each caption is about.
        texts: T captions, as they are written.
    """
    parts = [passages(text) for text in texts]
    counts = np.array([len(part) for part in parts], dtype=np.int64)
    asked = [passage for part in parts for passage in part]
    scored = score_each(captioner, encoding, np.repeat(images, counts), asked)
    starts = np.cumsum(counts) - counts
    return [np.concatenate(scored[start : start + n]) for start, n in zip(starts, counts, strict=True)]


def score_each(
    captioner: Captioner, encoding: Any, images: npt.NDArray[np.int64], texts: Sequence[str]
) -> list[Floats]:
    """ln p(token | image) of any number of texts about each image of a batch.

    Args:
        encoding: of B images.
        images: (T,) which image each text is about.
        texts: T texts.
    """
    count = len(encoding)
    if np.array_equal(images, np.arange(count)):
        return captioner.score(encoding, texts)
    found: list[Floats] = []
    if hasattr(captioner, "score_of"):
        for start in range(0, len(texts), SCORED_AT_ONCE):
            part = slice(start, start + SCORED_AT_ONCE)
            found += captioner.score_of(encoding, texts[part], images[part].tolist())
        return found
    if hasattr(encoding, "take"):
        for start in range(0, len(texts), SCORED_AT_ONCE):
            rows = images[start : start + SCORED_AT_ONCE].tolist()
            found += captioner.score(encoding.take(rows), texts[start : start + SCORED_AT_ONCE])
        return found
    # The contract alone: one text an image and call. An image that has none left is asked for any.
    waiting: list[list[int]] = [[] for _ in range(count)]
    for place, image in enumerate(images):
        waiting[image].append(place)
    scored: list[Floats] = [np.zeros(0, np.float32)] * len(texts)
    for turn in range(max(map(len, waiting), default=0)):
        asked = [texts[places[turn]] if turn < len(places) else texts[0] for places in waiting]
        for places, values in zip(waiting, captioner.score(encoding, asked), strict=True):
            if turn < len(places):
                scored[places[turn]] = values
    return scored


class Measured(Protocol):
    """What pass 1 asks of a signal.

    Attributes:
        needs_captioner: it measures what the captioner under audit does with an image: its columns have a row an image.
            Others have a row a pair.
    """

    needs_captioner: bool

    def measure(self, batch: Batch) -> Mapping[str, Column]:
        """Columns of B or P rows; may be empty."""
        ...
