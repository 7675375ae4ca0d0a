"""Photographs with human captions, as the lab's experiments take them."""

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from srdscan.sources.base import Sample
from srdscan.sources.images import decode_image
from srdscan.sources.tar import expand_shards, extract_samples, read_shard, shard_name

ONE_CAPTION: tuple[str, ...] = ()
"""Fields of JSON that hold captions, for audits that look at the `.txt` of each photograph alone, as peers do."""


@dataclass
class Photos:
    """A set of photographs.

    Attributes:
        folder: where their shards lie.
        keys: (shard, key) of each.
        images: (H, W, 3) uint8 each.
        truth: the human captions of each.
    """

    folder: str
    keys: list[tuple[str, str]]
    images: list[npt.NDArray[np.uint8]]
    truth: list[list[str]]


def read_photos(folder: str, truth: Mapping[str, list[str]]) -> Photos:
    """All photographs of a folder of shards.

    Args:
        truth: human captions by key, from `human_captions`; those in the shards may be poisoned.
    """
    samples = [s for path in expand_shards([folder]) for s in read_shard(path) if isinstance(s, Sample)]
    images = [np.asarray(decode_image(s.images[0].data)) for s in samples]
    return Photos(folder, [(s.shard, s.key) for s in samples], images, [truth[s.key] for s in samples])


def first_photos(folder: str, count: int, out: Path) -> str:
    """Copies of shards that hold the first photographs only; the folder of the copies."""
    for path in expand_shards([folder]):
        here = [item.index for item in read_shard(path) if isinstance(item, Sample)][:count]
        if here:
            extract_samples(path, out / shard_name(path), set(here))
            count -= len(here)
    return str(out)


def human_captions(folder: str) -> dict[str, list[str]]:
    """The `captions` lists in the .json members of a folder of shards, by key."""
    found: dict[str, list[str]] = {}
    for path in expand_shards([folder]):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith(".json"):
                    content = tar.extractfile(member)
                    assert content is not None
                    found[member.name.removesuffix(".json")] = json.load(io.TextIOWrapper(content))["captions"]
    return found
