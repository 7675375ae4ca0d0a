"""Pass 1: one shard in, one score file out."""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import pyarrow as pa
from PIL import Image

from srdscan.captioners.load import ModelError
from srdscan.config import AuditConfig
from srdscan.device import free_memory, is_out_of_memory, trim_heap
from srdscan.images import MAX_PIXELS, ImageError, decode_image
from srdscan.models import Models
from srdscan.scores import Column, join_columns
from srdscan.shards import Irregular, ReadOptions, Reason, Sample, ShardError, ShardFile, read_shard
from srdscan.signals import Batch, signals_for

T = TypeVar("T")

DECODERS = max(1, min(8, (os.cpu_count() or 2) // 2))
"""Threads that decode images; the models want the other cores."""


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


def read_options(config: AuditConfig) -> ReadOptions:
    """How shards are read."""
    return ReadOptions(caption_fields=config.caption_fields)


def score_shard(
    shard: ShardFile,
    models: Models,
    options: ReadOptions,
    batch_size: int,
    limit: int | None = None,
    max_pixels: int = MAX_PIXELS,
    advance: Callable[[int], None] = lambda count: None,
    room: "Room | None" = None,
) -> ShardScores:
    """Scores every regular sample of a shard, in order, in batches.

    Args:
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
            for columns, shape in score_within_memory(models, group, room):
                batches.append(columns)
                meta |= shape
            trim_heap()
            advance(len(group))
    except ShardError as error:
        problem = str(error)
    trim_heap()
    return ShardScores(join_columns(batches) if batches else None, irregular, problem, meta)


def score_within_memory(
    models: Models, group: Sequence[tuple[Sample, Image.Image]], room: Room
) -> Iterator[tuple[dict[str, Column], dict[str, object]]]:
    """Scores a batch, in parts if it does not fit into memory as a whole; every sample comes out once, in order.

    Raises:
        ModelError: not even one image fits.
    """
    done = 0
    while done < len(group):
        part = group[done : done + room.images]
        try:
            scored = score_batch(models, *zip(*part, strict=True))
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
    models: Models, samples: tuple[Sample, ...], images: tuple[Image.Image, ...]
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
    for signal in signals_for(output is not None):
        columns |= signal.measure(batch)
    return columns, meta


def decoded_batches(
    items: Iterable[Sample | Irregular],
    batch_size: int,
    limit: int | None,
    irregular: list[Irregular],
    max_pixels: int = MAX_PIXELS,
) -> Iterator[list[tuple[Sample, Image.Image]]]:
    """Samples with their decoded images, in batches; what cannot be used is appended to `irregular`.

    Raises:
        ShardError: the shard is damaged, after the batch of the samples before the damage.
    """
    group: list[tuple[Sample, Image.Image]] = []
    done = 0
    damage: ShardError | None = None
    decoded = _decode_each(items, max_pixels)
    while limit is None or done < limit:
        try:
            item, image = next(decoded)
        except StopIteration:
            break
        except ShardError as error:
            damage = error
            break
        if isinstance(item, Irregular) or image is None:
            assert isinstance(item, Irregular)
            irregular.append(item)
            continue
        group.append((item, image))
        done += 1
        if len(group) == batch_size:
            yield group
            group = []
    decoded.close()
    if group:
        yield group
    if damage is not None:
        raise damage


def _decode_each(
    items: Iterable[Sample | Irregular], max_pixels: int
) -> Generator[tuple[Sample, Image.Image] | tuple[Irregular, None], None, None]:
    """Every item in order, decoded by several threads (Pillow decodes outside of Python's lock).

    Raises:
        ShardError: the shard is damaged, after every item before the damage.
    """
    with ThreadPoolExecutor(DECODERS, "srdscan-decoder") as pool:
        waiting: deque[Future[tuple[Sample, Image.Image] | tuple[Irregular, None]]] = deque()
        damage: ShardError | None = None
        iterator = iter(items)
        while damage is None:
            try:
                waiting.append(pool.submit(_decode, next(iterator), max_pixels))
            except StopIteration:
                break
            except ShardError as error:
                damage = error
            if len(waiting) > 2 * DECODERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
        if damage is not None:
            raise damage


def _decode(item: Sample | Irregular, max_pixels: int) -> tuple[Sample, Image.Image] | tuple[Irregular, None]:
    if isinstance(item, Irregular):
        return item, None
    try:
        return item, decode_image(item.image, max_pixels)
    except ImageError as error:
        reason: Reason = "oversized_image" if error.reason == "oversized" else "undecodable"
        return Irregular(item.shard, item.key, reason, error.detail, item.index), None


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """Runs an iterator in a thread, `depth` items ahead, so that reading and decoding overlap with the models.

    An exception of the iterator is raised here, after the items before it.
    """
    done = object()
    buffer: queue.Queue[object] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(item: object) -> bool:
        while not stopped.is_set():
            try:
                buffer.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def produce() -> None:
        try:
            for item in items:
                if not put(item):
                    return
            put(done)
        except BaseException as error:  # handed to the consumer, which raises it
            put(_Failure(error))

    thread = threading.Thread(target=produce, daemon=True, name="srdscan-reader")
    thread.start()
    try:
        while (item := buffer.get()) is not done:
            if isinstance(item, _Failure):
                raise item.error
            yield item  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()


@dataclass(frozen=True)
class _Failure:
    error: BaseException
