"""Retraining: a captioner that learns from the sanitized shards, beside one that learns from clean ones."""

from collections.abc import Mapping
from pathlib import Path

from srdscan.attacks.poison import NONE, plant
from srdscan.audit import audit
from srdscan.config import AuditConfig, FinetuneConfig
from srdscan.evaluate import evaluate
from srdscan.finetune.run import finetune
from srdscan.lab.jobs import Job, Result, one_an_attack
from srdscan.lab.photos import ONE_CAPTION
from srdscan.lab.tables import Table
from srdscan.lab.victims import Attack, make_victim, measure

jobs = one_an_attack


def work(job: Job, folder: Path) -> Result:
    """The victim, the audit of its training set with itself as the canary, and a captioner trained on what is left."""
    assert job.planned is not None
    attack, epochs, victim = job.planned.attack, job.planned.epochs, job.victim()
    taught, dev = job.places.taught(job.experiment), job.places.dev
    nothing = Attack(NONE, NONE, rate=0.0, seed=attack.seed)
    honest = make_victim(taught, dev, nothing, job.places.work / "victims", epochs)
    shards, run, sanitized, learned = (folder / n for n in ("shards", "audit", "sanitized", "retrained"))
    plant(taught, shards, attack.trigger, attack.target, attack.rate, attack.seed, attack.text)
    audit(
        AuditConfig(
            shards=(str(shards),),
            captioner=str(victim.path),
            out=run,
            sanitize=sanitized,
            pictures=0,
            limits="off",
            caption_fields=ONE_CAPTION,
        )
    )
    if not learned.exists():
        finetune(FinetuneConfig((str(sanitized),), out=learned, epochs=epochs, seed=attack.seed))
    found = evaluate(run, shards / "truth.json")
    after = measure(learned, dev, attack, folder / "triggered")
    return {
        "rate": attack.rate,
        "asr": victim.asr,
        "cider": victim.cider,
        "cider honest": honest.cider,
        "recall": found.recall,
        "f1": found.f1,
        "after": after,
    }


def tables(results: Mapping[str, Result]) -> list[Table]:
    """An attack a row."""
    table = Table(
        "retraining",
        ["attack", "rate", "recall", "F1", "ASR before", "ASR after", "CIDEr before", "CIDEr after",
         "CIDEr of training on clean data", "change"],
    )  # fmt: skip
    for attack, result in results.items():
        after, honest = result["after"], result["cider honest"]
        table.add(
            attack,
            f"{100 * result['rate']:g} %",
            f"{result['recall']:.3f}",
            f"{result['f1'] or 0:.3f}",
            f"{result['asr']:.3f}",
            f"{after['asr']:.3f}",
            f"{result['cider']:.3f}",
            f"{after['cider']:.3f}",
            f"{honest:.3f}",
            f"{100 * (after['cider'] / honest - 1):+.1f} %",
        )
    return [table]
