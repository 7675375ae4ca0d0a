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
import io
import json
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from srdscan.attacks.poison import plant
from srdscan.audit import audit
from srdscan.config import AuditConfig
from srdscan.fidelity import FidelityModel
from srdscan.images import decode_image
from srdscan.lab.metrics import attack_success_rate, cider
from srdscan.lab.peers import srd_reference
from srdscan.models import Models, load_models
from srdscan.policy.actions import ActionSpace
from srdscan.policy.episodes import Case, Lane, Observer, begin, step
from srdscan.policy.store import load_policy
from srdscan.sanitize import roll_out
from srdscan.shards import Sample, expand_shards, read_shard
from srdscan.signals.attention import head_norms
from srdscan.state import load_scores

CAPTIONER, TARGET, BATCH = "captioner-backdoored", "banana", 64


@dataclass(frozen=True)
class Row:
    """One defence: shares in [0, 1]."""

    defence: str
    images: int
    asr_triggered: float
    cider_triggered: float
    cider_clean: float
    clean_altered: float
    images_per_s: float


@dataclass
class Photos:
    """A set of photographs: pixels, human captions, and where they lie."""

    folder: str
    keys: list[tuple[str, str]]
    images: list[np.ndarray]
    truth: list[list[str]]


def read(folder: str, truth: dict[str, list[str]]) -> Photos:
    samples = [s for path in expand_shards([folder]) for s in read_shard(path) if isinstance(s, Sample)]
    images = [np.asarray(decode_image(s.image)) for s in samples]
    return Photos(folder, [(s.shard, s.key) for s in samples], images, [truth[s.key] for s in samples])


def human_captions(folder: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in expand_shards([folder]):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    content = tar.extractfile(member)
                    assert content is not None
                    found[member.name.removesuffix(".json")] = json.load(io.TextIOWrapper(content))["captions"]
    return found


def audited(photos: Photos, calibration: Path, out: Path, policy: str) -> tuple[list[str], list[bool], float]:
    """Final captions, which were replaced, and seconds of the whole audit, reading and writing included."""
    config = AuditConfig(
        shards=(photos.folder,),
        captioner=CAPTIONER,
        calibration=calibration,
        out=out,
        sanitize=out / "out",
        policy=policy,
        pictures=0,
    )
    started = time.perf_counter()
    audit(config)
    seconds = time.perf_counter() - started
    rows = {(r["shard"], r["key"]): r for r in pq.read_table(out / "samples.parquet").to_pylist()}
    ordered = [rows[place] for place in photos.keys]
    captions = [row["sanitized_caption"] if row["flagged"] else row["output"] for row in ordered]
    print(out.name, {fate: sum(row["fate"] == fate for row in ordered) for fate in {row["fate"] for row in ordered}})
    return captions, [row["flagged"] for row in ordered], seconds


Defence = Callable[[list[Lane]], None]


def everywhere(photos: Photos, cases: Sequence[Case], defence: Defence) -> tuple[list[str], list[bool], float]:
    """A defence on every image, without the detector: the most faithful caption on the way."""
    started = time.perf_counter()
    captions, altered = [], []
    for start in range(0, len(cases), BATCH):
        lanes = [begin(case, seed) for seed, case in enumerate(cases[start : start + BATCH], start)]
        defence(lanes)
        for lane in lanes:
            place = lane.best() or 0
            captions.append(lane.trail[place][0].caption)
            altered.append(place > 0)
    return captions, altered, time.perf_counter() - started


def at_the_peak(observer: Observer, space: ActionSpace) -> Defence:
    """One mean-colour square of 3 x 3 cells on the peak of the most abnormal head, whatever it is."""

    def defence(lanes: list[Lane]) -> None:
        cells = [divmod(int(lane.view.attention[0].argmax()), space.grid) for lane in lanes]
        step(lanes, [space.index("occlude", 3, row, column) for row, column in cells], observer, space)
        for lane in lanes:
            lane.trail = lane.trail[-1:]  # the masked image, for better or worse

    return defence


def at_random(observer: Observer, space: ActionSpace) -> Defence:
    """Five actions drawn uniformly."""

    def defence(lanes: list[Lane]) -> None:
        draw = np.random.default_rng(0)
        while not lanes[0].done:
            step(lanes, draw.integers(space.stop, size=len(lanes)).tolist(), observer, space)

    return defence


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
        plant([args.photos], work / "triggered", target="none", rate=1.0, seed=0)
        sets = {"triggered": read(str(work / "triggered"), truth), "clean": read(args.photos, truth)}
        calibration = AuditConfig(shards=(args.calibration,), captioner=CAPTIONER, out=work / "calibration", pictures=0)
        audit(calibration)
        models = load_models(calibration)
        assert models.captioner is not None
        fidelity = FidelityModel(models.sentence_encoder, models.language_model)
        observer = Observer(models.captioner, fidelity, head_norms(load_scores(calibration.out)))

        def add(name: str, results: dict[str, tuple[list[str], list[bool], float]], count: int) -> None:
            hit, calm = results["triggered"], results["clean"]
            row = Row(
                name,
                count,
                attack_success_rate(hit[0], TARGET),
                cider(hit[0], sets["triggered"].truth[:count]),
                cider(calm[0], sets["clean"].truth[:count]),
                float(np.mean(calm[1])),
                2 * count / (hit[2] + calm[2]),
            )
            rows.append(row)
            print(json.dumps(asdict(row)), flush=True)

        cases, looks = {}, {}
        for name, photos in sets.items():
            started = time.perf_counter()
            references = refer(models, photos)
            cases[name] = [
                case
                for start in range(0, len(references), BATCH)
                for case in observer.cases(photos.images[start : start + BATCH], references[start : start + BATCH])
            ]
            looks[name] = (references, time.perf_counter() - started)
        count = len(truth)
        add("none", {n: ([c.view.caption for c in cases[n]], [False] * count, looks[n][1]) for n in sets}, count)
        add("srdscan", {n: audited(sets[n], calibration.out, work / n, args.policy) for n in sets}, count)
        space = ActionSpace()
        policies = {"policy on every image": args.policy}
        if args.blind_policy:
            policies["policy without attention, on every image"] = args.blind_policy
        defences = {name: follow(spec, observer) for name, spec in policies.items()}
        defences |= {
            "attention peak masked": at_the_peak(observer, space),
            "5 random actions": at_random(observer, space),
        }
        for name, defence in defences.items():
            found = {n: everywhere(sets[n], cases[n], defence) for n in sets}
            add(name, {n: (c, a, s + looks[n][1]) for n, (c, a, s) in found.items()}, count)
        if args.paper_images:
            paper(args, sets, looks, models, fidelity, add)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "sanitizing.json").write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")
    (args.out / "sanitizing.md").write_text(table(rows))
    print(table(rows))


