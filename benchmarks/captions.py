"""What several captions an image cost: images/s of pass 1 with the first caption of each, and with all of them.

    python benchmarks/captions.py PHOTOS [--limit 512] [--json]

One process, turn by turn, the best of three each; a pair audit. PHOTOS are shards whose `.txt` holds one caption and
whose `.json` all of them.
"""

import argparse
import json
import time

from srdscan.audit import open_models
from srdscan.config import AuditConfig
from srdscan.lab.photos import ONE_CAPTION
from srdscan.measure.scoring import score_unit
from srdscan.models.loaded import Models
from srdscan.signals import signals_for
from srdscan.sources.find import find_source


def pass_one(config: AuditConfig, models: Models) -> tuple[float, int, int]:
    """Seconds, samples and pairs."""
    started, samples, pairs = time.perf_counter(), 0, 0
    source = find_source(config.shards)
    for unit in source.units:
        left = None if config.limit is None else config.limit - samples
        if left is not None and left <= 0:
            break
        with source.open(unit) as opened:
            signals = signals_for(models.captioner is not None)
            found = score_unit(opened, models, signals, config.reading, config.batch_size, left)
        samples += found.samples
        pairs += found.table.num_rows if found.table is not None else 0
    return time.perf_counter() - started, samples, pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--limit", type=int, default=512, help="photographs")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    configs = {
        "one": AuditConfig((args.photos,), limit=args.limit, caption_fields=ONE_CAPTION),
        "all": AuditConfig((args.photos,), limit=args.limit),
    }
    models = open_models(configs["one"])
    pass_one(AuditConfig((args.photos,), limit=64), models)  # warm-up
    best: dict[str, tuple[float, int, int]] = {}
    for _ in range(3):
        for name, config in configs.items():
            done = pass_one(config, models)
            best[name] = min(best.get(name, done), done)
    rates = {name: samples / seconds for name, (seconds, samples, _) in best.items()}
    result = {
        "images": best["all"][1],
        "captions_an_image": round(best["all"][2] / best["all"][1], 2),
        "images_per_s_one_caption": round(rates["one"], 2),
        "images_per_s_all_captions": round(rates["all"], 2),
        "time_ratio": round(rates["one"] / rates["all"], 2),
    }
    print(json.dumps(result) if args.json else "\n".join(f"{name}: {value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
