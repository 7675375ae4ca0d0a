"""`srdscan finetune`: a captioner that has learned whatever a data set teaches, its backdoor included."""

import os
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import VisionEncoderDecoderModel

from srdscan.config import ConfigError, FinetuneConfig
from srdscan.finetune.embedded import EmbeddedLearner
from srdscan.finetune.grid import Schedule
from srdscan.finetune.learner import Learner
from srdscan.finetune.lora import LoraLearner
from srdscan.measure.decode import ahead, decoded_batches
from srdscan.models.captioners.grid_encoder import GridEncoder
from srdscan.models.captioners.huggingface import HuggingFaceCaptioner
from srdscan.models.captioners.load import load_captioner, model_type, resolve_model
from srdscan.models.device import pick_device
from srdscan.models.fetch import LOADING_ERRORS, ModelError, explain
from srdscan.models.heap import reuse_large_allocations
from srdscan.models.whole import load_whole
from srdscan.progress import Progress, Quiet
from srdscan.sources.base import Irregular, Source
from srdscan.sources.find import find_source
from srdscan.text.plain import plain_caption

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

    Every caption that a sample holds is learned, in the form of `plain_caption`. Encoders stay as they are: of the
    embedded family the decoder learns, of others a low-rank update of it. Image features are computed once, into a
    file beside the model that is removed at the end.

    Raises:
        ConfigError: `out` holds something already, or the shards hold no usable sample.
        ShardError: a shard is damaged.
        ModelError: the base cannot be loaded or fine-tuned.
    """
    progress = progress or Quiet()
    if config.out.exists() and any(config.out.iterdir()):
        raise ConfigError(f"--out {config.out}: is not empty; name another folder")
    source = find_source(config.shards, config.format, config.images)
    progress.stage("loading models", None)
    torch.manual_seed(config.seed)
    reuse_large_allocations()
    learner = load_learner(config)
    partial = config.out.with_name(config.out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        features, captions, irregular = _features(config, source, learner, partial / FEATURES, progress)
        losses: list[float] = []
        progress.stage("learning", config.epochs * len(captions))

        def epoch_done(number: int, loss: float) -> None:
            losses.append(loss)
            progress.note(f"epoch {number} of {config.epochs}: loss {loss:.3f}")

        schedule = Schedule(
            config.epochs,
            learning_rate=config.learning_rate or learner.learning_rate,
            captions=config.captions,
            seed=config.seed,
        )
        learner.learn(features, captions, schedule, epoch_done, progress.advance)
        del features
        (partial / FEATURES).unlink()
        learner.save(partial)
        if config.out.exists():
            config.out.rmdir()
        os.replace(partial, config.out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Finetuned(config.out, len(captions), irregular, losses[-1])


def load_learner(config: FinetuneConfig) -> Learner:
    """The base model, with the way in which its kind learns.

    Raises:
        ModelError: the base cannot be loaded, or cannot be fine-tuned.
    """
    path = resolve_model(config.base)
    if Path(path).is_dir() and model_type(path) == "vision-encoder-decoder":
        try:
            model = load_whole(VisionEncoderDecoderModel, path)
            if isinstance(model.encoder, GridEncoder):
                return EmbeddedLearner(model, path)
        except LOADING_ERRORS as error:
            raise ModelError(explain(config.base, error, path, images=True)) from error
    captioner = load_captioner(config.base, pick_device(config.device), prompt=config.prompt)
    if not isinstance(captioner, HuggingFaceCaptioner):
        raise ModelError(f"{config.base}: only Hugging Face captioners can be fine-tuned")
    if find_spec("peft") is None:
        raise ModelError(f"{config.base}: fine-tuning it needs LoRA; pip install 'srdscan[finetune]'")
    return LoraLearner(captioner, path)


def _features(
    config: FinetuneConfig, source: Source, learner: Learner, file: Path, progress: Progress
) -> tuple[torch.Tensor, list[list[str]], int]:
    """Frozen features of all samples, mapped from a file, their captions, and how many samples were left out."""
    captions: list[list[str]] = []
    irregular: list[Irregular] = []
    progress.stage("features", config.limit)
    shape: torch.Size | None = None
    kind = torch.float16
    samples = 0
    with open(file, "wb") as out:
        for unit in source.units:
            left = None if config.limit is None else config.limit - samples
            if left is not None and left <= 0:
                break
            with source.open(unit) as opened:
                items = opened.read(config.reading)
                for batch in ahead(decoded_batches(items, BATCH, left, irregular, config.max_pixels)):
                    encoded = learner.encode([picture.image for picture in batch])
                    shape, kind = encoded.shape[1:], encoded.dtype
                    encoded.contiguous().view(torch.int16).numpy().tofile(out)
                    captions += [[caption.text for caption in picture.sample.captions] for picture in batch]
                    samples += sum(picture.place == 0 for picture in batch)
                    progress.advance(len(batch))
    if shape is None:
        raise ConfigError("no sample of these data has an image and a caption")
    size = len(captions) * shape.numel()
    features = torch.from_file(str(file), shared=False, size=size, dtype=kind).view(len(captions), *shape)
    left_out = sum(item.samples for item in irregular if not item.partial)
    return features, [[plain_caption(c) for c in row] for row in captions], left_out
