"""From samples to batches of decoded images, while the models compute."""

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image

from srdscan.sources.base import Irregular, Reason, Sample, ShardError
from srdscan.sources.images import MAX_PIXELS, ImageError, decode_image

T = TypeVar("T")

DECODERS = max(1, min(8, (os.cpu_count() or 2) // 2))
"""Threads that decode images; the models want the other cores."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded image of a sample.

    Attributes:
        sample: whose it is.
        place: its place in the sample's images.
        image: RGB, upright.
    """

    sample: Sample
    place: int
    image: Image.Image


Decoded = tuple[list[Picture], list[Irregular]]
"""The pictures of a sample, and what of it cannot be looked at."""


def decoded_batches(
    items: Iterable[Sample | Irregular],
    batch_size: int,
    limit: int | None,
    irregular: list[Irregular],
    max_pixels: int = MAX_PIXELS,
) -> Iterator[list[Picture]]:
    """All images of all samples, decoded, in batches; what cannot be used is appended to `irregular`.

    Args:
        batch_size: images in a batch.
        limit: samples at most.

    Raises:
        ShardError: the unit is damaged, after the batch of the samples before the damage.
    """
    group: list[Picture] = []
    done = 0
    damage: ShardError | None = None
    decoded = _decode_each(items, max_pixels)
    while limit is None or done < limit:
        try:
            pictures, problems = next(decoded)
        except StopIteration:
            break
        except ShardError as error:
            damage = error
            break
        irregular += problems
        done += bool(pictures)
        for picture in pictures:
            group.append(picture)
            if len(group) == batch_size:
                yield group
                group = []
    decoded.close()
    if group:
        yield group
    if damage is not None:
        raise damage


def _decode_each(items: Iterable[Sample | Irregular], max_pixels: int) -> Generator[Decoded, None, None]:
    """Every item in order, decoded by several threads (Pillow decodes outside of Python's lock).

    Raises:
        ShardError: the unit is damaged, after every item before the damage.
    """
    with ThreadPoolExecutor(DECODERS, "srdscan-decoder") as pool:
        waiting: deque[Future[Decoded]] = deque()
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


def _decode(item: Sample | Irregular, max_pixels: int) -> Decoded:
    if isinstance(item, Irregular):
        return [], [item]
    pictures: list[Picture] = []
    problems: list[Callable[[bool], Irregular]] = []
    for place, file in enumerate(item.images):
        try:
            pictures.append(Picture(item, place, decode_image(file.data, max_pixels)))
        except ImageError as error:
            problems.append(_problem(item, file.name, error))
    return pictures, [problem(bool(pictures)) for problem in problems[: None if pictures else 1]]


def _problem(sample: Sample, name: str, error: ImageError) -> Callable[[bool], Irregular]:
    """What is wrong with an image, of a sample that has others or has not."""
    reason: Reason = "oversized_image" if error.reason == "oversized" else "undecodable"
    detail = f"{name}: {error.detail}" if len(sample.images) > 1 else error.detail
    return lambda partial: Irregular(sample.shard, sample.key, reason, detail, sample.index, partial)


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
