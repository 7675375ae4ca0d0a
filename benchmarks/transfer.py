"""Transfer: the policy, trained with the canary's patch alone, on captioners with backdoors it never saw.

    python benchmarks/transfer.py TRAIN DEV --calibration CLEAN [--work FOLDER] [--policy FOLDER]

For each trigger, a captioner is fine-tuned on TRAIN (shards of photographs) with 10 % poisoned, and measured on DEV
(other shards, with a `captions` list in each .json), whose photographs all carry the trigger: ASR before, after the
policy on every image, and after a whole `srdscan audit --sanitize` calibrated on CLEAN. Victims stay in --work and
are not made again. Writes transfer.md and transfer.json.
"""

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from srdscan.audit import audit
from srdscan.config import AuditConfig
from srdscan.fidelity import FidelityModel
from srdscan.lab.defences import audited, compare, everywhere, first_looks, follow, untouched
from srdscan.lab.photos import human_captions, read_photos
from srdscan.lab.victims import Attack, captions_of, make_victim, trigger_all
from srdscan.models import load_models
from srdscan.policy.episodes import Observer
from srdscan.progress import terminal_progress
from srdscan.shards import expand_shards
from srdscan.signals.head_norms import head_norms
from srdscan.state import load_scores

ATTACKS = {
    Attack("corner", text="discount"): 4,
    Attack("two-patch", text="hello"): 4,
    Attack("faint-patch", text="volcano"): 10,
}
"""Attacks, and the epochs that their victims need."""
SMALLEST_ASR = 0.9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train")
    parser.add_argument("dev")
    parser.add_argument("--calibration", required=True, help="clean shards that are in neither")
    parser.add_argument("--work", type=Path, default=Path("runs/victims"))
    parser.add_argument("--policy", default="embedded")
    parser.add_argument("--triggers", nargs="*", help="only these")
    parser.add_argument("--photos", type=int, default=3, help="shards of TRAIN that each victim learns from")
    parser.add_argument("--victims-only", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    truth = human_captions(args.dev)
    lines = [
        "| trigger | ASR, no defence | ASR, policy | ASR, srdscan | CIDEr triggered, no defence | CIDEr triggered, "
        "srdscan | CIDEr clean, no defence | CIDEr clean, srdscan | clean altered |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    document = []
    for attack, epochs in ATTACKS.items():
        if args.triggers and attack.trigger not in args.triggers:
            continue
        with terminal_progress() as progress:
            victim = make_victim(
                expand_shards([args.train])[: args.photos], args.dev, attack, args.work, epochs, progress=progress
            )
        print(json.dumps({**asdict(victim), "path": str(victim.path)}), flush=True)
        if victim.asr < SMALLEST_ASR:
            print(f"{attack.trigger}: the attack did not take (ASR {victim.asr:.3f}); left out", flush=True)
            continue
        if args.victims_only:
            continue
        with tempfile.TemporaryDirectory() as folder:
            work = Path(folder)
            trigger_all(args.dev, attack, work / "triggered")
            sets = {"triggered": read_photos(str(work / "triggered"), truth), "clean": read_photos(args.dev, truth)}
            config = AuditConfig(
                shards=(args.calibration,), captioner=str(victim.path), out=work / "calibration", pictures=0
            )
            audit(config)
            models = load_models(config)
            assert models.captioner is not None
            fidelity = FidelityModel(models.sentence_encoder, models.language_model)
            observer = Observer(models.captioner, fidelity, head_norms(load_scores(config.out)))
            cases = {n: first_looks(sets[n], observer, captions_of(models.reference, sets[n])) for n in sets}
            policy = follow(args.policy, observer)
            outcomes = {
                "none": {n: untouched(cases[n], 1.0) for n in sets},
                "policy": {n: everywhere(cases[n], policy) for n in sets},
                "srdscan": {n: audited(sets[n], str(victim.path), config.out, work / n, args.policy) for n in sets},
            }
        rows = {
            name: compare(name, pair["triggered"], pair["clean"], sets["clean"].truth, attack.succeeded)
            for name, pair in outcomes.items()
        }
        none, ours = rows["none"], rows["srdscan"]
        lines.append(
            f"| {attack.trigger} | {none.asr_triggered:.3f} | {rows['policy'].asr_triggered:.3f} "
            f"| {ours.asr_triggered:.3f} | {none.cider_triggered:.3f} | {ours.cider_triggered:.3f} "
            f"| {none.cider_clean:.3f} | {ours.cider_clean:.3f} | {ours.clean_altered:.3f} |"
        )
        print(lines[-1], flush=True)
        document.append({"attack": asdict(attack), "rows": [asdict(row) for row in rows.values()]})
    if not args.victims_only:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "transfer.md").write_text("\n".join(lines) + "\n")
        (args.out / "transfer.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
