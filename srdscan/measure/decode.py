"""From samples to batches of decoded images, while the models compute."""

import os
import queue
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image

from srdscan.sources.base import Irregular, Reason, Sample, ShardError
from srdscan.sources.images import MAX_PIXELS, ImageError, decode_image

T = TypeVar("T")


DECODERS = max(1, min(8, (os.cpu_count() or 2) // 2))
"""Threads that decode images; the models want the other cores."""


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
