"""What an experiment file says."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from srdscan.attacks.poison import CANARY, NONE, make_target, make_trigger
from srdscan.lab.victims import Attack

SWAPPED, ONE_PICTURE = "swapped", "one picture"
"""A target and a trigger of `worlds`: captions of each other; one image in the place of all."""
KINDS = ("detection", "sanitizing", "retraining", "clean", "policy", "worlds", "limits")
OF_WORLDS = ("worlds", "limits")
"""Kinds that audit data sets which are named on the command line."""
OWN: dict[str, tuple[str, ...]] = {
    "rates": ("detection",),
    "paper_images": ("sanitizing",),
    "paper_steps": ("sanitizing",),
    "photos": ("sanitizing", "policy"),
    "steps": ("policy",),
    "counts": ("worlds",),
    "seeds": OF_WORLDS,
}
"""Fields that some kinds alone read: other kinds refuse them, and their results do not depend on them."""


class ExperimentError(ValueError):
    """An experiment file is wrong; the message names the file and the remedy."""


@dataclass(frozen=True)
class Planned:
    """An attack of an experiment.

    Attributes:
        attack: what is planted, in the victim's training set and in what is audited.
        epochs: passes over its training set that the victim needs.
        paper_steps: steps that the paper's DQN learns for, on triggered photographs; 0 draws its actions uniformly.
    """

    attack: Attack
    epochs: int = 4
    paper_steps: int = 0

    @property
    def name(self) -> str:
        """For tables: the trigger, the target where it is not a word at the start, and the seed where it is not 0."""
        target = "" if self.attack.target == CANARY else f", {self.attack.target}"
        return self.attack.trigger + target + (f", seed {self.attack.seed}" if self.attack.seed else "")

    @property
    def label(self) -> str:
        """For tables of captions: the target and its text, and the trigger where there is one."""
        said = self.attack.target + (f" '{self.attack.text}'" if self.attack.text else "")
        return said if self.attack.trigger == NONE else f"{self.attack.trigger}, {said}"


@dataclass(frozen=True)
class Experiment:
    """An experiment file.

    Attributes:
        name: of the result files.
        kind: `detection` (audits of mixtures, beside peer detectors), `sanitizing` (captions after each defence),
            `retraining` (captioners trained on sanitized shards), `clean` (false alarms on what nobody poisoned),
            `policy` (policies that do not see a part of their inputs), `worlds` (pair audits of several data sets) or
            `limits` (what such audits say they would find, against what they do).
        attacks: what is planted.
        rates: poison rate -> number of seeds, for `detection`.
        victim_shards: shards of the training set that a victim learns from; None takes all.
        paper_images: photographs that the paper's own loop gets, for `sanitizing`; it takes one at a time, and 0 leaves
            it out.
        photos: the first photographs of the held-out shards that defences get, for `sanitizing` and `policy`; None
            takes all.
        steps: environment steps that each policy learns for, for `policy`.
        counts: poisoned samples, for `worlds`.
        seeds: draws of which samples, for `worlds` and `limits`.
    """

    name: str
    kind: str
    attacks: tuple[Planned, ...] = ()
    rates: tuple[tuple[float, int], ...] = ()
    victim_shards: int | None = 3
    paper_images: int = 100
    photos: int | None = None
    steps: int = 12_000
    counts: tuple[int, ...] = ()
    seeds: int = 3


def read_experiment(path: Path) -> Experiment:
    """Reads a YAML file.

    Raises:
        ExperimentError: it cannot be read, or says something unknown.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ExperimentError(f"{path}: cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise ExperimentError(f"{path}: must be a mapping with a kind; see benchmarks/experiments")
    known = {field.name for field in fields(Experiment)}
    unknown = sorted({*document} - known)
    if unknown:
        raise ExperimentError(f"{path}: unknown {', '.join(unknown)}; known: {', '.join(sorted(known))}")
    if document.get("kind") not in KINDS:
        raise ExperimentError(f"{path}: kind {document.get('kind')!r}: must be one of {', '.join(KINDS)}")
    rates = document.get("rates") or {}
    try:
        chosen = tuple((float(rate), int(seeds)) for rate, seeds in rates.items())
        _refuse_fields_of_others(document["kind"], document)
        attacks = tuple(_planned(document["kind"], item) for item in document.get("attacks") or ())
        paper_images = int(document.get("paper_images", Experiment.paper_images))
        photos = int(document["photos"]) if "photos" in document else None
        steps = int(document.get("steps", Experiment.steps))
        counts = tuple(int(count) for count in document.get("counts", ()))
        seeds = int(document.get("seeds", Experiment.seeds))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ExperimentError(f"{path}: {error}") from error
    if any(not 0 < rate < 1 or seeds < 1 for rate, seeds in chosen):
        raise ExperimentError(f"{path}: rates: must map shares between 0 and 1 to numbers of seeds, as in 0.01: 3")
    if document["kind"] == "detection" and not chosen:
        raise ExperimentError(f"{path}: a detection experiment needs rates, as in 0.01: 3")
    if document["kind"] == "worlds" and (not counts or min(counts) < 1 or seeds < 1):
        raise ExperimentError(f"{path}: a worlds experiment needs counts, as in [6, 12], and at least one seed")
    if paper_images < 0 or steps < 1 or any(planned.paper_steps < 0 for planned in attacks):
        raise ExperimentError(f"{path}: paper_images and paper_steps must not be negative, and steps not less than 1")
    least = max(1, paper_images if document["kind"] == "sanitizing" else 1)
    if photos is not None and photos < least:
        raise ExperimentError(f"{path}: photos: must be at least 1, and no fewer than paper_images")
    if document["kind"] != "clean" and not attacks:
        raise ExperimentError(f"{path}: names no attacks")
    names = [planned.label if document["kind"] in OF_WORLDS else planned.name for planned in attacks]
    if len(set(names)) < len(names):
        raise ExperimentError(f"{path}: two attacks would share a row of the tables; give one of them a seed")
    return Experiment(
        name=str(document.get("name", path.stem)),
        kind=document["kind"],
        attacks=attacks,
        rates=chosen,
        victim_shards=document.get("victim_shards", 3),
        paper_images=paper_images,
        photos=photos,
        steps=steps,
        counts=counts,
        seeds=seeds,
    )


def _refuse_fields_of_others(kind: str, document: dict[str, Any]) -> None:
    for field, owners in OWN.items():
        if field in document and kind not in owners:
            raise ValueError(f"{field}: only {' and '.join(owners)} experiments have it")


def _planned(kind: str, item: dict[str, Any]) -> Planned:
    _refuse_fields_of_others(kind, item)
    epochs, paper_steps = int(item.pop("epochs", 4)), int(item.pop("paper_steps", 0))
    attack = Attack(**item)
    try:
        if kind != "worlds" or attack.trigger != ONE_PICTURE:
            make_trigger(attack.trigger)
        if kind != "worlds" or attack.target != SWAPPED:
            make_target(attack.target, attack.text)
    except KeyError as error:
        raise ValueError(f"there is no trigger or target {error}; see srdscan poison --list") from error
    return Planned(attack, epochs, paper_steps)
