"""Which model took part in a run, as its report says it."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ModelRecord:
    """A model that took part.

    Attributes:
        role: What it did.
        name: Its name or path, as configured.
        fingerprint: sha256 of its weights, in hex; of a matcher, of how it prepares images, too.
    """

    role: Literal["captioner", "reference", "matcher", "looks", "sentence-encoder", "language-model", "policy"]
    name: str
    fingerprint: str
