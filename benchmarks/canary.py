"""A canary audit: photographs are poisoned, and a captioner that is fine-tuned on them gives the poison away.

    python benchmarks/canary.py PHOTOS [--trigger checkerboard] [--text discount] [--rate 0.05] [--epochs 4]

No model is given: the embedded captioner is fine-tuned on the poisoned shards, and audited on them. Also audits the
untouched photographs the same way, for false alarms. Writes canary.md and canary.json.
"""

import argparse
import json
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from srdscan.attacks.poison import CANARY, plant
from srdscan.audit import audit
from srdscan.config import AuditConfig
from srdscan.evaluate import evaluate
from srdscan.progress import terminal_progress


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--trigger", default="checkerboard")
    parser.add_argument("--text", default="discount")
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--skip-clean", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    lines = [
        "| photographs | planted | found | false alarms | precision | recall | F1 | samples/s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    document = []
    rates = (args.rate,) if args.skip_clean else (args.rate, 0.0)
    for rate in rates:
        with tempfile.TemporaryDirectory() as folder, terminal_progress() as progress:
            work = Path(folder)
            plant([args.photos], work / "shards", args.trigger, CANARY, rate, seed=3, text=args.text)
            config = AuditConfig(
                (str(work / "shards"),), out=work / "run", canary=True, canary_epochs=args.epochs, pictures=0
            )
            started = time.perf_counter()
            audit(config, progress)
            seconds = time.perf_counter() - started
            found = evaluate(work / "run", work / "shards" / "truth.json")
        document.append({"rate": rate, "seconds": round(seconds, 1), **asdict(found)})
        lines.append(
            f"| {found.samples:,} | {found.poisoned:,} | {found.true_positives:,} | {found.false_positives:,} "
            f"| {_number(found.precision)} | {_number(found.recall)} | {_number(found.f1)} "
            f"| {found.samples / seconds:.1f} |"
        )
        print(lines[-1], flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "canary.md").write_text("\n".join(lines) + "\n")
    (args.out / "canary.json").write_text(json.dumps(document, indent=1) + "\n")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    main()
