"""Pass 1: one unit in, one score file out."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

from srdscan.measure.batch import Batch, Measured
from srdscan.measure.decode import Picture, ahead, decoded_batches
from srdscan.measure.scores import Column, join_columns
from srdscan.models.captioners.base import Description
from srdscan.models.device import free_memory, is_out_of_memory
from srdscan.models.fetch import ModelError
from srdscan.models.heap import trim_heap
from srdscan.models.loaded import Models
from srdscan.sources.base import Irregular, OpenUnit, ReadOptions, ShardError
from srdscan.sources.images import MAX_PIXELS


@dataclass
class Room:
    """How many images fit into the device's memory at once, as far as is known; shrinks when they do not."""

    images: int


@dataclass
class UnitScores:
    """What pass 1 found in a unit.

    Attributes:
        table: one row a pair, None if there is none.
        samples: scored samples.
        irregular: the samples that could not be scored.
        problem: why the unit counts as damaged; None if it was read to its end.
        meta: shapes of the attention maps.
    """

    table: pa.Table | None
    samples: int
    irregular: list[Irregular]
    problem: str | None = None
    meta: dict[str, object] = field(default_factory=dict)


def score_unit(
    unit: OpenUnit,
    models: Models,
    signals: Sequence[Measured],
    options: ReadOptions,
    batch_size: int,
    limit: int | None = None,
    max_pixels: int = MAX_PIXELS,
    advance: Callable[[int], None] = lambda count: None,
    room: "Room | None" = None,
) -> UnitScores:
    """Scores every pair of every regular sample of a unit, in order, in batches.

    Args:
        signals: what is measured.
        batch_size: images in a batch.
        limit: score at most this many samples.
        advance: called with the number of images done, batch by batch.
        room: what is known of the device's memory; shared by the units of a run.

    Returns:
        The scores; of a damaged unit, those of the samples before the damage, and the problem.
    """
    room = room or Room(batch_size)
    irregular: list[Irregular] = []
    batches: list[Mapping[str, Column]] = []
    meta: dict[str, object] = {}
    samples = 0
    last = -1
    problem = None
    try:
        for group in ahead(decoded_batches(unit.read(options), batch_size, limit, irregular, max_pixels)):
            for columns, shape in score_within_memory(models, signals, group, room):
                batches.append(columns)
                meta |= shape
            for picture in group:
                samples += picture.sample.index != last
                last = picture.sample.index
            trim_heap()
            advance(len(group))
    except ShardError as error:
        problem = str(error)
    trim_heap()
    return UnitScores(join_columns(batches) if batches else None, samples, irregular, problem, meta)


def score_within_memory(
    models: Models, signals: Sequence[Measured], group: Sequence[Picture], room: Room
) -> Iterator[tuple[dict[str, Column], dict[str, object]]]:
    """Scores a batch, in parts if it does not fit into memory as a whole; every pair comes out once, in order.

    Raises:
        ModelError: not even one image fits.
    """
    done = 0
    while done < len(group):
        part = group[done : done + room.images]
        try:
            scored = score_batch(models, signals, part)
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
    models: Models, signals: Sequence[Measured], pictures: Sequence[Picture]
) -> tuple[dict[str, Column], dict[str, object]]:
    """All columns of one batch, a row a pair: whose it is, and what is measured on it."""
    pairs = [(n, place) for n, picture in enumerate(pictures) for place in range(len(picture.sample.captions))]
    captions = [pictures[n].sample.captions[place] for n, place in pairs]
    hashes = [_sha256(picture) for picture in pictures]
    whose: dict[str, Column] = {
        "index": np.array([pictures[n].sample.index for n, _ in pairs], dtype=np.int64),
        "key": [pictures[n].sample.key for n, _ in pairs],
        "uid": [pictures[n].sample.uid for n, _ in pairs],
        "image_index": np.array([pictures[n].place for n, _ in pairs], dtype=np.int32),
        "image": [pictures[n].sample.images[pictures[n].place].name for n, _ in pairs],
        "image_sha256": [hashes[n] for n, _ in pairs],
        "caption_index": np.array([place for _, place in pairs], dtype=np.int32),
        "place": ["; ".join(caption.places) for caption in captions],
        "question": [caption.question for caption in captions],
    }
    image_of = np.array([n for n, _ in pairs], dtype=np.int64)
    texts = [caption.text for caption in captions]
    measured, meta = measure_pairs(models, signals, [picture.image for picture in pictures], texts, image_of)
    return whose | measured, meta


