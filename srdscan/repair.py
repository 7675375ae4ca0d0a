"""Honest captions for flagged samples.

Where an attacker put a target into a caption, the caption without it comes first, see `trimming`. Elsewhere the
policy decides: it is rolled out greedily on the flagged images, many at once, and where that frees none, its ideas
are tried side by side, see `policy.search`. Of all captions on the way, the most faithful one that names no target is
taken, if it is as faithful as ordinary samples are, see also `second_look`. Otherwise the fallback decides.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from srdscan.captioners.base import Captioner
from srdscan.fidelity import COSINE_WEIGHT, FLUENCY_WEIGHT, FidelityModel
from srdscan.models import Models
from srdscan.policy.actions import Pixels
from srdscan.policy.episodes import Lane, Observer, View, begin, step
from srdscan.policy.search import look_ahead
from srdscan.policy.store import Policy
from srdscan.progress import Progress
from srdscan.report.schema import TargetFinding
from srdscan.revisit import ImageSource
from srdscan.scores import Scores
from srdscan.second_look import look_again
from srdscan.signals.head_norms import head_norms
from srdscan.trimming import TargetFilter, grounding_bar, trim

ORDINARY = 0.10
"""A recaption is accepted if it is as faithful as this quantile of the samples that are not flagged."""
LEAST_FAITHFUL = 0.3
"""SFS below which no recaption is accepted, however unfaithful ordinary samples are."""


@dataclass(frozen=True)
class Repair:
    """What became of a flagged sample.

    Attributes:
        row: of the score files.
        fate: `trimmed` (its own caption without the target), `repaired` (the captioner's own honest caption),
            `reference` (the reference caption took its place), `dropped` or `quarantined` (no longer in the data set).
        caption: the new caption; None if the sample left the data set.
        actions: what was done to the image before the captioner spoke honestly, in words; empty where it took nothing.
        said: what the captioner says of the image as it is; None in a pair audit.
        sfs_before: of what it says of the image as it is; NaN in a pair audit.
        sfs_after: of the best caption on the way.
        image: the perturbed image; None where no action was taken.
    """

    row: int
    fate: str
    caption: str | None
    actions: tuple[str, ...] = ()
    said: str | None = None
    sfs_before: float = float("nan")
    sfs_after: float = float("nan")
    image: Pixels | None = None


def sample_sfs(scores: Scores) -> npt.NDArray[np.float64]:
    """(N,) SFS of the captioner's output for every sample, from what pass 1 measured."""
    cosine = 1.0 - scores.numbers("signal.drift.output")
    fluency = np.exp(-scores.numbers("signal.fluency.output"))
    return np.asarray(COSINE_WEIGHT * cosine + FLUENCY_WEIGHT * np.minimum(fluency, 1.0))


def acceptance_bar(scores: Scores, flagged: npt.NDArray[np.bool_], calibration: Scores | None = None) -> float:
    """The SFS from which a recaption is accepted: as faithful as trusted samples, or as those that are not flagged."""
    if calibration is not None and calibration.has("signal.drift.output"):
        ordinary = sample_sfs(calibration)
    else:
        ordinary = sample_sfs(scores)[~flagged]
    return max(float(np.quantile(ordinary, ORDINARY)), LEAST_FAITHFUL) if len(ordinary) else LEAST_FAITHFUL


def roll_out(
    lanes: Sequence[Lane], policy: Policy, observer: Observer, content: Callable[[View], bool] = lambda view: True
) -> None:
    """Follows the policy greedily in every lane until all are done; one batched call of each model a step.

    Args:
        content: whether a view is good enough to stop at. A policy that learned on one patch stops when covering that
            one did not help; where there are two, the next best action is needed.
    """
    while active := [lane for lane in lanes if not lane.done]:
        may_stop = [content(lane.view) for lane in active]
        step(active, policy.act(active, may_stop), observer, policy.space)


def repair(
    flagged: npt.NDArray[np.bool_],
    source: ImageSource,
    scores: Scores,
    models: Models,
    policy: Policy | None,
    findings: Sequence[TargetFinding],
    fallback: str,
    progress: Progress,
    seed: int = 0,
    calibration: Scores | None = None,
) -> dict[int, Repair]:
    """New captions for flagged samples, by row of the score files.

    Args:
        flagged: (N,) which samples are.
        policy: None in a pair audit, where the fallback decides about every caption that cannot be trimmed.
        findings: targets that a new caption must not name.
        fallback: `reference`, `drop` or `quarantine`.
        calibration: scores of trusted data, of which ordinary heads and faithful captions are taken; those of the
            samples that are not flagged if None.
    """
    rows = np.flatnonzero(flagged)
    captions, references = list(scores.strings("caption")), list(scores.strings("reference"))
    targets = TargetFilter(findings)
    trimmed = trim(rows, captions, targets, source, models, grounding_bar(scores, flagged))
    if policy is None or models.captioner is None:
        repairs = {int(row): _fall_back(int(row), references[row], fallback) for row in rows}
        progress.advance(len(rows))
    else:
        fidelity = FidelityModel(models.sentence_encoder, models.language_model)
        norms = head_norms(scores, calibration, ~flagged) if "attention_shape" in scores.meta else None
        observer, bar = Observer(models.captioner, fidelity, norms), acceptance_bar(scores, flagged, calibration)
        repairs = {}

        def content(view: View) -> bool:
            return view.sfs >= bar and targets(view.caption)

        def fine(lane: Lane) -> bool:
            return any(content(view) for view, _ in lane.trail)

        for batch, images in source.images(rows):
            cases = observer.cases([np.asarray(image) for image in images], [references[row] for row in batch])
            lanes = [begin(case, seed + row, policy.steps) for row, case in zip(batch, cases, strict=True)]
            roll_out(lanes, policy, observer, content)
            again = {n: begin(lane.case, lane.seed, policy.steps) for n, lane in enumerate(lanes) if not fine(lane)}
            look_ahead(list(again.values()), policy, observer, content, targets)
            for number, (row, lane) in enumerate(zip(batch, lanes, strict=True)):
                chosen = max([lane, again.get(number, lane)], key=lambda lane: lane.best_sfs(targets))
                repairs[row] = _outcome(row, chosen, policy, bar, targets, references[row], fallback)
            repairs |= _seen_again([repairs[row] for row in batch], references, models.captioner, fidelity, targets)
            progress.advance(len(batch))
    return repairs | {row: replace(repairs[row], fate="trimmed", caption=text) for row, text in trimmed.items()}


def _seen_again(
    repairs: Sequence[Repair],
    references: Sequence[str],
    captioner: Captioner,
    fidelity: FidelityModel,
    targets: TargetFilter,
) -> dict[int, Repair]:
    """The repairs that changed an image, each with the better caption of two looks."""
    changed = [(repair, repair.image, repair.caption) for repair in repairs]
    chosen = [(repair, image, caption) for repair, image, caption in changed if image is not None and caption]
    if not chosen:
        return {}
    trusted = fidelity.references([references[repair.row] for repair, _, _ in chosen])
    images, captions = [image for _, image, _ in chosen], [caption for _, _, caption in chosen]
    found = look_again(images, captions, trusted, captioner, fidelity, targets)
    return {
        repair.row: replace(repair, caption=caption, sfs_after=sfs)
        for (repair, _, _), (caption, sfs) in zip(chosen, found, strict=True)
    }


def _outcome(
    row: int, lane: Lane, policy: Policy, bar: float, allowed: TargetFilter, reference: str, fallback: str
) -> Repair:
    """The best allowed caption on the way if it clears the bar, else the fallback."""
    before = lane.trail[0][0]
    place = lane.best(allowed)
    if place is None or lane.trail[place][0].sfs < bar:
        after = lane.trail[place][0].sfs if place is not None else before.sfs
        return _fall_back(row, reference, fallback, before.caption, before.sfs, after)
    view, image = lane.trail[place]
    names = tuple(policy.space[index].name for index in lane.taken[:place])
    return Repair(row, "repaired", view.caption, names, before.caption, before.sfs, view.sfs, image if place else None)


def _fall_back(
    row: int,
    reference: str,
    fallback: str,
    said: str | None = None,
    before: float = float("nan"),
    after: float = float("nan"),
) -> Repair:
    fate = {"reference": "reference", "drop": "dropped", "quarantine": "quarantined"}[fallback]
    return Repair(row, fate, reference if fate == "reference" else None, (), said, before, after)


def discard(row: int) -> Repair:
    """The fate of a flagged sample under `--replace drop`."""
    return Repair(row, "dropped", None)
