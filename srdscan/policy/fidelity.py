"""How faithful a caption is to a trusted one: the sentence encoder, and the semantic fidelity score (SFS)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srdscan.models.language_model import LanguageModel
from srdscan.models.sentence_encoder import SentenceEncoder

Floats = npt.NDArray[np.float32]


COSINE_WEIGHT, FLUENCY_WEIGHT = 0.7, 0.3


@dataclass(frozen=True)
class References:
    """N trusted captions, as what SFS needs of them.

    Attributes:
        embeddings: (N, D) float32 unit vectors.
        log_perplexity: (N,) float32, ln PPL.
    """

    embeddings: Floats
    log_perplexity: Floats

    def take(self, rows: Sequence[int]) -> "References":
        """Some of them, in the given order."""
        return References(self.embeddings[list(rows)], self.log_perplexity[list(rows)])


@dataclass(frozen=True)
class Fidelity:
    """How faithful N captions are.

    Attributes:
        cosine: (N,) cos(e(caption), e(reference)), in [-1, 1].
        fluency: (N,) PPL(reference) / PPL(caption), larger is more fluent than the reference; not cut.
    """

    cosine: Floats
    fluency: Floats

    @property
    def sfs(self) -> Floats:
        """(N,) the semantic fidelity score, in [-0.7, 1]: 0.7 cosine + 0.3 min(fluency, 1)."""
        return np.asarray(COSINE_WEIGHT * self.cosine + FLUENCY_WEIGHT * np.minimum(self.fluency, 1.0), np.float32)


@dataclass(frozen=True)
class FidelityModel:
    """Computes SFS: one sentence-encoder call and one language-model call for any number of captions."""

    sentence_encoder: SentenceEncoder
    language_model: LanguageModel

    def references(self, captions: Sequence[str]) -> References:
        """Trusted captions, ready for comparison."""
        return References(self.sentence_encoder.embed(captions), self.language_model.log_perplexity(captions))

    def measure(self, captions: Sequence[str], references: References) -> Fidelity:
        """How faithful each caption is to the reference at the same place."""
        cosine = (self.sentence_encoder.embed(captions) * references.embeddings).sum(axis=1)
        fluency = np.exp(references.log_perplexity - self.language_model.log_perplexity(captions))
        return Fidelity(cosine.astype(np.float32), fluency.astype(np.float32))
