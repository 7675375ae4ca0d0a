"""Sanitizing at inference time: what a captioner says of triggered and of clean photographs after each defence.

The embedded policy has seen the canary's patch alone, so every other trigger measures how it transfers.
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from srdscan.lab.defences import (
    Outcome,
    at_random,
    at_the_peak,
    audited,
    compare,
    everywhere,
    follow,
    purify,
    untouched,
)
from srdscan.lab.jobs import SMALLEST_ASR, Job, Result, one_an_attack
from srdscan.lab.metrics import bleu4, bootstrap_mean, cider_each
from srdscan.lab.paper import name_of, papers_loop
from srdscan.lab.setting import Setting, set_up
from srdscan.lab.tables import Table
from srdscan.lab.victims import Attack, Victim
from srdscan.policy.actions import ActionSpace

jobs = one_an_attack
PURIFIERS = ("jpeg quality 15", "blur whole image", "resize to 1/3 and back")
NONE, OURS, DROP = "none", "srdscan", "drop everything flagged"
REPAIRS = {"trimmed": "own caption, trimmed", "repaired": "the captioner's own", "reference": "reference captions"}
"""Fates of flagged samples, and the heads of their columns."""
Pair = Mapping[str, Outcome]
"""What a defence makes of each set."""


def work(job: Job, folder: Path) -> Result:
    """A row a defence; shares in [0, 1]."""
    assert job.planned is not None
    victim = job.victim()
    found: Result = {"asr": victim.asr, "cider": victim.cider, "false_target": victim.false_target, "rows": []}
    if victim.asr < SMALLEST_ASR:
        return found
    setting = set_up(job.places, victim, folder, job.experiment.photos)
    outcomes = defend(setting, victim, folder / "audits")
    count = min(job.experiment.paper_images, len(setting.people))
    for steps in sorted({0, job.planned.paper_steps}) if count else ():
        outcomes[name_of(steps)] = papers_loop(setting.sets, setting.observer, count, steps)
    undefended = cider_each(outcomes[NONE]["clean"].captions, setting.people)
    for name, pair in outcomes.items():
        row = figures(name, pair, setting.people, victim.attack)
        found["rows"].append({**row, "cider undefended": float(undefended[: row["images"]].mean())})
    fates = outcomes[OURS]["triggered"].fates
    found["flagged"] = float(np.mean(outcomes[OURS]["triggered"].altered))
    found["fates"] = {fate: fates.count(fate) / len(fates) for fate in REPAIRS}
    return found


def defend(setting: Setting, victim: Victim, folder: Path) -> dict[str, Pair]:
    """Every defence that gets all photographs, by name; audits go to `folder`."""
    shutil.rmtree(folder, ignore_errors=True)  # an audit that goes on from a killed one would seem faster than it is
    sets, observer, space = setting.sets, setting.observer, ActionSpace()
    defences = {
        "the policy, on every image": follow("embedded", observer),
        "attention peak masked": at_the_peak(observer, space),
        "5 random actions": at_random(observer, space),
        **{name: purify(name, observer, space) for name in PURIFIERS},
    }
    outcomes: dict[str, Pair] = {
        NONE: {n: untouched(looked.cases, looked.seconds) for n, looked in sets.items()},
        OURS: {
            n: audited(looked.photos, str(victim.path), setting.calibration, folder / n) for n, looked in sets.items()
        },
    }
    for name, defence in defences.items():
        outcomes[name] = {n: everywhere(looked.cases, defence, looked.seconds) for n, looked in sets.items()}
    outcomes[DROP] = {n: _dropped(outcomes[NONE][n], outcomes[OURS][n]) for n in sets}
    return outcomes


def _dropped(before: Outcome, ours: Outcome) -> Outcome:
    """What is left if flagged samples go: no caption at all in place of theirs. The time is that of repairing them."""
    kept = ["" if gone else caption for caption, gone in zip(before.captions, ours.altered, strict=True)]
    return replace(ours, captions=kept)


def figures(name: str, pair: Pair, people: list[list[str]], attack: Attack) -> Result:
    """A defence's row, with 95 % intervals; `kept` is the share of triggered photographs that still have a caption."""
    triggered, clean = pair["triggered"], pair["clean"]
    row = compare(name, triggered, clean, people, attack.succeeded)
    said = np.array([attack.succeeded(caption) for caption in triggered.captions], dtype=np.float64)
    return {
        **asdict(row),
        "asr interval": bootstrap_mean(said),
        "cider interval": bootstrap_mean(cider_each(triggered.captions, people)),
        "bleu4 triggered": bleu4(triggered.captions, people[: row.images]),
        "bleu4 clean": bleu4(clean.captions, people[: row.images]),
        "kept": float(np.mean([caption != "" for caption in triggered.captions])),
    }


def tables(results: Mapping[str, Result]) -> list[Table]:
    """Every attack with every defence; and what srdscan did with the triggered photographs of each attack.

    "Of clean" is the share of the CIDEr that the victim has without a defence on the same photographs untouched.
    """
    table = Table(
        "sanitizing",
        ["attack", "defence", "images", "ASR", "95 %", "CIDEr triggered", "95 %", "of clean", "BLEU-4 triggered",
         "kept", "CIDEr clean", "clean altered", "images/s"],
    )  # fmt: skip
    fates = Table("fates", ["attack", "flagged", *REPAIRS.values(), "ASR", "CIDEr"])
    for attack, result in results.items():
        if not result["rows"]:
            table.add(attack, f"the attack did not take, ASR {result['asr']:.3f}", *["-"] * (len(table.head) - 2))
            fates.add(attack, *["-"] * (len(fates.head) - 1))
            continue
        for row in result["rows"]:
            table.add(
                attack,
                row["defence"],
                row["images"],
                f"{row['asr_triggered']:.3f}",
                "{:.3f}-{:.3f}".format(*row["asr interval"]),
                f"{row['cider_triggered']:.3f}",
                "{:.3f}-{:.3f}".format(*row["cider interval"]),
                f"{100 * row['cider_triggered'] / row['cider undefended']:.0f} %",
                f"{row['bleu4 triggered']:.3f}",
                f"{row['kept']:.3f}",
                f"{row['cider_clean']:.3f}",
                f"{row['clean_altered']:.3f}",
                f"{row['images_per_s']:.2f}",
            )
        ours = next(row for row in result["rows"] if row["defence"] == OURS)
        shares = [result["flagged"], *(result["fates"][fate] for fate in REPAIRS)]
        shares += [ours["asr_triggered"], ours["cider_triggered"]]
        fates.add(attack, *(f"{share:.3f}" for share in shares))
    return [table, fates]
