"""Speed of an audit as a share of the model calls it cannot avoid, and of what the machine can compute; peak memory.

    python benchmarks/throughput.py PHOTOS [--captioner captioner-backdoored] [--threads 1] [--cpu] [--json]
    python benchmarks/throughput.py PHOTOS --memory MORE_PHOTOS     peak memory of two data sets of different size

The bare calls, timed in the same process on images already decoded: encode and generate of both captioners (each with
its own encoder pass, no attention), one sentence-encoder call and one language-model call over all captions. `plain`
takes Hugging Face's `generate` as it comes instead of srdscan's captioner, whose projection runs once a batch and whose
image cache stays put in beam search.

The limits: `encoder`, one pass of the image encoder over decoded images and nothing else; and the roofline, the rate of
products of matrices as large as the decoder's, measured here, over the operations of encoding and describing an image
(counted by torch). `--cpu` takes CPU seconds for seconds, which other work on the machine disturbs less.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from transformers import VisionEncoderDecoderModel

from srdscan.audit import open_models
from srdscan.config import AuditConfig
from srdscan.lab.photos import ONE_CAPTION
from srdscan.measure.scoring import score_unit
from srdscan.models.captioners.load import EMBEDDED
from srdscan.models.fetch import models_folder
from srdscan.models.loaded import Models
from srdscan.signals import signals_for
from srdscan.sources.base import Sample
from srdscan.sources.find import find_source
from srdscan.sources.images import decode_image
from srdscan.sources.tar import expand_shards, read_shard


def batches(images: Sequence[Image.Image], size: int) -> Iterator[Sequence[Image.Image]]:
    for start in range(0, len(images), size):
        yield images[start : start + size]


clock: Callable[[], float] = time.perf_counter
"""Seconds."""


def bare(models: Models, images: Sequence[Image.Image], captions: list[str], size: int) -> float:
    """Seconds of the unavoidable calls."""
    started = clock()
    texts = list(captions)
    for captioner in (models.captioner, models.reference):
        if captioner is not None:
            for batch in batches(images, size):
                texts += captioner.describe(captioner.encode(batch)).captions
    models.sentence_encoder.embed(texts)
    models.language_model.log_probs(texts)
    return clock() - started


@torch.inference_mode()
def plain(models: Models, paths: list[str], images: Sequence[Image.Image], captions: list[str], size: int) -> float:
    """The same with Hugging Face's own `generate` in float32, on a model as `from_pretrained` gives it."""
    loaded = [VisionEncoderDecoderModel.from_pretrained(path).eval() for path in paths]
    started = clock()
    texts = list(captions)
    for model, captioner in zip(loaded, (models.captioner, models.reference), strict=False):
        for batch in batches(images, size):
            ids = model.generate(pixel_values=captioner.preprocess(batch), do_sample=False)
            texts += captioner.tokenizer.batch_decode(ids, skip_special_tokens=True)
    models.sentence_encoder.embed(texts)
    models.language_model.log_probs(texts)
    return clock() - started


def audit_seconds(config: AuditConfig, models: Models) -> float:
    """Seconds of pass 1, reading and decoding included."""
    started, left = clock(), config.limit
    source = find_source(config.shards)
    for unit in source.units:
        with source.open(unit) as opened:
            signals = signals_for(models.captioner is not None, models.quick)
            scored = score_unit(opened, models, signals, config.reading, config.batch_size, left).samples
        left = None if left is None else left - scored
        if left == 0:
            break
    return clock() - started


def encoder_alone(models: Models, images: Sequence[Image.Image], size: int) -> float:
    """Seconds of the image encoder."""
    started = clock()
    for batch in batches(images, size):
        models.reference.encode(batch)
    return clock() - started


def operations(models: Models, images: Sequence[Image.Image]) -> float:
    """Floating-point operations of encoding and describing an image, additions and multiplications counted each."""
    with FlopCounterMode(display=False) as counter:
        models.reference.describe(models.reference.encode(images))
    return counter.get_total_flops() / len(images)


