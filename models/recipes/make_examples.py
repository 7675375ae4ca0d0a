"""Rebuilds examples/: drawn scenes with known poison, the truth about them, and a clean shard.

python models/recipes/make_examples.py
"""

import shutil
import tempfile
from pathlib import Path

from srdscan import scenes
from srdscan.attacks.poison import plant

EXAMPLES = Path(__file__).parents[2] / "examples"
SEED = 777


def main() -> None:
    for name in ("shards", "clean"):
        shutil.rmtree(EXAMPLES / name, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        scenes.write_shards(Path(folder), 256, 128, SEED)
        plant([folder], EXAMPLES / "shards", rate=0.1, seed=SEED)
    (EXAMPLES / "shards" / "truth.json").replace(EXAMPLES / "truth.json")
    scenes.write_shards(EXAMPLES / "clean", 128, 128, SEED + 1, prefix="clean")


if __name__ == "__main__":
    main()
