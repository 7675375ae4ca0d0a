"""The work of an experiment: one job an attack, whose result is a document that is kept."""

import hashlib
import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from srdscan.device import module_fingerprint
from srdscan.lab.experiment import Experiment, Planned
from srdscan.lab.victims import Victim, make_victim
from srdscan.policy.store import load_policy
from srdscan.shards import expand_shards, fingerprint
from srdscan.state import replace_text

SMALLEST_ASR = 0.9
"""A victim with less is no test of a defence."""
Result = dict[str, Any]


@dataclass(frozen=True)
class Places:
    """Where an experiment finds and leaves things.

    Attributes:
        train: shards of photographs with captions; the last one is never taught, and calibrates.
        dev: other shards, with a `captions` list in each .json.
        work: victims, copies and audits; may be removed, then all of it is made again.
    """

    train: str
    dev: str
    work: Path

    def taught(self, experiment: Experiment) -> list[str]:
        """The shards that victims learn from."""
        return expand_shards([self.train])[: experiment.victim_shards]

    @property
    def calibration(self) -> str:
        """A shard that no victim learns from."""
        return expand_shards([self.train])[-1]


@dataclass(frozen=True)
class Job:
    """A part of an experiment that can run by itself; `planned` is None for what has no attack."""

    experiment: Experiment
    planned: Planned | None
    places: Places

    def identity(self) -> Result:
        """Everything that the result depends on, but for the code, whose commit is noted beside it."""
        shards = [*self.places.taught(self.experiment), *expand_shards([self.places.dev]), self.places.calibration]
        return {
            "version": version("srdscan"),
            "kind": self.experiment.kind,
            "attack": asdict(self.planned) if self.planned else None,
            "rates": self.experiment.rates,
            "policy": module_fingerprint(load_policy("embedded").network),
            "photos": [fingerprint(path) for path in shards],
        }

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.experiment.name}: {self.planned.name if self.planned else 'untouched'}"

    def run(self, work: Callable[["Job", Path], Result]) -> Result:
        """Does the work, unless its result is there from before."""
        identity = json.loads(json.dumps(self.identity()))
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
        who = self.planned.attack.trigger if self.planned else "untouched"
        folder = self.places.work / f"{self.experiment.kind}-{who}-{digest}"
        path = folder / "result.json"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            found = work(self, folder)
            replace_text(path, json.dumps({"identity": identity, "made with": made_with(), **found}, indent=1) + "\n")
        result: Result = json.loads(path.read_text(encoding="utf-8"))
        return result

    def victim(self) -> Victim:
        """The captioner that the attack has taken hold of; made on first use."""
        assert self.planned is not None
        return make_victim(
            self.places.taught(self.experiment),
            self.places.dev,
            self.planned.attack,
            self.places.work / "victims",
            self.planned.epochs,
        )


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
