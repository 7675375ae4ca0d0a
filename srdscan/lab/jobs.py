"""The work of an experiment: jobs that can run side by side, each with a result that is kept."""

import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from srdscan.lab.experiment import OWN, Experiment, Planned
from srdscan.lab.victims import Victim, is_shipped, make_victim, shipped_captioner
from srdscan.measure.state import replace_text
from srdscan.models.device import module_fingerprint
from srdscan.policy.store import load_policy
from srdscan.sources.find import find_source
from srdscan.sources.tar import expand_shards, fingerprint

SMALLEST_ASR = 0.85
"""A victim with less is no test of a defence."""
EXPERIMENT_FIELDS = ("paper_images", "photos", "steps", "counts", "seeds")
"""Fields of an experiment that results of the kinds that own them depend on, besides the rates."""
Result = dict[str, Any]


@dataclass(frozen=True)
class Places:
    """Where an experiment finds and leaves things.

    Attributes:
        train: shards of photographs with captions; the last one is never taught, and calibrates.
        dev: other shards, with a `captions` list in each .json.
        work: victims, copies and audits; may be removed, then all of it is made again.
        worlds: data sets of any form, by the name that tables give them.
    """

    train: str
    dev: str
    work: Path
    worlds: Mapping[str, str] = field(default_factory=dict)

    def taught(self, experiment: Experiment) -> list[str]:
        """The shards that victims learn from."""
        return expand_shards([self.train])[: experiment.victim_shards]

    @property
    def calibration(self) -> str:
        """A shard that no victim learns from."""
        return expand_shards([self.train])[-1]


@dataclass(frozen=True)
class Job:
    """A part of an experiment that can run by itself.

    Attributes:
        experiment: all of it.
        planned: the attack; None for what has none, or goes through all of them.
        places: where photographs and work are.
        variant: what is varied, for kinds that have a job for each value of something else than the attack.
    """

    experiment: Experiment
    planned: Planned | None
    places: Places
    variant: str | None = None

    def identity(self) -> Result:
        """Everything that the result depends on, but for the code, whose commit is noted beside it."""
        kind = self.experiment.kind
        shards = []
        if self.variant not in self.places.worlds:
            taught = self.places.taught(self.experiment)
            shards = [*taught, *expand_shards([self.places.dev]), self.places.calibration]
        found: Result = {
            "version": version("srdscan"),
            "kind": kind,
            "attack": self._identity_of(self.planned) if self.planned else None,
            "rates": self.experiment.rates,
            "policy": module_fingerprint(load_policy("embedded").network),
            "photos": [fingerprint(path) for path in shards],
        }
        fields = {name: getattr(self.experiment, name) for name in EXPERIMENT_FIELDS if kind in OWN.get(name, ())}
        if fields:
            found["experiment"] = fields
        if self.variant is not None:
            attacks = [self._identity_of(planned) for planned in self.experiment.attacks]
            found["world"] = fingerprints(self.places.worlds.get(self.variant))
            found |= {"variant": self.variant, "attacks": attacks, "policy": None}  # a variant's policy is its own
        if self.variant is not None or (self.planned is not None and is_shipped(self.planned.attack)):
            found["captioner"] = fingerprint(shipped_captioner() / "model.safetensors")
        return found

    def _identity_of(self, planned: Planned) -> Result:
        kind = self.experiment.kind
        return {name: value for name, value in asdict(planned).items() if kind in OWN.get(name, (kind,))}

    @property
    def row(self) -> str:
        """Its name in tables."""
        return self.variant or (self.planned.name if self.planned else "untouched")

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.experiment.name}: {self.row}"

    def run(self, work: Callable[["Job", Path], Result]) -> Result:
        """Does the work, unless its result is there from before."""
        identity = json.loads(json.dumps(self.identity()))
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
        who = self.planned.attack.trigger if self.planned else (self.variant or "untouched").replace(" ", "-")
        folder = self.places.work / f"{self.experiment.kind}-{who}-{digest}"
        path = folder / "result.json"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            found = work(self, folder)
            replace_text(path, json.dumps({"identity": identity, "made with": made_with(), **found}, indent=1) + "\n")
        result: Result = json.loads(path.read_text(encoding="utf-8"))
        return result

    def victim(self, planned: Planned | None = None) -> Victim:
        """The captioner that an attack, the job's own by default, has taken hold of; made on first use."""
        planned = planned or self.planned
        assert planned is not None
        taught, victims = self.places.taught(self.experiment), self.places.work / "victims"
        return make_victim(taught, self.places.dev, planned.attack, victims, planned.epochs)


def fingerprints(path: str | None) -> list[str]:
    """SHA-256 of each unit of a data set."""
    found = []
    source = find_source([path]) if path else None
    for unit in source.units if source else ():
        assert source is not None
        with source.open(unit) as opened:
            found.append(opened.sha256())
    return found


def one_an_attack(experiment: Experiment, places: Places) -> list[Job]:
    """The jobs of most kinds: one for each attack, or one in all where there are none."""
    return [Job(experiment, planned, places) for planned in experiment.attacks or (None,)]


def made_with() -> dict[str, str]:
    """The commit and the versions that figures come from."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        described = "not a checkout"
    return {
        "commit": described,
        "srdscan": version("srdscan"),
        "torch": torch.__version__,
        "transformers": version("transformers"),
    }
