"""What the policy's inputs are good for: policies that learned without a part of them, followed on every image.

All learn from the same audit of the same photographs, with the canary in a tenth of them, and explore alike: on the
peaks of the attention maps first, also where the network does not see them. The audit, the photographs and the
calibrations are made once for all of them.
"""

import hashlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from srdscan.attacks.poison import CANARY, plant
from srdscan.audit import audit
from srdscan.config import AuditConfig, TrainConfig
from srdscan.config.train import INPUTS
from srdscan.lab.defences import compare, everywhere, follow, untouched
from srdscan.lab.experiment import Experiment, Planned
from srdscan.lab.jobs import SMALLEST_ASR, Job, Places, Result
from srdscan.lab.once import made_once
from srdscan.lab.setting import look, prepare
from srdscan.lab.tables import Table
from srdscan.lab.victims import Victim, shipped_captioner
from srdscan.sources.tar import expand_shards, fingerprint

RATE = 0.1
NO_POLICY = "none"
VARIANTS: dict[str, tuple[str, ...]] = {"all inputs": (), **{f"without {name}": (name,) for name in INPUTS}}
"""Policies by name, and what is hidden from them."""


def jobs(experiment: Experiment, places: Places) -> list[Job]:
    """A job a policy; each goes through all attacks."""
    return [Job(experiment, None, places, variant) for variant in VARIANTS]


def work(job: Job, folder: Path) -> Result:
    """Learns a policy, and follows it on the photographs of every attack, triggered and untouched."""
    assert job.variant is not None
    out = folder / "policy"
    learned = learn(job, out, VARIANTS[job.variant])
    return {"learned": learned, "attacks": {p.name: followed(job, p, str(out)) for p in job.experiment.attacks}}


def learn(job: Job, out: Path, hide: tuple[str, ...]) -> Result:
    """Trains a policy into `out`, going on where a killed training stopped; a summary of the training."""
    from srdscan.policy.recorder import CHECKPOINT  # these need stable-baselines3, of the extra `train`
    from srdscan.train import train

    config = TrainConfig(
        shards=(str(planted(job)),),
        captioner=str(shipped_captioner()),
        out=out,
        steps=job.experiment.steps,
        hide=hide,
        resume=(out / CHECKPOINT).exists(),
    )
    if not config.audit.out.exists():
        shutil.copytree(audited(job, config.audit), config.audit.out)
    return dict(train(config).policy.training)


def audited(job: Job, config: AuditConfig) -> Path:
    """The audit that all policies learn from."""
    shards = expand_shards(config.shards)
    where = job.places.work / f"policy-audit-{_digest([str(config.captioner), *map(fingerprint, shards)])}"
    return made_once(where, lambda out: audit(replace(config, out=out)))


def prepared(job: Job, planned: Planned, victim: Victim) -> Path:
    """The photographs and the calibration of one attack's victim."""
    places, photos = job.places, job.experiment.photos
    shards = [*expand_shards([places.dev]), places.calibration]
    digest = _digest([victim.path.name, str(photos), *map(fingerprint, shards)])
    where = places.work / f"prepared-{planned.attack.trigger}-{digest}"
    return made_once(where, lambda out: prepare(places, victim, out, photos))


def planted(job: Job) -> Path:
    """The shards that all policies learn from: those that victims learn from, with the canary in a tenth."""
    taught = job.places.taught(job.experiment)
    where = job.places.work / f"planted-{CANARY}-{_digest(map(fingerprint, taught))}"
    return made_once(where, lambda out: plant(taught, out, CANARY, CANARY, RATE))


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:12]


def followed(job: Job, planned: Planned, policy: str) -> Result:
    """ASR and CIDEr of one attack's victim, with the policy on every image and without."""
    victim = job.victim(planned)
    found: Result = {"asr": victim.asr, "rows": []}
    if victim.asr < SMALLEST_ASR:
        return found
    setting = look(job.places, victim, prepared(job, planned, victim))
    defence = follow(policy, setting.observer)
    outcomes = {
        NO_POLICY: {n: untouched(looked.cases, looked.seconds) for n, looked in setting.sets.items()},
        job.row: {n: everywhere(looked.cases, defence, looked.seconds) for n, looked in setting.sets.items()},
    }
    for name, pair in outcomes.items():
        row = compare(name, pair["triggered"], pair["clean"], setting.people, victim.attack.succeeded)
        found["rows"].append(
            {
                "policy": name,
                "asr": row.asr_triggered,
                "cider triggered": row.cider_triggered,
                "cider clean": row.cider_clean,
                "clean altered": row.clean_altered,
            }
        )
    return found


def tables(results: Mapping[str, Result]) -> list[Table]:
    """Every attack with every policy, and with none."""
    table = Table("policy", ["attack", "policy", "ASR", "CIDEr triggered", "CIDEr clean", "clean altered"])
    first = next(iter(results.values()))
    for attack, found in first["attacks"].items():
        if not found["rows"]:
            table.add(attack, f"the attack did not take, ASR {found['asr']:.3f}", *["-"] * (len(table.head) - 2))
            continue
        rows = [found["rows"][0]] + [result["attacks"][attack]["rows"][1] for result in results.values()]
        for row in rows:
            shares = (row[key] for key in ("asr", "cider triggered", "cider clean", "clean altered"))
            table.add(attack, row["policy"], *(f"{share:.3f}" for share in shares))
    return [table]