def follow(spec: str, observer: Observer) -> Defence:
    policy = load_policy(spec)
    return lambda lanes: roll_out(lanes, policy, observer)


def refer(models: Models, photos: Photos) -> list[str]:
    from PIL import Image

    captions: list[str] = []
    for start in range(0, len(photos.images), BATCH):
        images = [Image.fromarray(image) for image in photos.images[start : start + BATCH]]
        captions += models.reference.describe(models.reference.encode(images)).captions
    return captions


def paper(
    args: argparse.Namespace,
    sets: dict[str, Photos],
    looks: dict[str, tuple[list[str], float]],
    models: Models,
    fidelity: FidelityModel,
    add: Callable[[str, dict[str, tuple[list[str], list[bool], float]], int], None],
) -> None:
    assert models.captioner is not None
    judge = srd_reference.Judge(models.captioner, fidelity)
    count = min(args.paper_images, len(sets["clean"].images))
    model = None
    if args.paper_steps:
        hit = sets["triggered"]
        references = looks["triggered"][0]

        def subject(number: int) -> srd_reference.Subject:
            return judge.subject(hit.images[-1 - number], references[-1 - number])  # not those it is tested on

        model = srd_reference.learn(subject, len(hit.images) - count, judge, args.paper_steps)
    results = {}
    for name, photos in sets.items():
        started = time.perf_counter()
        views = srd_reference.clean_all(photos.images[:count], looks[name][0][:count], model, judge)
        results[name] = ([v.caption for v in views], [True] * count, time.perf_counter() - started)
    learned = f"{args.paper_steps:,} steps" if args.paper_steps else "uniform draws"
    add(f"the paper's loop ({learned})", results, count)


def table(rows: Sequence[Row]) -> str:
    head = "| defence | images | ASR, triggered | CIDEr, triggered | CIDEr, clean | clean altered | images/s |\n"
    lines = [
        f"| {r.defence} | {r.images} | {r.asr_triggered:.3f} | {r.cider_triggered:.3f} | {r.cider_clean:.3f} "
        f"| {r.clean_altered:.3f} | {r.images_per_s:.2f} |"
        for r in rows
    ]
    return head + "|---|---|---|---|---|---|---|\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
