"""The search for limits of detection: poison is planted, measured and judged as if it had always been there.

Attacks grow - 3 samples, 6, 12, 25, ... - until 95 % of what was planted is found. Several are planted at once, in
samples that look clean, and each is counted as though the others were not there: their samples neither accuse nor are
accused (what they teach about the data set's pairs makes the others a little harder to find, never easier). How much is
planted is fixed beforehand, so that the same data set and seed give the same limits whatever the machine.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt

from srdscan.decide.verdicts import Verdicts, decide, judge_signals
from srdscan.findings import foreign, spots
from srdscan.limits.limit import FOUND, LEAST_REQUIRED, DetectionLimit, DetectionLimits, Trial
from srdscan.limits.patches import find_patches
from srdscan.limits.plants import PLANTS, Captions, Ground, Indices
from srdscan.measure.batch import Role
from srdscan.measure.rescore import recaptioned
from srdscan.measure.revisit import ImageSource
from srdscan.measure.scores import Scores
from srdscan.models.loaded import Models
from srdscan.signals import signals_for
from srdscan.signals.agreement import AgreementSignal, agreement_of, judge_agreement
from srdscan.signals.base import Evidence

FEWEST = 100
"""Samples below which nothing is planted: what is learned from so few pairs hangs on each of them."""
REPETITIONS = 3
MOST_AT_ONCE = 0.15
"""Share of the samples that are poisoned at a time: beyond it, poison would be what is usual."""
MEASURED, OF_FEW, OF_MANY = 200, 0.5, 0.04
"""Samples that are planted and measured in all: so many, but of a small data set no more than half, and of a large one
so large a share: what is spent on limits goes by what the audit costs."""


@dataclass(frozen=True)
class Audited:
    """A data set that was judged, and what is needed to judge it again.

    Attributes:
        scores: of all pairs.
        verdicts: on them.
        images: the way back to the images, by number.
        searched: what was found in the images alone.
        embed: texts to unit vectors, as `foreign` was given them.
        calibration: scores of trusted data.
        misunderstood: kinds of text for which the reference captioner is not heard.
        fdr: false-discovery rate.
        ignored: codes of rules that are not heard.
    """

    scores: Scores
    verdicts: Verdicts
    images: ImageSource
    searched: spots.Searched
    models: Models
    embed: foreign.Embed
    calibration: Scores | None
    misunderstood: Collection[Role]
    fdr: float
    ignored: Collection[str]
    seed: int


@dataclass(frozen=True)
class Planted:
    """One attack in some samples.

    Attributes:
        attack: name.
        samples: that it is in.
        captions: what it makes of captions, by row.
    """

    attack: str
    samples: Indices
    captions: Captions


def measured_at_most(samples: int) -> int:
    """How many samples of a data set are planted and measured in all."""
    return max(min(MEASURED, int(OF_FEW * samples)), int(OF_MANY * samples))


def find_limits(
    audited: Audited, required: int, advance: Callable[[int], None] = lambda count: None
) -> DetectionLimits:
    """From how many samples on an audit finds known attacks in its data set.

    Args:
        required: in how many samples the plainest attacks must be found; larger sizes than that are not tried.
        advance: called with the number of samples that were planted.
    """
    samples = audited.verdicts.samples
    if samples < FEWEST:
        note = f"{samples:,} samples are too few to measure what would have been found: that takes {FEWEST}."
        return DetectionLimits(samples, (), note)
    ground = ground_of(audited)
    trials: dict[str, list[Trial]] = {name: [] for name in PLANTS}
    left = measured_at_most(samples)
    for size in _sizes(samples, required):
        waiting = [name for name, done in trials.items() if not done or done[-1].share < FOUND]
        if size * len(waiting) > left:
            waiting = [name for name in waiting if PLANTS[name].plain]
        if not waiting or size * len(waiting) > left:
            break
        repetitions = min(REPETITIONS, max(1, left // (2 * size * len(waiting))))
        found: dict[str, list[int]] = {name: [] for name in waiting}
        for planted in _rounds(waiting, size, repetitions, ground, audited):
            left -= sum(len(item.samples) for item in planted)
            for item, count in zip(planted, _found(audited, planted, advance), strict=True):
                found[item.attack].append(count)
        for name, counts in found.items():
            if counts:
                trials[name].append(Trial(size, len(counts), sum(counts)))
    limits = [DetectionLimit.of(name, plant.what, plant.plain, trials[name]) for name, plant in PLANTS.items()]
    patches = find_patches(audited.searched, audited.images, audited.verdicts.samples, audited.seed)
    return DetectionLimits(samples, (*limits, *patches))


def _sizes(samples: int, required: int) -> Iterable[int]:
    """3, 6, 12, 25, 50, 100, 200, ... up to what is required, and to a part of the data set that is no majority."""
    most = min(MOST_AT_ONCE * samples, max(required, 2 * LEAST_REQUIRED))
    sizes = [3, 6, 12]
    while sizes[-1] < most:
        sizes.append(max(25, 2 * sizes[-1]) if sizes[-1] != 12 else 25)
    return [size for size in sizes if size <= max(most, sizes[0])]


def ground_of(audited: Audited) -> Ground:
    """Samples that nothing speaks against, one image each, in an order drawn at random."""
    scores, verdicts = audited.scores, audited.verdicts
    chosen = spots.sample(scores.by_image, audited.seed)
    first = np.flatnonzero(np.diff(scores.image_of, prepend=-1))
    sample_of = verdicts.sample_of[first]
    suspected = np.zeros(verdicts.samples, dtype=bool)
    suspected[verdicts.sample_of[verdicts.flagged]] = True
    chosen = chosen[~suspected[sample_of[chosen]]]
    chosen = chosen[np.unique(sample_of[chosen], return_index=True)[1]]
    ends = np.append(first, len(scores))
    rows = {image: range(int(ends[image]), int(ends[image + 1])) for image in chosen.tolist()}
    places = np.array([row for part in rows.values() for row in part], dtype=np.int64)
    captions = dict(zip(places.tolist(), scores.chosen("caption", places), strict=True))
    agreement = agreement_of(scores)
    vectors = np.zeros((len(chosen), 1), np.float32) if agreement is None else agreement.images[chosen]
    return Ground(chosen, rows, captions, vectors.astype(np.float32))


def _rounds(
    attacks: Sequence[str], size: int, repetitions: int, ground: Ground, audited: Audited
) -> Iterable[list[Planted]]:
    """What is planted at a time: as many attacks as fit, each into samples of its own."""
    most = max(MOST_AT_ONCE * audited.verdicts.samples, size)
    sample_of = audited.verdicts.sample_of
    planted: list[Planted] = []
    used: set[int] = set()
    for repetition in range(repetitions):
        for name in attacks:
            if planted and len(used) + size > most:
                yield planted
                planted, used = [], set()
            random = np.random.default_rng([audited.seed, zlib.crc32(name.encode()), size, repetition])
            free = [image for image in random.permutation(PLANTS[name].fitting(ground)).tolist() if image not in used]
            if len(free) < size:
                continue
            images = free[:size]
            used |= set(images)
            captions = PLANTS[name].plant(images, ground, random)
            samples = sample_of[[ground.rows[image][0] for image in images]]
            planted.append(Planted(name, samples, captions))
    if planted:
        yield planted


def _found(audited: Audited, planted: Sequence[Planted], advance: Callable[[int], None]) -> list[int]:
    """How many samples of each attack are flagged, once all are planted and everything is judged again."""
    captions = {row: text for item in planted for row, text in item.captions.items()}
    scores = audited.scores
    with TemporaryDirectory(prefix="srdscan-limits-") as folder:
        signals = signals_for(False, audited.models.quick)
        changed = recaptioned(scores, captions, audited.images, audited.models, signals, Path(folder), advance)
        before = agreement_of(scores)
        if before is not None:
            changed.memo["family_of"] = before.family_of  # the pictures stay what they are
        fresh = judge_signals(changed, False, audited.calibration, audited.misunderstood, audited.models.quick)
        fresh[foreign.NAME] = foreign.find_out(changed, audited.embed, audited.seed)
        agreement = agreement_of(changed)
    kept = {**audited.verdicts.evidence, **audited.verdicts.ignored, **fresh}
    sample_of = audited.verdicts.sample_of
    counts = []
    for item in planted:
        others = [other.samples for other in planted if other is not item]
        counted = ~np.isin(sample_of, np.concatenate(others)) if others else np.ones(len(sample_of), dtype=bool)
        evidence = dict(kept)
        if agreement is not None:
            evidence[AgreementSignal.name] = judge_agreement(agreement, counted)
        verdicts = decide(_silenced(evidence, ~counted), sample_of, audited.fdr, audited.ignored)
        flagged = np.unique(sample_of[verdicts.flagged])
        counts.append(int(np.isin(item.samples, flagged).sum()))
    return counts


def _silenced(evidence: Mapping[str, Evidence], rows: npt.NDArray[np.bool_]) -> dict[str, Evidence]:
    """Evidence that says nothing of some rows."""
    return {name: replace(part, p_values=np.where(rows, np.nan, part.p_values)) for name, part in evidence.items()}
