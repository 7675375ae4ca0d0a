"""What a finding is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from srdscan.findings.terms import Term
from srdscan.signals.base import WHOLE_DATASET, Evidence


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
        rule: Code of the kind of finding that it is (`srdscan.rules`).
        accuses: Whether it is held against samples; what a captioner says without cause is its own fault.
    """

    term: str
    where: Literal["caption", "output", "image"]
    samples: int
    reference_samples: int
    z: float
    explanation: str
    instead: str = ""
    rule: str = ""
    accuses: bool = True


@dataclass
class Found(Evidence):
    """The judgement of a search over the whole data set.

    Attributes:
        findings: what it found, for the report.
        rows: of each finding, the rows that it accuses, ascending.
        untaught: findings in a captioner's outputs that no caption taught it, and the images that it says them of.
    """

    findings: Sequence[Finding] = field(default_factory=tuple)
    rows: Sequence[npt.NDArray[np.int64]] = field(default_factory=tuple)
    untaught: Sequence[tuple[Finding, npt.NDArray[np.int64]]] = field(default_factory=tuple)


def held_against(count: int, terms: Sequence[tuple[Term, Finding]], reason: Callable[[str], str]) -> Found:
    """The judgement of a search for terms: each row that holds one has the p-value of the first that it holds.

    Args:
        count: rows.
        terms: what was found, the strongest first, at least one.
        reason: why a row is suspicious that holds a term, in words.
    """
    p_values, values = np.full(count, np.nan), np.full(count, np.nan)
    held: dict[int, str] = {}
    for term, finding in reversed(terms):
        p_values[term.samples], values[term.samples] = term.p_value, term.strangeness
        held |= dict.fromkeys(term.samples.tolist(), finding.term)
    findings = tuple(finding for _, finding in terms)
    note = f"{len(terms)} found: " + ", ".join(f"'{finding.term}'" for finding in findings[:5])
    return Found(
        p_values,
        values,
        note,
        weight=WHOLE_DATASET,
        reason=lambda row: reason(held[row]) if row in held else "",
        findings=findings,
        rows=tuple(term.samples for term, _ in terms),
    )


def nothing_found(count: int, note: str) -> Found:
    """The judgement of a search that found nothing: it says nothing of any of N rows."""
    nothing = np.broadcast_to(np.nan, count)  # takes no memory
    return Found(nothing, nothing, note, abstained=True)
