"""Pass 1: one shard in, one score file out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from PIL import Image

from srdscan.measure.batch import Batch, Measured
from srdscan.measure.decode import ahead, decoded_batches
from srdscan.measure.scores import Column, join_columns
from srdscan.models.device import free_memory, is_out_of_memory, trim_heap
from srdscan.models.fetch import ModelError
from srdscan.models.loaded import Models
from srdscan.sources.base import Irregular, Sample, ShardError
from srdscan.sources.images import MAX_PIXELS
from srdscan.sources.tar import ReadOptions, ShardFile, read_shard


@dataclass
class Room:
    """How many images fit into the device's memory at once, as far as is known; shrinks when they do not."""

    images: int


@dataclass
class ShardScores:
    """What pass 1 found in a shard.

    Attributes:
        table: one row a scored sample, None if there is none.
        irregular: the samples that could not be scored.
        problem: why the shard counts as damaged; None if it was read to its end.
        meta: shapes of the attention maps.
    """

    table: pa.Table | None
    irregular: list[Irregular]
    problem: str | None = None
    meta: dict[str, object] = field(default_factory=dict)


def score_shard(
    shard: ShardFile,
    models: Models,
    signals: Sequence[Measured],
    options: ReadOptions,
    batch_size: int,
    limit: int | None = None,
    max_pixels: int = MAX_PIXELS,
    advance: Callable[[int], None] = lambda count: None,
    room: "Room | None" = None,
) -> ShardScores:
    """Scores every regular sample of a shard, in order, in batches.

    Args:
        signals: what is measured.
        limit: score at most this many samples.
        advance: called with the number of samples done, batch by batch.
        room: what is known of the device's memory; shared by the shards of a run.

    Returns:
        The scores; of a damaged shard, those of the samples before the damage, and the problem.
    """
    room = room or Room(batch_size)
    irregular: list[Irregular] = []
    batches: list[Mapping[str, Column]] = []
    meta: dict[str, object] = {}
    problem = None
    try:
        for group in ahead(decoded_batches(read_shard(shard, options), batch_size, limit, irregular, max_pixels)):
            for columns, shape in score_within_memory(models, signals, group, room):
                batches.append(columns)
                meta |= shape
            trim_heap()
            advance(len(group))
    except ShardError as error:
        problem = str(error)
    trim_heap()
    return ShardScores(join_columns(batches) if batches else None, irregular, problem, meta)


def score_within_memory(
    models: Models, signals: Sequence[Measured], group: Sequence[tuple[Sample, Image.Image]], room: Room
) -> Iterator[tuple[dict[str, Column], dict[str, object]]]:
    """Scores a batch, in parts if it does not fit into memory as a whole; every sample comes out once, in order.

    Raises:
        ModelError: not even one image fits.
    """
    done = 0
    while done < len(group):
        part = group[done : done + room.images]
        try:
            scored = score_batch(models, signals, *zip(*part, strict=True))
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if len(part) == 1:
                raise ModelError(
                    "out of memory with a single image: take a smaller model, a smaller --num-beams, or --device cpu"
                ) from error
            room.images = (len(part) + 1) // 2
            free_memory()
            continue
        yield scored
        done += len(part)


def score_batch(
    models: Models, signals: Sequence[Measured], samples: tuple[Sample, ...], images: tuple[Image.Image, ...]
) -> tuple[dict[str, Column], dict[str, object]]:
    """All columns of one batch. Each image goes once through each distinct encoder."""
    encoding = models.reference.encode(images)
    reference = models.reference.describe(encoding)
    output = None
    if models.captioner is not None:
        shared = models.captioner.encoder_fingerprint == models.reference.encoder_fingerprint
        own = encoding if shared else models.captioner.encode(images)
        output = models.captioner.describe(own, attention=True)
    batch = Batch(
        captions=[sample.caption for sample in samples],
        reference=reference,
        output=output,
        reference_encoding=encoding,
        reference_captioner=models.reference,
        sentence_encoder=models.sentence_encoder,
        language_model=models.language_model,
    )
    columns: dict[str, Column] = {
        "index": np.array([sample.index for sample in samples], dtype=np.int64),
        "key": [sample.key for sample in samples],
        "caption": batch.captions,
        "reference": reference.captions,
        "reference_embedding": batch.embeddings["reference"].astype(np.float16),
    }
    meta: dict[str, object] = {}
    if output is not None:
        columns["output"] = output.captions
        if output.attention is not None:
            meta["attention_shape"] = list(output.attention.first.shape[1:])
    for signal in signals:
        columns |= signal.measure(batch)
    return columns, meta
