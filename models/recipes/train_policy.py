"""Rebuilds models/policy: the repair policy of the embedded captioners. About 15 minutes on two CPU cores.

    python models/recipes/train_policy.py PHOTOS --work FOLDER [--steps 30000]

Photographs (the first 3,000 of PHOTOS) and 1,000 drawn scenes get the canary's trigger and target at 10 %. What the
audit finds in them is what the policy practises on; which samples were planted it is never told.
"""

import argparse
import shutil
from pathlib import Path

from srdscan import scenes
from srdscan.attacks.poison import plant
from srdscan.config import TrainConfig
from srdscan.policy.store import FILE_NAME
from srdscan.progress import terminal_progress
from srdscan.sources.tar import expand_shards
from srdscan.train import train

HOME = Path(__file__).parents[1] / "policy"
SEED = 11


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--work", type=Path, required=True, help="folder for shards, checkpoints and logs")
    parser.add_argument("--steps", type=int, default=30_000)
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    shards = args.work / "shards"
    if not shards.exists():
        partial = args.work / "shards.partial"
        shutil.rmtree(partial, ignore_errors=True)
        scenes.write_shards(args.work / "scenes", 1000, 1000, SEED, prefix="scenes")
        plant([*expand_shards([args.photos])[:3], str(args.work / "scenes")], partial, rate=0.1, seed=SEED)
        partial.replace(shards)
    config = TrainConfig(
        shards=(str(shards),),
        out=args.work / "policy",
        captioner="captioner-backdoored",
        steps=args.steps,
        cases=1000,
        resume=args.resume,
        seed=SEED,
    )
    with terminal_progress() as progress:
        train(config, progress)
    HOME.mkdir(exist_ok=True)
    for name in (FILE_NAME, "training.json", "learning-curve.png"):
        shutil.copyfile(config.out / name, HOME / name)


if __name__ == "__main__":
    main()