def measure_pairs(
    models: Models,
    signals: Sequence[Measured],
    images: Sequence[Image.Image],
    captions: list[str],
    image_of: npt.NDArray[np.int64],
) -> tuple[dict[str, Column], dict[str, object]]:
    """What is measured on P pairs of B images and captions, and the shapes of attention maps.

    Each image goes once through each distinct encoder, so does each text. In a quick look no captioner says anything.

    Args:
        image_of: (P,) the image of each caption, ascending.
    """
    batch = batch_of(models, images, captions, image_of)
    reference, output = batch.reference, batch.output
    of_pairs: dict[str, Column] = {"caption": captions}
    of_images: dict[str, Column] = {"reference": [""] * len(images)}
    if reference is not None:
        of_images["reference"] = reference.captions
        of_images["reference_embedding"] = batch.embeddings["reference"].astype(np.float16)
    meta: dict[str, object] = {"sentence-encoder": models.sentence_encoder.fingerprint}
    if output is not None:
        of_images["output"] = output.captions
        of_images["output_embedding"] = batch.embeddings["output"].astype(np.float16)
        if output.attention is not None:
            meta["attention_shape"] = list(output.attention.first.shape[1:])
    for signal in signals:
        (of_images if signal.needs_captioner else of_pairs).update(signal.measure(batch))
    return of_pairs | {name: _spread(column, image_of) for name, column in of_images.items()}, meta


def batch_of(
    models: Models, images: Sequence[Image.Image], captions: list[str], image_of: npt.NDArray[np.int64]
) -> Batch:
    """What signals are given of P pairs of B images and captions; in a quick look no captioner says anything.

    Args:
        image_of: (P,) the image of each caption, ascending.
    """
    encoding = models.reference.encode(images)
    reference = None if models.quick else models.reference.describe(encoding)
    output = None
    if models.captioner is not None:
        shared = models.captioner.encoder_fingerprint == models.reference.encoder_fingerprint
        own = encoding if shared else models.captioner.encode(images)
        output = models.captioner.describe(own, attention=True)
    return _batch(models, images, captions, image_of, encoding, reference, output)


def measure_captions(
    models: Models,
    signals: Sequence[Measured],
    images: Sequence[Image.Image],
    captions: list[str],
    image_of: npt.NDArray[np.int64],
    said: list[str],
) -> dict[str, Column]:
    """What is measured on P captions of B images of which the reference captioner has spoken already.

    Args:
        signals: those that need no captioner.
        image_of: (P,) the image of each caption, ascending.
        said: what the reference captioner says of each image.
    """
    reference = None if models.quick else Description(said, [])
    batch = _batch(models, images, captions, image_of, models.reference.encode(images), reference, None)
    columns: dict[str, Column] = {"caption": captions}
    for signal in signals:
        columns.update(signal.measure(batch))
    return columns


def _batch(
    models: Models,
    images: Sequence[Image.Image],
    captions: list[str],
    image_of: npt.NDArray[np.int64],
    encoding: Any,
    reference: Description | None,
    output: Description | None,
) -> Batch:
    """What signals are given to measure."""
    return Batch(
        captions=captions,
        image_of=image_of,
        reference=reference,
        output=output,
        reference_encoding=encoding,
        reference_captioner=models.reference,
        sentence_encoder=models.sentence_encoder,
        language_model=models.language_model,
        matcher=models.matcher,
        looks=models.looks,
        pictures=images,
    )


def _sha256(picture: Picture) -> str:
    """Of the image's bytes: what it is, wherever it stands."""
    return hashlib.sha256(picture.sample.images[picture.place].data).hexdigest()


def _spread(column: Column, image_of: npt.NDArray[np.int64]) -> Column:
    """A column of B rows with a row for each pair."""
    return column[image_of] if isinstance(column, np.ndarray) else [column[n] for n in image_of]
