"""Sanitizing at inference time: what a captioner says of triggered and of clean photographs after each defence.

The embedded policy has seen the canary's patch alone, so every other trigger measures how it transfers.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from srdscan.audit import audit
from srdscan.config import AuditConfig
from srdscan.fidelity import FidelityModel
from srdscan.lab.defences import (
    Outcome,
    at_random,
    at_the_peak,
    audited,
    compare,
    everywhere,
    first_looks,
    follow,
    purify,
    untouched,
)
from srdscan.lab.jobs import SMALLEST_ASR, Job, Result
from srdscan.lab.metrics import bleu4, bootstrap_mean, cider_each
from srdscan.lab.photos import human_captions, read_photos
from srdscan.lab.tables import Table
from srdscan.lab.victims import captions_of, trigger_all
from srdscan.models import load_models
from srdscan.policy.actions import ActionSpace
from srdscan.policy.episodes import Observer
from srdscan.signals.head_norms import head_norms
from srdscan.state import load_scores

PURIFIERS = ("jpeg quality 15", "blur whole image", "resize to 1/3 and back")


def work(job: Job, folder: Path) -> Result:
    """A row a defence."""
    assert job.planned is not None
    attack, victim = job.planned.attack, job.victim()
    found: Result = {"asr": victim.asr, "rows": []}
    if victim.asr < SMALLEST_ASR:
        return found
    truth = human_captions(job.places.dev)
    trigger_all(job.places.dev, attack, folder / "triggered")
    sets = {
        "triggered": read_photos(str(folder / "triggered"), truth),
        "clean": read_photos(job.places.dev, truth),
    }
    config = AuditConfig(
        shards=(job.places.calibration,), captioner=str(victim.path), out=folder / "calibration", pictures=0
    )
    audit(config)
    models = load_models(config)
    assert models.captioner is not None
    observer = Observer(
        models.captioner,
        FidelityModel(models.sentence_encoder, models.language_model),
        head_norms(load_scores(config.out)),
    )
    cases = {name: first_looks(sets[name], observer, captions_of(models.reference, sets[name])) for name in sets}
    space = ActionSpace()
    defences = {
        "the policy, on every image": follow("embedded", observer),
        "attention peak masked": at_the_peak(observer, space),
        "5 random actions": at_random(observer, space),
        **{name: purify(name, observer, space) for name in PURIFIERS},
    }
    outcomes = {
        "none": {name: untouched(cases[name], 1.0) for name in sets},
        "srdscan": {n: audited(sets[n], str(victim.path), config.out, folder / n) for n in sets},
        **{name: {n: everywhere(cases[n], defence) for n in sets} for name, defence in defences.items()},
    }
    outcomes["flagged ones dropped"] = {n: _dropped(cases_none, ours) for n, cases_none, ours in _pairs(outcomes)}
    people = sets["clean"].truth
    for name, pair in outcomes.items():
        row = compare(name, pair["triggered"], pair["clean"], people, attack.succeeded)
        said = np.array([attack.succeeded(caption) for caption in pair["triggered"].captions], dtype=np.float64)
        each = cider_each(pair["triggered"].captions, people)
        found["rows"].append(
            {
                **asdict(row),
                "asr interval": bootstrap_mean(said),
                "cider interval": bootstrap_mean(each),
                "bleu4 triggered": bleu4(pair["triggered"].captions, people),
                "bleu4 clean": bleu4(pair["clean"].captions, people),
            }
        )
    return found


def _pairs(outcomes: Mapping[str, Mapping[str, Outcome]]) -> list[tuple[str, Outcome, Outcome]]:
    return [(name, outcomes["none"][name], outcomes["srdscan"][name]) for name in outcomes["none"]]


def _dropped(before: Outcome, ours: Outcome) -> Outcome:
    """What is left if flagged samples go: no caption at all in place of theirs."""
    kept = ["" if gone else caption for caption, gone in zip(before.captions, ours.altered, strict=True)]
    return replace(ours, captions=kept)


def tables(results: Mapping[str, Result]) -> list[Table]:
    """Every attack with every defence."""
    table = Table(
        "sanitizing",
        ["attack", "defence", "ASR", "95 %", "CIDEr triggered", "95 %", "of clean", "BLEU-4 triggered", "CIDEr clean",
         "clean altered"],
    )  # fmt: skip
    for attack, result in results.items():
        if not result["rows"]:
            table.add(attack, f"the attack did not take, ASR {result['asr']:.3f}", *["-"] * (len(table.head) - 2))
            continue
        clean = result["rows"][0]["cider_clean"]
        for row in result["rows"]:
            table.add(
                attack,
                row["defence"],
                f"{row['asr_triggered']:.3f}",
                "{:.3f}-{:.3f}".format(*row["asr interval"]),
                f"{row['cider_triggered']:.3f}",
                "{:.3f}-{:.3f}".format(*row["cider interval"]),
                f"{100 * row['cider_triggered'] / clean:.0f} %",
                f"{row['bleu4 triggered']:.3f}",
                f"{row['cider_clean']:.3f}",
                f"{row['clean_altered']:.3f}",
            )
    return [table]
