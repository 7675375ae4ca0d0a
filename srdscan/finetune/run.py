"""`srdscan finetune`: a captioner that has learned whatever a data set teaches, its backdoor included."""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from transformers import AutoTokenizer, VisionEncoderDecoderModel

from srdscan.captioners.grid_encoder import BACKBONE_CHANNELS, GRID, GridEncoder
from srdscan.captioners.load import ModelError, model_type, resolve_model
from srdscan.config import ConfigError, FinetuneConfig
from srdscan.device import reuse_large_allocations
from srdscan.finetune.grid import SIZE, FeatureTable, Schedule, extract_features, save_captioner, train_decoder
from srdscan.progress import Progress, Quiet
from srdscan.scoring import ahead, decoded_batches
from srdscan.shards import Irregular, ReadOptions, Sample, expand_shards, open_shard, read_shard
from srdscan.shards.edit import caption_members, captions_in
from srdscan.text import plain_caption

FEATURES = "features.partial"
BATCH = 64


@dataclass(frozen=True)
class Finetuned:
    """What fine-tuning leaves.

    Attributes:
        path: the model folder.
        samples: pictures that were learned from.
        irregular: samples that could not be used.
        loss: mean loss of the last epoch, in nats per token.
    """

    path: Path
    samples: int
    irregular: int
    loss: float


def finetune(config: FinetuneConfig, progress: Progress | None = None) -> Finetuned:
    """Fine-tunes a captioner on shards and writes a model folder that `--captioner` takes.

    Every caption that a sample holds is learned, in the form of `plain_caption`. Of the embedded family only the
    decoder learns; image features are computed once, into a file beside the model that is removed at the end.

    Raises:
        ConfigError: `out` holds something already, or the shards hold no usable sample.
        ShardError: a shard is damaged.
        ModelError: the base cannot be loaded, or is not of a family that can be fine-tuned.
    """
    progress = progress or Quiet()
    if config.out.exists() and any(config.out.iterdir()):
        raise ConfigError(f"--out {config.out}: is not empty; name another folder")
    paths = expand_shards(config.shards)
    base = resolve_model(config.base)
    progress.stage("loading models", None)
    torch.manual_seed(config.seed)
    reuse_large_allocations()
    model = _load(base, config.base)
    tokenizer = AutoTokenizer.from_pretrained(base)
    partial = config.out.with_name(config.out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        table, irregular = _features(config, paths, cast(GridEncoder, model.encoder), partial / FEATURES, progress)
        losses: list[float] = []
        progress.stage("learning", config.epochs * len(table.captions))

        def epoch_done(number: int, loss: float) -> None:
            losses.append(loss)
            progress.note(f"epoch {number} of {config.epochs}: loss {loss:.3f}")

        schedule = Schedule(config.epochs, learning_rate=config.learning_rate, seed=config.seed)
        train_decoder(model, tokenizer, [table], schedule, epoch_done, lambda line: None, progress.advance)
        count = len(table.captions)
        del table
        (partial / FEATURES).unlink()
        save_captioner(model, tokenizer, partial)
        if config.out.exists():
            config.out.rmdir()
        os.replace(partial, config.out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Finetuned(config.out, count, irregular, losses[-1])


def _load(path: str, spec: str) -> Any:
    """The base model, in float32."""
    family = model_type(path)
    if family == "vision-encoder-decoder":
        model = VisionEncoderDecoderModel.from_pretrained(path, dtype=torch.float32, use_safetensors=True)
        if isinstance(model.encoder, GridEncoder):
            return model
    raise ModelError(f"{spec}: a {family} model; only captioners of the embedded family can be fine-tuned")


def _features(
    config: FinetuneConfig, paths: Sequence[str], encoder: GridEncoder, file: Path, progress: Progress
) -> tuple[FeatureTable, int]:
    """Frozen features of all samples, in a file that is mapped into memory, and how many samples were left out."""
    captions: list[list[str]] = []
    irregular: list[Irregular] = []
    progress.stage("features", config.limit)

    def images(batch: Sequence[tuple[Sample, Image.Image]]) -> Iterator[Image.Image]:
        for _, image in batch:
            yield image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)

    with open(file, "wb") as out:
        for path in paths:
            left = None if config.limit is None else config.limit - len(captions)
            if left == 0:
                break
            with open_shard(path) as shard:
                options = ReadOptions(caption_fields=config.caption_fields)
                said = all_captions(shard, options)
                items = read_shard(shard, options)
                for batch in ahead(decoded_batches(items, BATCH, left, irregular, config.max_pixels)):
                    extract_features(encoder.backbone, images(batch)).numpy().tofile(out)
                    captions += [said.get(sample.index, [sample.caption]) for sample, _ in batch]
                    progress.advance(len(batch))
    if not captions:
        raise ConfigError("no sample in these shards has an image and a caption")
    shape = (len(captions), 1, BACKBONE_CHANNELS, GRID, GRID)
    features = torch.from_file(str(file), shared=False, size=int(np.prod(shape)), dtype=torch.float16).view(shape)
    return FeatureTable(features, [[plain_caption(c) for c in row] for row in captions]), len(irregular)


def all_captions(shard: Any, options: ReadOptions) -> dict[int, list[str]]:
    """Every different caption of each sample, by the sample's index: of its .txt and of a list in its .json."""
    wanted = {item.index for item in read_shard(shard, options) if isinstance(item, Sample)}
    found: dict[int, list[str]] = {}
    for index, members in caption_members(shard, wanted, options).items():
        every = [c for extension, data in members.items() for c in captions_in(data, extension, options.caption_fields)]
        found[index] = list(dict.fromkeys(every))
    return {index: captions for index, captions in found.items() if captions}
