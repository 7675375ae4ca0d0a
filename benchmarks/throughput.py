"""Speed of an audit as a share of the model calls it cannot avoid, and its peak memory.

    python benchmarks/throughput.py PHOTOS [--captioner captioner-backdoored] [--json]
    python benchmarks/throughput.py PHOTOS --memory MORE_PHOTOS     peak memory of two data sets of different size

The bare calls, timed in the same process on images already decoded: encode and generate of both captioners (each with
its own encoder pass, no attention), one sentence-encoder call and one language-model call over all captions. `plain`
takes Hugging Face's `generate` as it comes instead of srdscan's captioner, whose projection runs once a batch and whose
image cache stays put in beam search.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from PIL import Image
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


def bare(models: Models, images: Sequence[Image.Image], captions: list[str], size: int) -> float:
    """Seconds of the unavoidable calls."""
    started = time.perf_counter()
    texts = list(captions)
    for captioner in (models.captioner, models.reference):
        if captioner is not None:
            for batch in batches(images, size):
                texts += captioner.describe(captioner.encode(batch)).captions
    models.sentence_encoder.embed(texts)
    models.language_model.log_probs(texts)
    return time.perf_counter() - started


@torch.inference_mode()
def plain(models: Models, paths: list[str], images: Sequence[Image.Image], captions: list[str], size: int) -> float:
    """The same with Hugging Face's own `generate` in float32, on a model as `from_pretrained` gives it."""
    loaded = [VisionEncoderDecoderModel.from_pretrained(path).eval() for path in paths]
    started = time.perf_counter()
    texts = list(captions)
    for model, captioner in zip(loaded, (models.captioner, models.reference), strict=False):
        for batch in batches(images, size):
            ids = model.generate(pixel_values=captioner.preprocess(batch), do_sample=False)
            texts += captioner.tokenizer.batch_decode(ids, skip_special_tokens=True)
    models.sentence_encoder.embed(texts)
    models.language_model.log_probs(texts)
    return time.perf_counter() - started


def audit_seconds(config: AuditConfig, models: Models) -> tuple[float, int]:
    """Seconds and samples of pass 1, reading and decoding included."""
    started, count = time.perf_counter(), 0
    source = find_source(config.shards)
    for unit in source.units:
        with source.open(unit) as opened:
            signals = signals_for(models.captioner is not None)
            count += score_unit(opened, models, signals, config.reading, config.batch_size).samples
    return time.perf_counter() - started, count


def speed(args: argparse.Namespace) -> dict[str, object]:
    config = AuditConfig(
        shards=(args.photos,), captioner=args.captioner, batch_size=args.batch_size, caption_fields=ONE_CAPTION
    )
    models = open_models(config)
    samples = [s for path in expand_shards(config.shards) for s in read_shard(path) if isinstance(s, Sample)]
    images = [decode_image(sample.images[0].data) for sample in samples]
    captions = [sample.captions[0].text for sample in samples]
    bare(models, images[: args.batch_size], captions[: args.batch_size], args.batch_size)  # warm-up
    figures: dict[str, list[float]] = {"audit": [], "bare": [], "plain": []}
    paths = [str(models_folder() / name) if name in EMBEDDED else name for name in (args.captioner, config.reference)]
    for _ in range(args.repeats):
        seconds, count = audit_seconds(config, models)
        figures["audit"].append(count / seconds)
        figures["bare"].append(count / bare(models, images, captions, args.batch_size))
        if args.plain:
            figures["plain"].append(count / plain(models, paths, images, captions, args.batch_size))
    best = {name: max(values) for name, values in figures.items() if values}
    return {
        "images": len(images),
        "audit_images_per_s": round(best["audit"], 2),
        "bare_images_per_s": round(best["bare"], 2),
        "ratio": round(best["audit"] / best["bare"], 3),
        "plain_images_per_s": round(best["plain"], 2) if "plain" in best else None,
        "ratio_to_plain": round(best["audit"] / best["plain"], 3) if "plain" in best else None,
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
    parser.add_argument("--plain", action="store_true", help="also time Hugging Face's generate as it comes")
    parser.add_argument("--memory", metavar="MORE_PHOTOS", help="compare peak memory with that of a larger data set")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
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
