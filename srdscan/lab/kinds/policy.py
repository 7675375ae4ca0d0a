"""What the policy's inputs are good for: policies that learned without a part of them, followed on every image.

All learn from the same audit of the same photographs, with the canary in a tenth of them, and explore alike: on the
peaks of the attention maps first, also where the network does not see them.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from srdscan.attacks.poison import CANARY, plant
from srdscan.config import TrainConfig
from srdscan.config.train import INPUTS
from srdscan.lab.defences import compare, everywhere, follow, untouched
from srdscan.lab.experiment import Experiment, Planned
from srdscan.lab.jobs import SMALLEST_ASR, Job, Places, Result
from srdscan.lab.once import made_once
from srdscan.lab.setting import set_up
from srdscan.lab.tables import Table
from srdscan.lab.victims import shipped_captioner
from srdscan.shards import fingerprint

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
    return {"learned": learned, "attacks": {p.name: followed(job, p, str(out), folder) for p in job.experiment.attacks}}


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
    return dict(train(config).policy.training)


def planted(job: Job) -> Path:
    """The shards that all policies learn from: those that victims learn from, with the canary in a tenth."""
    taught = job.places.taught(job.experiment)
    digest = hashlib.sha256(" ".join(map(fingerprint, taught)).encode()).hexdigest()[:12]
    folder = job.places.work / f"planted-{CANARY}-{digest}"
    return made_once(folder, lambda out: plant(taught, out, CANARY, CANARY, RATE))


def followed(job: Job, planned: Planned, policy: str, folder: Path) -> Result:
    """ASR and CIDEr of one attack's victim, with the policy on every image and without."""
    victim = job.victim(planned)
    found: Result = {"asr": victim.asr, "rows": []}
    if victim.asr < SMALLEST_ASR:
        return found
    setting = set_up(job.places, victim, folder / planned.name.replace(", ", "-").replace(" ", "-"))
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
