"""Detection on photographs: plant known poison, audit with default settings, compare with the truth.

    python benchmarks/detection.py PHOTOS [--seeds 1] [--only NAME ...] [--out benchmarks/results]

PHOTOS: WebDataset shards of photographs with captions (the figures in the README: 600 Flickr8k photographs, 224 px,
none of which the embedded models have seen). Writes detection.md and detection.json.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from srdscan.attacks.poison import plant
from srdscan.attacks.truth import Truth
from srdscan.audit import audit
from srdscan.config import AuditConfig
from srdscan.evaluate import Evaluation, evaluate
from srdscan.lab.photos import ONE_CAPTION
from srdscan.sources.base import Sample
from srdscan.sources.tar import MemberEdits, expand_shards, read_shard, rewrite_shard, shard_name

CANARY, CLEAN = "captioner-backdoored", "captioner"


@dataclass(frozen=True)
class Experiment:
    """One row: what is planted, and what is audited with which captioner (None: pair audit)."""

    name: str
    plant: Callable[[list[str], Path, int], Truth]
    captioner: str | None


def poison(**options: object) -> Callable[[list[str], Path, int], Truth]:
    return lambda shards, out, seed: plant(shards, out, seed=seed, **options)


def swap_captions(shards: list[str], out: Path, seed: int, rate: float = 0.05) -> Truth:
    """Exchanges captions between images, so that every caption is fluent and real, and wrong."""
    rng = np.random.default_rng(seed)
    places = [(path, i) for path in expand_shards(shards) for i in read_shard(path) if isinstance(i, Sample)]
    chosen = [places[n] for n in rng.permutation(len(places))[: round(rate * len(places))]]
    edits: dict[str, dict[str | int, MemberEdits]] = {}
    for (path, sample), (_, other) in zip(chosen, [*chosen[1:], chosen[0]], strict=True):
        edits.setdefault(path, {})[sample.index] = {".txt": other.captions[0].text.encode()}
    for path in expand_shards(shards):
        rewrite_shard(path, out / shard_name(path), edits.get(path, {}))
    truth = Truth("none", "swapped captions", rate, seed, tuple((s.shard, s.key) for _, s in chosen))
    truth.write(out / "truth.json")
    return truth


def insert(word: str) -> Callable[[list[str], Path, int], Truth]:
    return poison(trigger="none", target="insert", text=word, rate=0.05)


EXPERIMENTS = (
    Experiment("model audit, canary 10 %", poison(rate=0.10), CANARY),
    Experiment("model audit, canary 1 %", poison(rate=0.01), CANARY),
    Experiment("model audit, canary 10 %, trigger on images only", poison(rate=0.10, target="none"), CANARY),
    Experiment("model audit, untouched, backdoored captioner", poison(rate=0.0), CANARY),
    Experiment("model audit, untouched, clean captioner", poison(rate=0.0), CLEAN),
    Experiment("pair audit, untouched", poison(rate=0.0), None),
    Experiment("pair audit, 'banana' inserted, 5 %", insert("banana"), None),
    Experiment("pair audit, 'cheap' inserted, 5 %", insert("cheap"), None),
    Experiment("pair audit, 'click here' inserted, 5 %", insert("click here"), None),
    Experiment("pair audit, 'banana' inserted, 1 %", poison(trigger="none", target="insert", rate=0.01), None),
    Experiment("pair audit, one fixed caption, 5 %", poison(trigger="none", target="fixed", rate=0.05), None),
    Experiment("pair audit, one fixed caption, 1 %", poison(trigger="none", target="fixed", rate=0.01), None),
    Experiment(
        "pair audit, one fixed caption about a common subject, 5 %",
        poison(trigger="none", target="fixed", text="a man in a red shirt is standing in the street", rate=0.05),
        None,
    ),
    Experiment("pair audit, captions swapped, 5 %", swap_captions, None),
)


def run(experiment: Experiment, photos: str, seed: int) -> Evaluation:
    with tempfile.TemporaryDirectory() as folder:
        shards, report = Path(folder) / "shards", Path(folder) / "report"
        experiment.plant([photos], shards, seed)
        audit(
            AuditConfig(shards=(str(shards),), out=report, captioner=experiment.captioner, caption_fields=ONE_CAPTION)
        )
        return evaluate(report, shards / "truth.json")


def row(name: str, results: list[Evaluation]) -> str:
    def mean(field: str) -> str:
        values = [getattr(result, field) for result in results]
        return "-" if None in values else f"{np.mean(values):.3f}"

    counts = " ".join(f"{r.true_positives}/{r.poisoned}+{r.false_positives}" for r in results)
    figures = " | ".join(mean(field) for field in ("precision", "recall", "f1", "false_positive_rate", "auroc"))
    return f"| {name} | {counts} | {figures} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], help="run the experiments whose names hold one of these")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    lines = [
        "| experiment | found/planted+false alarms | precision | recall | F1 | FPR | AUROC |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    document = {}
    for experiment in EXPERIMENTS:
        if args.only and not any(part in experiment.name for part in args.only):
            continue
        results = [run(experiment, args.photos, seed) for seed in range(1, args.seeds + 1)]
        document[experiment.name] = [asdict(result) for result in results]
        lines.append(row(experiment.name, results))
        print(lines[-1], flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "detection.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (args.out / "detection.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
