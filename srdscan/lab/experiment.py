"""What an experiment file says."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from srdscan.attacks.poison import CANARY, make_target, make_trigger
from srdscan.lab.victims import Attack

KINDS = ("detection", "sanitizing", "retraining", "clean")


class ExperimentError(ValueError):
    """An experiment file is wrong; the message names the file and the remedy."""


@dataclass(frozen=True)
class Planned:
    """An attack of an experiment.

    Attributes:
        attack: what is planted, in the victim's training set and in what is audited.
        epochs: passes over its training set that the victim needs.
    """

    attack: Attack
    epochs: int = 4

    @property
    def name(self) -> str:
        """For tables: the trigger, the target where it is not a word at the start, and the seed where it is not 0."""
        target = "" if self.attack.target == CANARY else f", {self.attack.target}"
        return self.attack.trigger + target + (f", seed {self.attack.seed}" if self.attack.seed else "")


@dataclass(frozen=True)
class Experiment:
    """An experiment file.

    Attributes:
        name: of the result files.
        kind: `detection` (audits of mixtures, beside peer detectors), `sanitizing` (captions after each defence),
            `retraining` (captioners trained on sanitized shards) or `clean` (false alarms on what nobody poisoned).
        attacks: what is planted.
        rates: poison rate -> number of seeds, for `detection`.
        victim_shards: shards of the training set that a victim learns from; None takes all.
    """

    name: str
    kind: str
    attacks: tuple[Planned, ...] = ()
    rates: tuple[tuple[float, int], ...] = ()
    victim_shards: int | None = 3


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
        attacks = tuple(_planned(item) for item in document.get("attacks") or ())
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ExperimentError(f"{path}: {error}") from error
    if any(not 0 < rate < 1 or seeds < 1 for rate, seeds in chosen):
        raise ExperimentError(f"{path}: rates: must map shares between 0 and 1 to numbers of seeds, as in 0.01: 3")
    if document["kind"] == "detection" and not chosen:
        raise ExperimentError(f"{path}: a detection experiment needs rates, as in 0.01: 3")
    if document["kind"] != "clean" and not attacks:
        raise ExperimentError(f"{path}: names no attacks")
    names = [planned.name for planned in attacks]
    if len(set(names)) < len(names):
        raise ExperimentError(f"{path}: two attacks would share a row of the tables; give one of them a seed")
    return Experiment(
        name=str(document.get("name", path.stem)),
        kind=document["kind"],
        attacks=attacks,
        rates=chosen,
        victim_shards=document.get("victim_shards", 3),
    )


def _planned(item: dict[str, Any]) -> Planned:
    epochs = int(item.pop("epochs", 4))
    attack = Attack(**item)
    try:
        make_trigger(attack.trigger)
        make_target(attack.target, attack.text)
    except KeyError as error:
        raise ValueError(f"there is no trigger or target {error}; see srdscan poison --list") from error
    return Planned(attack, epochs)
