"""What pass 1 knows of a batch of samples."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np

from srdscan.measure.scores import Column
from srdscan.models.captioners.base import Captioner, Description, Floats
from srdscan.models.language_model import LanguageModel
from srdscan.models.sentence_encoder import SentenceEncoder
from srdscan.text.plain import plain_caption

Role = Literal["caption", "output", "reference"]


@dataclass
class Batch:
    """What pass 1 knows of B samples. Each derived value is computed once, on first use, for all signals.

    Attributes:
        captions: the data set's captions.
        reference: what the reference captioner says.
        output: what the captioner under audit says, with attention; None in a pair audit.
    """

    captions: list[str]
    reference: Description
    output: Description | None
    reference_encoding: Any
    reference_captioner: Captioner
    sentence_encoder: SentenceEncoder
    language_model: LanguageModel

    def texts(self, role: Role) -> list[str]:
        """B texts: the data set's captions, the captioner's output or the reference captions."""
        if role == "caption":
            return self.captions
        described = self.reference if role == "reference" else self.output
        assert described is not None
        return described.captions

    @cached_property
    def roles(self) -> tuple[Role, ...]:
        """Which texts there are."""
        return ("caption", "reference") if self.output is None else ("caption", "output", "reference")

    @cached_property
    def embeddings(self) -> dict[Role, Floats]:
        """(B, D) unit vectors of each role's texts, from one call of the sentence encoder."""
        texts = [text for role in self.roles for text in self.texts(role)]
        parts = np.split(self.sentence_encoder.embed(texts), len(self.roles))
        return dict(zip(self.roles, parts, strict=True))

    @cached_property
    def log_probs(self) -> dict[Role, list[Floats]]:
        """Language-model ln p of the tokens of each role's texts, from one call."""
        texts = [text for role in self.roles for text in self.texts(role)]
        values = self.language_model.log_probs(texts)
        size = len(self.captions)
        return {role: values[i * size : (i + 1) * size] for i, role in enumerate(self.roles)}

    def support(self, role: Role) -> list[Floats]:
        """The reference captioner's ln p of each token of a role's texts, given the image."""
        if role == "reference":
            return self.reference.log_probs
        return self.reference_captioner.score(self.reference_encoding, [plain_caption(t) for t in self.texts(role)])


class Measured(Protocol):
    """What pass 1 asks of a signal: a batch in, columns of B rows for the score file out."""

    def measure(self, batch: Batch) -> Mapping[str, Column]:
        """Columns of B rows; may be empty."""
        ...
