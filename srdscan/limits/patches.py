"""Known patches on images whose captions stay honest: would they have been reported as a recurring piece of picture?

A patch is told by what the images that hold it share with each other, so the planted ones alone are compared, in the
measures of the whole data set.
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from srdscan.attacks.triggers.patches import checks, paste
from srdscan.findings.copies import spots_among
from srdscan.findings.spots import Searched
from srdscan.limits.limit import FOUND, DetectionLimit, Trial
from srdscan.measure.keypoints import Keypoints, find_keypoints
from srdscan.measure.revisit import ImageSource

SIZES = (6, 12, 25, 50)
"""Images that hold it. Fewer than 5 are never a finding: a publisher's logo is in as many of an honest data set."""
REPETITIONS = 2
SIDE, FIELDS = 32, 4
"""Pixels of a patch, and fields of its checkerboard."""
QUALITY = 90
"""Of JPEG, in which a poisoned image is saved again."""
ATTACK, WHAT = "patch", "a patch of 32 pixels beside honest captions"

Pixels = npt.NDArray[np.uint8]


def find_patches(searched: Searched, images: ImageSource, samples: int, seed: int) -> tuple[DetectionLimit, ...]:
    """From how many samples on a patch is reported; nothing where images were not looked through.

    Where only some of the images are looked through, so many times more must hold it.

    Args:
        images: the way back to them, by number.
        samples: of the data set.
    """
    if searched.usual is None:
        return ()
    looked = len(searched.images)
    per_image = max(1.0, len(images.scores) / looked)
    trials: list[Trial] = []
    for size in (size for size in SIZES if 10 * size <= max(looked, 10 * SIZES[0])):
        held = sum(_held(searched, images, size, [seed, size, turn]) for turn in range(REPETITIONS))
        needed = int(np.ceil(size * per_image))
        trials.append(Trial(needed, REPETITIONS, round(held * needed / size)))
        if held >= FOUND * size * REPETITIONS:
            break
    return (DetectionLimit.of(ATTACK, WHAT, False, trials),)


def _held(searched: Searched, images: ImageSource, size: int, seed: list[int]) -> int:
    """Images of some with a patch that its spot holds."""
    random = np.random.default_rng(seed)
    places = np.sort(random.permutation(len(searched.images))[:size])
    colours = random.integers(0, 256, (2, 3))
    patch = colours[checks((SIDE, SIDE), FIELDS)].astype(np.uint8)
    pieces: list[Keypoints] = []
    for _, pictures in images.images(searched.images[places]):
        pieces += [find_keypoints(_patched(picture, patch, random)) for picture in pictures]
    assert searched.usual is not None
    found = spots_among(pieces, searched.vectors[places], searched.usual)
    return max((len(spot.images) for spot in found), default=0)


def _patched(picture: Image.Image, patch: Pixels, random: np.random.Generator) -> Pixels:
    """A picture with the patch at a random place, saved and opened again; a small one holds a part of the patch."""
    pixels = np.asarray(picture.convert("RGB"))
    height, width = pixels.shape[:2]
    changed = paste(pixels, patch[:height, :width], (float(random.random()), float(random.random())))
    buffer = BytesIO()
    Image.fromarray(changed).save(buffer, "JPEG", quality=QUALITY)
    return np.asarray(Image.open(buffer).convert("RGB"))
