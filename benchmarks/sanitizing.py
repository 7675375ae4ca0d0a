"""Sanitizing on photographs: attack success and caption quality after each defence, and images/s.

    python benchmarks/sanitizing.py PHOTOS --calibration CLEAN [--policy FOLDER] [--paper-images 100] [--paper-steps 0]

PHOTOS: shards of photographs with a `captions` list in each .json. Every defence gets all of them twice: with the
canary's trigger at random places, and untouched. The captioner is `captioner-backdoored`. CLEAN: shards of other
photographs, untouched, that the audit calibrates on (a set in which every image is triggered has no bulk to compare
with). Rows below `srdscan` run the policy on every image, without the detector, so that the parts can be told apart.

The paper's loop captions one image at a time; it gets the first `--paper-images` of each set, and a DQN that learned
for `--paper-steps` (10,000 in the paper; 0 draws its five actions uniformly). Writes sanitizing.md and sanitizing.json.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from srdscan.audit import audit
from srdscan.config import AuditConfig
from srdscan.fidelity import FidelityModel
from srdscan.lab.defences import (
    Outcome,
    Row,
    at_random,
    at_the_peak,
    audited,
    compare,
    everywhere,
    first_looks,
    follow,
    table,
    untouched,
)
from srdscan.lab.peers import srd_reference
from srdscan.lab.photos import Photos, human_captions, read_photos
from srdscan.lab.victims import Attack, captions_of, trigger_all
from srdscan.models import load_models
from srdscan.policy.actions import ActionSpace
from srdscan.policy.episodes import Observer
from srdscan.signals.head_norms import head_norms
from srdscan.state import load_scores

CAPTIONER, ATTACK = "captioner-backdoored", Attack("canary")
Pair = dict[str, Outcome]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--calibration", required=True, help="shards of other, clean photographs")
    parser.add_argument("--policy", default="embedded")
    parser.add_argument("--blind-policy", help="a policy trained without the attention input")
    parser.add_argument("--paper-images", type=int, default=100)
    parser.add_argument("--paper-steps", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    truth = human_captions(args.photos)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        trigger_all(args.photos, ATTACK, work / "triggered")
        sets = {"triggered": read_photos(str(work / "triggered"), truth), "clean": read_photos(args.photos, truth)}
        calibration = AuditConfig(shards=(args.calibration,), captioner=CAPTIONER, out=work / "calibration", pictures=0)
        audit(calibration)
        for name, pair in defend(args, sets, calibration, work):
            row = compare(name, pair["triggered"], pair["clean"], sets["clean"].truth, ATTACK.succeeded)
            rows.append(row)
            print(json.dumps(asdict(row)), flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "sanitizing.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    (args.out / "sanitizing.md").write_text(table(rows))
    print(table(rows))


def defend(
    args: argparse.Namespace, sets: dict[str, Photos], calibration: AuditConfig, work: Path
) -> Iterator[tuple[str, Pair]]:
    """Every defence by name, on both sets."""
    models = load_models(calibration)
    assert models.captioner is not None
    fidelity = FidelityModel(models.sentence_encoder, models.language_model)
    observer = Observer(models.captioner, fidelity, head_norms(load_scores(calibration.out)))
    cases, references, looks = {}, {}, {}
    for name, photos in sets.items():
        started = time.perf_counter()
        references[name] = captions_of(models.reference, photos)
        cases[name] = first_looks(photos, observer, references[name])
        looks[name] = time.perf_counter() - started
    yield "none", {name: untouched(cases[name], looks[name]) for name in sets}
    yield "srdscan", {n: audited(sets[n], CAPTIONER, calibration.out, work / n, args.policy) for n in sets}
    space = ActionSpace()
    defences = {"policy on every image": follow(args.policy, observer)}
    if args.blind_policy:
        defences["policy without attention, on every image"] = follow(args.blind_policy, observer)
    defences["attention peak masked"] = at_the_peak(observer, space)
    defences["5 random actions"] = at_random(observer, space)
    for name, defence in defences.items():
        done = {n: everywhere(cases[n], defence) for n in sets}
        yield name, {n: Outcome(o.captions, o.altered, o.seconds + looks[n]) for n, o in done.items()}
    if args.paper_images:
        judge = srd_reference.Judge(models.captioner, fidelity)
        yield papers_loop(args, sets, references, judge)


def papers_loop(
    args: argparse.Namespace, sets: dict[str, Photos], references: dict[str, list[str]], judge: srd_reference.Judge
) -> tuple[str, Pair]:
    """SRD as its authors run it, on the first images; its DQN learned on others."""
    count = min(args.paper_images, len(sets["clean"].images))
    model = None
    if args.paper_steps:
        hit = sets["triggered"].images

        def subject(number: int) -> srd_reference.Subject:
            return judge.subject(hit[-1 - number], references["triggered"][-1 - number])

        started = time.perf_counter()
        model = srd_reference.learn(subject, len(hit) - count, judge, args.paper_steps)
        print(f"paper's DQN: {args.paper_steps / (time.perf_counter() - started):.1f} steps/s", flush=True)
    results = {}
    for name, photos in sets.items():
        started = time.perf_counter()
        views = srd_reference.clean_all(photos.images[:count], references[name][:count], model, judge)
        results[name] = Outcome([v.caption for v in views], [True] * count, time.perf_counter() - started)
    learned = f"{args.paper_steps:,} steps" if args.paper_steps else "uniform draws"
    return f"the paper's loop ({learned})", results


if __name__ == "__main__":
    main()
