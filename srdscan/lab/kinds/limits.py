"""Limits: what an audit says it would have found, against what it finds in copies that are poisoned so.

A data set is audited as it is, and states its limits of detection. Then copies are poisoned by `srdscan poison` in as
many samples, with words that were not planted before, and audited from the images on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from srdscan.attacks.poison import NONE, plant
from srdscan.audit import audit, audited_of, examine, measure_limits, open_models
from srdscan.config import AuditConfig
from srdscan.evaluate import evaluate
from srdscan.lab.experiment import Experiment
from srdscan.lab.jobs import Job, Places, Result
from srdscan.lab.tables import Table
from srdscan.limits.plants import PLANTS, Ground, Written
from srdscan.limits.search import ground_of
from srdscan.progress import Quiet

FRESH = 1000
"""Added to seeds: what is written into copies is drawn apart from what the audit planted."""


def jobs(experiment: Experiment, places: Places) -> list[Job]:
    """One a data set."""
    return [Job(experiment, None, places, variant=name) for name in places.worlds]


def work(job: Job, folder: Path) -> Result:
    """Stated limits, and the recall of audits of copies with as many poisoned samples."""
    assert job.variant is not None
    shards = job.places.worlds[job.variant]
    config = AuditConfig(shards=(shards,), out=folder / "audit", pictures=0)
    models = open_models(config)
    examined = examine(config, models, Quiet())
    stated = {item.attack: item for item in measure_limits(config, models, examined, Quiet()).limits}
    ground, samples = ground_of(audited_of(config, models, examined)), examined.verdicts.samples
    found: Result = {
        "samples": samples,
        "stated": {name: item.limit for name, item in stated.items()},
        "rows": [],
    }
    for planned in job.experiment.attacks:
        target = planned.attack.target
        limit = stated[ATTACKS[target].name].limit
        if limit is None:
            continue
        for seed in range(job.experiment.seeds):
            place = folder / f"{target}-{seed}"
            text = words(target, ground, seed)
            if not (place / "shards" / "truth.json").exists():
                plant([shards], place / "shards", NONE, target, limit / samples, seed, text)
            copy = AuditConfig(shards=(str(place / "shards"),), out=place / "audit", pictures=0, limits="off")
            audit(copy)
            result = evaluate(copy.out, place / "shards" / "truth.json")
            row = {"attack": ATTACKS[target].name, "limit": limit, "seed": seed, "recall": result.recall}
            found["rows"].append({**row, "false alarms": result.false_positives})
    return found


ATTACKS = {"insert": PLANTS["inserted word"], "fixed": PLANTS["repeated sentence"]} | {
    "advert": PLANTS["product"],
    "link": PLANTS["link"],
}
"""The attacks that an audit plants, by the targets of `srdscan poison` that write the same."""


def words(target: str, ground: Ground, seed: int) -> str:
    """A target's text, as an audit draws its own."""
    attack = ATTACKS[target]
    assert isinstance(attack, Written)
    return attack.target([], ground, np.random.default_rng(FRESH + seed)).text


def tables(results: Mapping[str, Result]) -> list[Table]:
    """Stated limits of each data set; recall at them."""
    names = list(dict.fromkeys(name for result in results.values() for name in result["stated"]))
    stated = Table("stated", ["world", "samples", *names])
    for world, result in results.items():
        stated.add(world, result["samples"], *(result["stated"].get(name) or "-" for name in names))
    recall = Table("recall", ["world", "attack", "stated limit", "recall", "worst", "most false alarms"])
    for world, result in results.items():
        for name in dict.fromkeys(row["attack"] for row in result["rows"]):
            mine = [row for row in result["rows"] if row["attack"] == name]
            values = [row["recall"] for row in mine]
            most = max(row["false alarms"] for row in mine)
            mean, worst = f"{np.mean(values):.2f}", f"{min(values):.2f}"
            recall.add(world, name, mine[0]["limit"], mean, worst, most)
    return [stated, recall]
