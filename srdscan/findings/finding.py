"""What a finding is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from srdscan.signals.base import Evidence


@dataclass(frozen=True)
class Finding:
    """A word or phrase repeated far more than the pictures account for: probably the attacker's target.

    Attributes:
        term: The word or phrase.
        where: "caption" if the data set's captions repeat it, "output" if the captioner's do, "image" if
            it is a piece of picture.
        samples: Samples whose caption under audit holds the term.
        reference_samples: Samples whose reference caption holds it.
        z: z-score of the log-odds against the references (Monroe et al. 2008).
        explanation: One sentence in plain words.
        instead: What the images show, where the term is another thing's name; empty otherwise.
    """

    term: str
    where: Literal["caption", "output", "image"]
    samples: int
    reference_samples: int
    z: float
    explanation: str
    instead: str = ""


@dataclass
class Found(Evidence):
    """The judgement of a search over the whole data set.

    Attributes:
        findings: what it found, for the report.
    """

    findings: Sequence[Finding] = field(default_factory=tuple)


def nothing_found(count: int, note: str) -> Found:
    """The judgement of a search that found nothing: it says nothing of any of N rows."""
    nothing = np.full(count, np.nan)
    return Found(nothing, nothing, note, abstained=True)
