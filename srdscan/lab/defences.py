"""Defences side by side: what a captioner says of photographs after each, and how long that took.

A defence of a single image works on `Lane`s, as the policy does, and leaves its captions on their trails; `srdscan`
itself is the whole audit, shards in and shards out.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from srdscan.audit import audit
from srdscan.config import AuditConfig
from srdscan.lab.metrics import attack_success_rate, cider
from srdscan.lab.photos import ONE_CAPTION, Photos
from srdscan.lab.victims import BATCH
from srdscan.policy.actions import ActionSpace
from srdscan.policy.episodes import Case, Lane, Observer, begin, step
from srdscan.policy.follow import roll_out
from srdscan.policy.search import cover_peaks
from srdscan.policy.store import load_policy

Defence = Callable[[list[Lane]], None]


@dataclass(frozen=True)
class Outcome:
    """Captions after a defence.

    Attributes:
        captions: one an image, empty where the image is no longer in the data set.
        altered: whether the image or its caption was changed.
        seconds: the time it took, first looks included.
        fates: what an audit did with each image, as in `Repair`, or `kept`; of no other defence.
    """

    captions: list[str]
    altered: list[bool]
    seconds: float
    fates: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One defence, on photographs with the trigger and the same without; shares in [0, 1]."""

    defence: str
    images: int
    asr_triggered: float
    cider_triggered: float
    cider_clean: float
    clean_altered: float
    images_per_s: float


def compare(
    name: str, triggered: Outcome, clean: Outcome, truth: Sequence[Sequence[str]], target: str | Callable[[str], bool]
) -> Row:
    """A row of the table.

    Args:
        truth: human captions of all images; a defence may have had the first ones only.
        target: what success of the attack is.
    """
    count = len(triggered.captions)
    return Row(
        name,
        count,
        attack_success_rate(triggered.captions, target),
        cider(triggered.captions, truth),
        cider(clean.captions, truth),
        float(np.mean(clean.altered)),
        2 * count / (triggered.seconds + clean.seconds),
    )


def audited(photos: Photos, captioner: str, calibration: Path, out: Path, policy: str = "embedded") -> Outcome:
    """The whole of `srdscan audit --sanitize`; reading and writing count as time."""
    config = AuditConfig(
        caption_fields=ONE_CAPTION,
        shards=(photos.folder,),
        captioner=captioner,
        calibration=calibration,
        out=out,
        sanitize=out / "sanitized",
        policy=policy,
        pictures=0,
        limits="off",
    )
    started = time.perf_counter()
    audit(config)
    seconds = time.perf_counter() - started
    rows = {(r["shard"], r["key"]): r for r in pq.read_table(out / "samples.parquet").to_pylist()}
    ordered = [rows[place] for place in photos.keys]
    captions = [row["output"] if row["fate"] == "kept" else row["sanitized_caption"] or "" for row in ordered]
    fates = tuple(row["fate"] for row in ordered)
    return Outcome(captions, [row["flagged"] for row in ordered], seconds, fates)


def everywhere(cases: Sequence[Case], defence: Defence, looks: float = 0.0) -> Outcome:
    """A defence on every image, without the detector: the most faithful caption on the way.

    Args:
        looks: seconds that the first look at the images took.
    """
    started = time.perf_counter()
    captions, altered = [], []
    for start in range(0, len(cases), BATCH):
        lanes = [begin(case, seed) for seed, case in enumerate(cases[start : start + BATCH], start)]
        defence(lanes)
        for lane in lanes:
            place = lane.best() or 0
            captions.append(lane.trail[place][0].caption)
            altered.append(place > 0)
    return Outcome(captions, altered, time.perf_counter() - started + looks)


def untouched(cases: Sequence[Case], seconds: float) -> Outcome:
    """No defence; `seconds` are those of the first look."""
    return Outcome([case.view.caption for case in cases], [False] * len(cases), seconds)


def follow(spec: str, observer: Observer) -> Defence:
    """A policy, followed greedily."""
    policy = load_policy(spec)
    return lambda lanes: roll_out(lanes, policy, observer)


def at_the_peak(observer: Observer, space: ActionSpace) -> Defence:
    """One mean-colour square of 3 x 3 cells on the peak of the most abnormal head, whatever it is."""

    def defence(lanes: list[Lane]) -> None:
        cover_peaks(lanes, observer, space)
        for lane in lanes:
            lane.trail = lane.trail[-1:]  # the masked image, for better or worse

    return defence


def at_random(observer: Observer, space: ActionSpace) -> Defence:
    """Five actions drawn uniformly."""

    def defence(lanes: list[Lane]) -> None:
        draw = np.random.default_rng(0)
        while not lanes[0].done:
            step(lanes, draw.integers(space.stop, size=len(lanes)).tolist(), observer, space)

    return defence


def purify(name: str, observer: Observer, space: ActionSpace) -> Defence:
    """A whole-image action of the policy's on every image, as pixel purifiers work."""
    action = space.names.index(name)

    def defence(lanes: list[Lane]) -> None:
        step(lanes, [action] * len(lanes), observer, space)
        for lane in lanes:
            lane.trail = lane.trail[-1:]

    return defence


def first_looks(photos: Photos, observer: Observer, references: Sequence[str]) -> list[Case]:
    """What the captioner says of the photographs as they are, beside trusted captions."""
    return [
        case
        for start in range(0, len(references), BATCH)
        for case in observer.cases(photos.images[start : start + BATCH], references[start : start + BATCH])
    ]
