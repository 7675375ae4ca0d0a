"""Honest captions for flagged samples.

Where an attacker put a target into a caption, the caption without it comes first, see `trimming`. Elsewhere the
captioner is made to speak honestly, see `bench`; where it cannot be, the fallback decides.
"""

from collections.abc import Sequence, Set
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from srdscan.findings.finding import Finding
from srdscan.measure.revisit import ImageSource
from srdscan.measure.scores import Scores
from srdscan.models.loaded import Models
from srdscan.policy.episodes import Observer
from srdscan.policy.fidelity import FidelityModel
from srdscan.policy.store import Policy
from srdscan.progress import Progress
from srdscan.repair.acceptance import acceptance_bar
from srdscan.repair.bench import Bench
from srdscan.repair.fates import Repair, fall_back
from srdscan.repair.shared_pattern import FEWEST, MOST, SharedPattern, find_pattern
from srdscan.repair.trimming import TargetFilter, grounding_bar, trim
from srdscan.signals.head_norms import HeadNorms, head_norms


def repair(
    flagged: npt.NDArray[np.bool_],
    source: ImageSource,
    scores: Scores,
    models: Models,
    policy: Policy | None,
    findings: Sequence[Finding],
    fallback: str,
    progress: Progress,
    seed: int = 0,
    calibration: Scores | None = None,
    images_wanted: bool = False,
) -> dict[int, Repair]:
    """New captions for flagged pairs, by row of the score files.

    Args:
        flagged: (N,) which samples are.
        policy: None in a pair audit, where the fallback decides about every caption that cannot be trimmed.
        findings: targets that a new caption must not name.
        fallback: `reference`, `drop` or `quarantine`.
        calibration: scores of trusted data, of which ordinary heads and faithful captions are taken; those of the
            samples that are not flagged if None.
        images_wanted: whether perturbed images take the place of the data set's. If not, no search is made for those
            of samples whose own caption will do.
    """
    rows = np.flatnonzero(flagged)
    captions, references = list(scores.strings("caption")), list(scores.strings("reference"))
    targets = TargetFilter(findings)
    trimmed = trim(rows, captions, targets, source, models, grounding_bar(scores, flagged))
    if policy is None or models.captioner is None:
        repairs = {int(row): fall_back(int(row), references[row], fallback) for row in rows}
        progress.advance(len(rows))
    else:
        norms = _ordinary_heads(scores, flagged, calibration) if "attention_shape" in scores.meta else None
        fidelity = FidelityModel(models.sentence_encoder, models.language_model)
        bench = Bench(
            Observer(models.captioner, fidelity, norms),
            models.reference,
            policy,
            targets,
            acceptance_bar(scores, flagged, calibration),
            fallback,
            _shared_pattern(flagged, source, seed),
            seed,
        )
        easy = set() if images_wanted else set(trimmed)
        repairs = {}
        # What the captioner says of an image is the same for all its captions, so one of them goes to the bench.
        one_of_each = {int(scores.image_of[row]): int(row) for row in rows[::-1]}
        easy = {row for row in one_of_each.values() if _all_in(easy, scores.image_of, rows, row)}
        for batch, images in source.images(sorted(one_of_each.values())):
            pixels = [np.asarray(image) for image in images]
            trusted = [references[row] for row in batch]
            repairs |= bench.repair(batch, pixels, trusted, [row not in easy for row in batch])
            progress.advance(len(batch))
        repairs = {int(row): replace(repairs[one_of_each[int(scores.image_of[row])]], row=int(row)) for row in rows}
    return repairs | {row: replace(repairs[row], fate="trimmed", caption=text) for row, text in trimmed.items()}


def _all_in(easy: Set[int], image_of: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], row: int) -> bool:
    """Whether all flagged captions of a row's image have an easy repair."""
    return all(int(other) in easy for other in rows[image_of[rows] == image_of[row]])


def _ordinary_heads(scores: Scores, flagged: npt.NDArray[np.bool_], calibration: Scores | None) -> HeadNorms:
    """How heads attend to images that are not flagged."""
    ordinary = np.ones(len(scores.by_image), dtype=bool)
    ordinary[scores.image_of[flagged]] = False
    return head_norms(scores.by_image, calibration and calibration.by_image, ordinary)


def _shared_pattern(flagged: npt.NDArray[np.bool_], source: ImageSource, seed: int) -> SharedPattern | None:
    """What lies over the flagged images; of a random choice of them, and of as many that are not flagged."""
    draw = np.random.default_rng(seed)
    chosen = [draw.permutation(np.flatnonzero(which))[:MOST] for which in (flagged, ~flagged)]
    if len(chosen[0]) < FEWEST:
        return None
    seen, usual = ((image for _, images in source.images(rows) for image in images) for rows in chosen)
    return find_pattern(seen, usual)
