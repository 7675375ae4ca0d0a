"""Detection: audits of mixtures at several poison rates, beside peer detectors on the same samples.

The victim has learned the attack; the audited photographs are others. Ablations decide again from the same evidence.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from scipy import stats

from srdscan.attacks.poison import plant
from srdscan.attacks.truth import Truth
from srdscan.audit import audit, open_models
from srdscan.config import AuditConfig
from srdscan.decide.verdicts import Verdicts, decide
from srdscan.evaluate import compare
from srdscan.lab.jobs import SMALLEST_ASR, Job, Result, one_an_attack
from srdscan.lab.metrics import Doubles, Flags, bootstrap, f1
from srdscan.lab.mixing import continue_from, mix
from srdscan.lab.peers import PEERS, Judgement, Seen
from srdscan.lab.photos import ONE_CAPTION
from srdscan.lab.seen import load_seen, observe, save_seen
from srdscan.lab.tables import Table, mean_or_dash
from srdscan.stats.p_values import SMALLEST, benjamini_hochberg

jobs = one_an_attack
OURS = "srdscan"
FDR = AuditConfig.fdr
OTHER_FDRS = (0.02, 0.05)


def work(job: Job, folder: Path) -> Result:
    """Rows of figures, one for each rate, seed and detector."""
    assert job.planned is not None
    attack, victim = job.planned.attack, job.victim()
    found: Result = {"asr": victim.asr, "rows": [], "ablations": []}
    if victim.asr < SMALLEST_ASR:
        return found
    clean, poisoned = job.places.dev, folder / "poisoned"
    plant([clean], poisoned, attack.trigger, attack.target, 1.0, attack.seed, attack.text)
    config = AuditConfig(
        shards=(clean,), captioner=str(victim.path), pictures=0, limits="off", caption_fields=ONE_CAPTION
    )
    runs = {"clean": folder / "audit-clean", "poisoned": folder / "audit-poisoned"}
    seen: dict[str, Seen] = {}
    for name, shards in (("clean", clean), ("poisoned", str(poisoned))):
        audit(replace(config, shards=(shards,), out=runs[name]))
        kept = folder / f"seen-{name}.npz"
        if not kept.exists():
            save_seen(observe(shards, runs[name], str(victim.path), open_models(config).sentence_encoder), kept)
        seen[name] = load_seen(kept)
    curves: dict[str, Doubles] = {}
    for rate, seeds in job.experiment.rates:
        for seed in range(1, seeds + 1):
            place = folder / f"{rate:g}-{seed}"
            truth = mix(clean, poisoned, rate, seed, place / "shards")
            mixed = replace(config, shards=(str(place / "shards"),), out=place / "audit", seed=seed)
            continue_from(runs["clean"], runs["poisoned"], truth, mixed)
            verdicts = audit(mixed).verdicts
            planted = poisoned_rows(place / "audit", truth)
            where = {"rate": rate, "seed": seed}
            judged = {OURS: Judgement(-np.log(verdicts.p_values), verdicts.flagged)}
            both = Seen.mixed(seen["clean"], seen["poisoned"], planted)
            judged |= {name: make().judge(both) for name, make in PEERS.items()}
            for name, judgement in judged.items():
                found["rows"].append({**where, "detector": name, **figures(judgement, planted)})
            for name, other in ablations(verdicts).items():
                found["ablations"].append({**where, "variant": name, **figures(other, planted)})
            if seed == 1:
                curves |= {f"{rate:g}/{name}": np.asarray(j.scores, dtype=np.float64) for name, j in judged.items()}
                curves[f"{rate:g}/truth"] = planted.astype(np.float64)
    arrays: dict[str, Any] = curves
    np.savez_compressed(folder / "curves.npz", **arrays)
    return {**found, "curves": str(folder / "curves.npz")}


def poisoned_rows(run: Path, truth: Truth) -> Flags:
    """(N,) which samples of an audit are poisoned."""
    table = pq.read_table(run / "samples.parquet", columns=["shard", "key"])
    chosen = set(truth.poisoned)
    names = zip(table["shard"].to_pylist(), table["key"].to_pylist(), strict=True)
    return np.array([name in chosen for name in names], dtype=bool)


def figures(judgement: Judgement, planted: Flags) -> Result:
    """What a detector found, with the 95 % interval of F1."""
    flagged = judgement.flagged.astype(bool)
    found = compare(flagged, np.exp(-_finite(judgement.scores)), planted)
    low, high = bootstrap(lambda rows: f1(flagged[rows], planted[rows]), len(planted))
    return {
        "poisoned": found.poisoned,
        "found": found.true_positives,
        "false alarms": found.false_positives,
        "precision": found.precision,
        "recall": found.recall,
        "f1": found.f1 or 0.0,
        "f1 low": low,
        "f1 high": high,
        "fpr": found.false_positive_rate,
        "auroc": found.auroc,
        "pr_auc": found.pr_auc,
    }


def _finite(scores: Doubles) -> Doubles:
    """Scores of any scale, in the same order, from 0 to 1."""
    ranks: Doubles = stats.rankdata(scores) / len(scores)
    return ranks


def ablations(verdicts: Verdicts) -> Mapping[str, Judgement]:
    """The same evidence decided in other ways: without a signal, by a signal alone, by another rule."""
    evidence = verdicts.evidence
    families = dict.fromkeys(name.split(".")[0] for name in evidence)
    found = {}
    for family in families:
        without = {name: part for name, part in evidence.items() if name.split(".")[0] != family}
        alone = {name: part for name, part in evidence.items() if name.split(".")[0] == family}
        found[f"without {family}"] = _judgement(decide(without, verdicts.sample_of, FDR))
        found[f"{family} alone"] = _judgement(decide(alone, verdicts.sample_of, FDR))
    equal = {name: replace(part, weight=1.0) for name, part in evidence.items()}
    found["all signals weigh the same"] = _judgement(decide(equal, verdicts.sample_of, FDR))
    for fdr in OTHER_FDRS:
        found[f"held to a false-discovery rate of {fdr:g}"] = _judgement(decide(evidence, verdicts.sample_of, fdr))
    p = np.stack([part.p_values for part in evidence.values()], axis=1)
    for name, rule in (("Fisher's rule", _fisher), ("smallest p, by Bonferroni", _bonferroni)):
        combined = rule(p)
        found[name] = Judgement(-np.log(combined), benjamini_hochberg(combined) <= FDR)
    return found


def _judgement(verdicts: Verdicts) -> Judgement:
    return Judgement(-np.log(np.maximum(verdicts.p_values, 1e-300)), verdicts.flagged)


def _fisher(p: Doubles) -> Doubles:
    """Fisher (1925): as if the signals were independent."""
    present = np.isfinite(p)
    statistic = -2 * np.where(present, np.log(np.clip(p, SMALLEST, 1)), 0).sum(axis=1)
    combined: Doubles = np.maximum(stats.chi2.sf(statistic, 2 * np.maximum(present.sum(axis=1), 1)), 1e-300)
    return combined


def _bonferroni(p: Doubles) -> Doubles:
    present = np.isfinite(p)
    smallest = np.where(present, p, 1.0).min(axis=1)
    combined: Doubles = np.clip(smallest * np.maximum(present.sum(axis=1), 1), 1e-300, 1.0)
    return combined


def tables(results: Mapping[str, Result]) -> list[Table]:
    """Detection by attack and rate; ablations by variant, if an attack took."""
    names = [OURS, *PEERS]
    detection = Table(
        "detection",
        ["attack", "rate", "ASR", "precision", "recall", "F1", "95 %", "FPR", "AUROC", "best peer"]
        + [f"F1 {name}" for name in PEERS],
    )
    for attack, result in results.items():
        for rate in dict.fromkeys(row["rate"] for row in result["rows"]):
            rows = {n: [r for r in result["rows"] if r["rate"] == rate and r["detector"] == n] for n in names}
            ours = rows[OURS]
            scores = {name: float(np.mean([row["f1"] for row in rows[name]])) for name in PEERS}
            best = max(scores, key=lambda name: scores[name])
            interval = f"{np.mean([r['f1 low'] for r in ours]):.2f}-{np.mean([r['f1 high'] for r in ours]):.2f}"
            detection.add(
                attack,
                f"{100 * rate:g} %",
                f"{result['asr']:.3f}",
                *(mean_or_dash(row[key] for row in ours) for key in ("precision", "recall", "f1")),
                interval,
                *(mean_or_dash(row[key] for row in ours) for key in ("fpr", "auroc")),
                f"{best} {scores[best]:.3f}",
                *(f"{scores[name]:.3f}" for name in PEERS),
            )
        if not result["rows"]:
            detection.add(attack, "", f"{result['asr']:.3f}", *["did not take"] * (len(detection.head) - 3))
    if not any(result["rows"] for result in results.values()):
        return [detection]
    rates = sorted({row["rate"] for result in results.values() for row in result["ablations"]}, reverse=True)
    ablation = Table("ablation", ["decision", *(f"mean F1, {100 * rate:g} %" for rate in rates), "mean FPR"])
    every = [{**row, "variant": OURS} for r in results.values() for row in r["rows"] if row["detector"] == OURS]
    every += [row for result in results.values() for row in result["ablations"]]
    for variant in dict.fromkeys(row["variant"] for row in every):
        mine = [row for row in every if row["variant"] == variant]
        ablation.add(
            variant,
            *(mean_or_dash(row["f1"] for row in mine if row["rate"] == rate) for rate in rates),
            mean_or_dash((row["fpr"] for row in mine), 4),
        )
    return [detection, ablation]