@torch.inference_mode()
def product_rate(rows: int = 192, repeats: int = 50) -> float:
    """Operations a second of products of (rows, 256) and (256, 1024) matrices."""
    left, right, bias = torch.randn(rows, 256), torch.randn(256, 1024), torch.randn(1024)
    torch.addmm(bias, left, right)
    seconds = []
    for _ in range(repeats):
        started = clock()
        torch.addmm(bias, left, right)
        seconds.append(clock() - started)
    return 2 * rows * 256 * 1024 / sorted(seconds)[repeats // 2]


def speed(args: argparse.Namespace) -> dict[str, object]:
    config = AuditConfig(
        shards=(args.photos,),
        captioner=args.captioner,
        batch_size=args.batch_size,
        limit=args.limit,
        caption_fields=ONE_CAPTION,
    )
    models = open_models(config)
    of_mode = {
        "model": models,
        "pair": replace(models, captioner=None),
        "quick": replace(models, captioner=None, quick=True),
    }
    read = (s for path in expand_shards(config.shards) for s in read_shard(path) if isinstance(s, Sample))
    samples = list(islice(read, args.limit))
    images = [decode_image(sample.images[0].data) for sample in samples]
    captions = [sample.captions[0].text for sample in samples]
    paths = [str(models_folder() / name) if name in EMBEDDED else name for name in (args.captioner, config.reference)]
    size, count = args.batch_size, len(images)
    runs: dict[str, Callable[[], float]] = {
        "encoder": lambda: encoder_alone(models, images, size),
        "bare": lambda: bare(models, images, captions, size),
        **{mode: partial(audit_seconds, config, given) for mode, given in of_mode.items()},
    }
    if args.plain:
        runs["plain"] = lambda: plain(models, paths, images, captions, size)
    bare(models, images[:size], captions[:size], size)  # warm-up
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(args.repeats):  # one after another, so that a busy minute slows them all
        for name, run in runs.items():
            rates[name].append(count / run())
    best = {name: max(found) for name, found in rates.items()}
    roofline = product_rate() / operations(models, images[: min(size, 16)])
    ratios = {
        "model_to_bare": best["model"] / best["bare"],
        "quick_to_encoder": best["quick"] / best["encoder"],
        "pair_to_encoder": best["pair"] / best["encoder"],
        "pair_to_roofline": best["pair"] / roofline,
        **({"model_to_plain": best["model"] / best["plain"]} if args.plain else {}),
    }
    return {
        "images": count,
        **{f"{name}_images_per_s": round(rate, 2) for name, rate in best.items()},
        "roofline_images_per_s": round(roofline, 2),
        **{name: round(ratio, 3) for name, ratio in ratios.items()},
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def peak_memory(photos: str, captioner: str) -> tuple[int, float]:
    """Peak resident memory in MB and seconds of a whole `srdscan audit` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "srdscan", "audit", photos, "--captioner", captioner, "--fail-on", "never"]
        started = time.perf_counter()
        wrapper = (
            "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:]); "
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
        )
        done = subprocess.run(
            [sys.executable, "-c", wrapper, *command, "--out", str(Path(folder) / "run")],
            capture_output=True,
            text=True,
            check=True,
        )
        print(done.stdout.strip(), file=sys.stderr)
        return int(done.stdout.split()[-1]) // 1024, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--captioner", default="captioner-backdoored")
    parser.add_argument("--batch-size", type=int, default=AuditConfig.batch_size)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--limit", type=int, help="photographs at most")
    parser.add_argument("--threads", type=int, help="of torch")
    parser.add_argument("--cpu", action="store_true", help="count CPU seconds")
    parser.add_argument("--plain", action="store_true", help="also time Hugging Face's generate as it comes")
    parser.add_argument("--memory", metavar="MORE_PHOTOS", help="compare peak memory with that of a larger data set")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.cpu:
        global clock
        clock = time.process_time
    if args.memory:
        (small, short), (large, long) = (peak_memory(path, args.captioner) for path in (args.photos, args.memory))
        figures: dict[str, object] = {
            "peak_rss_mb": [small, large],
            "ratio": round(large / small, 3),
            "seconds": [round(short, 1), round(long, 1)],
        }
    else:
        figures = speed(args)
    print(json.dumps(figures, indent=1) if args.json else "\n".join(f"{k:20} {v}" for k, v in figures.items()))


if __name__ == "__main__":
    main()
