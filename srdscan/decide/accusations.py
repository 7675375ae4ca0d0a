"""Who is accused by what: every finding with the flagged pairs that it accuses.

Every flagged pair belongs to the findings that accuse it; one that no finding accuses was flagged by what was measured
on it alone, and belongs to SRD302 if covering a spot of its image changed what the captioner says, to SRD301 if not.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srdscan.decide.verdicts import Verdicts, same_thing
from srdscan.findings.finding import Finding, Found
from srdscan.measure.scores import Scores
from srdscan.rules import RULES

OF_OTHER_IMAGES, ODD, PATCH = "SRD203", "SRD301", "SRD302"

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Accusation:
    """A finding and the flagged pairs that it accuses.

    Attributes:
        finding: what was found.
        rows: flagged pairs that it accuses, ascending.
        about: all rows that it is about, accused or not.
    """

    finding: Finding
    rows: Indices
    about: Indices


@dataclass(frozen=True)
class Elsewhere:
    """Findings that no signal holds: those in the pictures, and those that accuse nobody.

    Attributes:
        spots: pieces of picture, each with the images that hold it, as numbers of images.
        hidden: characters that do not show.
    """

    spots: Sequence[tuple[Finding, Indices]] = ()
    hidden: Sequence[Finding] = ()


def accusations(
    verdicts: Verdicts, scores: Scores, elsewhere: Elsewhere, ignored: Collection[str] = ()
) -> list[Accusation]:
    """Every finding with the flagged pairs that it accuses; each flagged pair is accused by one at least.

    Raises:
        ValueError: a finding has the code of no rule.
    """
    flagged = np.flatnonzero(verdicts.flagged)
    found: list[Accusation] = []
    for evidence in verdicts.evidence.values():
        if isinstance(evidence, Found):
            said = np.flatnonzero(np.isfinite(evidence.p_values))
            for finding, about in zip(evidence.findings, evidence.rows or [said] * len(evidence.findings), strict=True):
                rows = np.intersect1d(about, flagged)
                # what two searches find is named once, unless the second accuses samples that the first does not
                if not any(same_thing(finding, a.finding) and np.isin(rows, a.rows).all() for a in found):
                    found.append(Accusation(finding, rows, about))
    agreement = verdicts.evidence.get("agreement")
    if agreement is not None and not agreement.abstained:
        rows = np.intersect1d(np.flatnonzero(np.isfinite(agreement.p_values)), flagged)
        finding = _of_all(OF_OTHER_IMAGES, rows, verdicts, agreement.note)
        found.append(Accusation(finding, rows, rows))
    spots = verdicts.evidence.get("spots")
    for finding, images in elsewhere.spots:
        about = np.flatnonzero(np.isin(scores.image_of, images))
        accused = about[np.isfinite(spots.p_values[about])] if spots is not None else about[:0]
        found.append(Accusation(finding, np.intersect1d(accused, flagged), about))
    found += _single(verdicts, np.setdiff1d(flagged, np.concatenate([flagged[:0], *(a.rows for a in found)])), ignored)
    nobody = np.zeros(0, np.int64)
    found += [Accusation(finding, nobody, nobody) for finding in elsewhere.hidden]
    for accusation in found:
        if accusation.finding.rule not in RULES:
            what = f"the finding '{accusation.finding.term}' has the code {accusation.finding.rule!r}"
            raise ValueError(f"{what}, which is no rule's: add it to srdscan.rules.RULES")
    return found


def _single(verdicts: Verdicts, rows: Indices, ignored: Collection[str]) -> list[Accusation]:
    """What accuses the flagged pairs that no finding does."""
    ablation = verdicts.evidence.get("ablation")
    patch = np.array([ablation is not None and bool(ablation.reason(row)) for row in rows.tolist()], dtype=bool)
    if ODD in ignored:
        patch[:] = True
    found = []
    for code, part in ((PATCH, rows[patch]), (ODD, rows[~patch])):
        if len(part):
            what = (
                "the captioner says something else once the spot that it looks at is covered"
                if code == PATCH
                else f"flagged by what was measured on each alone ({_strongest(verdicts, part)})"
            )
            number = len(np.unique(verdicts.sample_of[part]))
            note = f"{number} of {verdicts.samples} samples: {what}"
            found.append(Accusation(_of_all(code, part, verdicts, note), part, part))
    return found


def _strongest(verdicts: Verdicts, rows: Indices) -> str:
    names = list(verdicts.evidence)
    p_values = np.stack([verdicts.evidence[name].p_values[rows] for name in names])
    first = np.argmin(np.where(np.isfinite(p_values), p_values, 2.0), axis=0)
    counts = np.bincount(first, minlength=len(names))
    order = [place for place in np.argsort(-counts, kind="stable")[:3] if counts[place]]
    return ", ".join(f"{names[place]} {counts[place]}" for place in order)


def _of_all(code: str, rows: Indices, verdicts: Verdicts, explanation: str) -> Finding:
    """A finding about the data set as a whole that no term stands for."""
    samples = len(np.unique(verdicts.sample_of[rows]))
    return Finding("", "caption", samples, 0, 0.0, explanation, rule=code)
