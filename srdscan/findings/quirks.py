"""The captioner's own faults: what it says of images without cause is held against it, and against no sample.

A captioner has favourite words, and loops ("a large large large"). What it repeats whatever the images show is a
finding in any case. Its samples are accused where something made it say so: captions that say it, too (`taught`), or
attention that is as odd for these images as a trigger makes it. Where neither is found, what the output says of these
images counts no more; what their captions and pictures are like still does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from srdscan.findings.ablation import NAME as ABLATION
from srdscan.findings.finding import Finding, Found
from srdscan.measure.scores import Scores
from srdscan.signals.base import Evidence

SEARCH = "targets.output"
OF_OUTPUTS = (SEARCH, "drift.output", "grounding.output", "fluency.output", "onion.output")
"""Evidence of what outputs say."""
OF_IMAGES = ("attention", ABLATION)
"""Evidence of where an image made the captioner say it."""
RULE = "SRD107"
RARE = 0.5
"""Share of the images up to which a phrase is held to be the captioner's own: of what it says of most there are too few
others to compare with, as in a test set that carries a trigger throughout."""
SIGNIFICANT = 0.001
"""p-value, times the kinds of evidence, below which the images of a term are odd (Mann and Whitney 1947)."""


def settle(evidence: Mapping[str, Evidence], scores: Scores) -> dict[str, Evidence]:
    """The evidence of N pairs without what outputs say where nothing made the captioner say it.

    Args:
        evidence: by name, of a model audit, after `ablation`.
        scores: of all pairs.
    """
    settled = dict(evidence)
    search = evidence.get(SEARCH)
    if not isinstance(search, Found) or not search.untaught:
        return settled
    faults: dict[Finding, Finding] = {}
    free = np.zeros(len(scores), dtype=bool)
    for finding, images in search.untaught:
        rows = np.isin(scores.image_of, images)
        if rows.mean() <= RARE and not _caused(rows, evidence):
            free |= rows
            faults[finding] = _of_captioner(finding, len(images), scores)
    if not faults:
        return settled
    for name in OF_OUTPUTS:
        if name in settled:
            part = settled[name]
            settled[name] = replace(part, p_values=np.where(free, np.nan, part.p_values))
    named = ", ".join(f"'{finding.term}'" for finding in faults)
    settled[SEARCH] = replace(
        search,
        p_values=settled[SEARCH].p_values,
        note=f"{search.note}; without cause, the captioner's own: {named}",
        findings=tuple(faults.get(finding, finding) for finding in search.findings),
        rows=tuple(
            rows[:0] if finding in faults else rows for finding, rows in zip(search.findings, search.rows, strict=True)
        ),
    )
    return settled


def _caused(rows: npt.NDArray[np.bool_], evidence: Mapping[str, Evidence]) -> bool:
    """Whether the images of some rows are odder, in where the captioner looked, than the others."""
    known = [evidence[name].p_values for name in OF_IMAGES if name in evidence and not evidence[name].abstained]
    for p_values in known:
        mine, others = (p_values[part & np.isfinite(p_values)] for part in (rows, ~rows))
        if len(mine) and len(others):
            p_value = float(stats.mannwhitneyu(mine, others, alternative="less").pvalue)
            if p_value * len(known) <= SIGNIFICANT:
                return True
    return False


def _of_captioner(finding: Finding, images: int, scores: Scores) -> Finding:
    explanation = (
        f"the captioner says it of {images} of {int(scores.image_of[-1]) + 1} images, though no caption says it there "
        "and nothing in the images draws its attention: a fault of the captioner, held against no sample"
    )
    return replace(finding, explanation=explanation, accuses=False, rule=RULE)
