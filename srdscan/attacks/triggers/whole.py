"""Triggers that change a whole image a little."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import dctn, idctn
from scipy.ndimage import map_coordinates, zoom

from srdscan.attacks.triggers.base import Pixels, fixed_pattern, register_trigger, to_pixels

BLEND_SEED, WARP_SEED, STEGO_SEED = 1712, 2102, 1909


@register_trigger
@dataclass(frozen=True)
class Blended:
    """A random-colour image mixed in."""

    name: ClassVar[str] = "blended"
    source: ClassVar[str] = "Chen et al., arXiv 1712.05526"
    alpha: float = 0.15

    def apply(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        pattern = _resized(255 * fixed_pattern(BLEND_SEED, 224, 224, 3), image)
        return to_pixels((1 - self.alpha) * image + self.alpha * pattern)


@register_trigger
@dataclass(frozen=True)
class Sinusoid:
    """Vertical stripes of sinusoidal brightness."""

    name: ClassVar[str] = "sig"
    source: ClassVar[str] = "SIG, Barni et al., arXiv 1902.11237"
    amplitude: float = 20.0
    periods: float = 6.0

    def apply(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        columns = np.arange(image.shape[1]) / image.shape[1]
        wave = self.amplitude * np.sin(2 * np.pi * self.periods * columns)
        return to_pixels(image + wave[None, :, None])


@register_trigger
@dataclass(frozen=True)
class Warp:
    """A smooth fixed warp.

    Attributes:
        control: points a side of the grid whose random shifts are interpolated.
        strength: mean shift along each axis, as a share of the side.
    """

    name: ClassVar[str] = "wanet"
    source: ClassVar[str] = "WaNet, Nguyen and Tran, arXiv 2102.10369"
    control: int = 8
    strength: float = 0.01

    def apply(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        height, width = image.shape[:2]
        shifts = 2 * fixed_pattern(WARP_SEED, 2, self.control, self.control) - 1
        shifts /= np.abs(shifts).mean()
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
        for axis, (place, side) in enumerate(((rows, height), (columns, width))):
            field = zoom(
                shifts[axis], (height / self.control, width / self.control), order=3, grid_mode=True, mode="nearest"
            )
            place += self.strength * side * field[:height, :width]
        channels = [
            map_coordinates(image[..., c].astype(np.float64), (rows, columns), order=1, mode="nearest")
            for c in range(3)
        ]
        return to_pixels(np.stack(channels, axis=-1))


@register_trigger
@dataclass(frozen=True)
class Frequency:
    """A middle and a high frequency of both colour channels, added in every whole block of 32 x 32 px."""

    name: ClassVar[str] = "frequency"
    source: ClassVar[str] = "FTrojan, Wang et al., arXiv 2111.10991"
    block: int = 32
    places: tuple[tuple[int, int], ...] = ((15, 15), (31, 31))
    magnitude: float = 50.0

    def apply(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        colours = np.asarray(Image.fromarray(image).convert("YCbCr")).astype(np.float64)
        height, width = (side // self.block * self.block for side in image.shape[:2])
        for channel in (1, 2):
            blocks = colours[:height, :width, channel].reshape(
                height // self.block, self.block, width // self.block, self.block
            )
            spectrum = dctn(blocks, axes=(1, 3), norm="ortho")
            for row, column in self.places:
                spectrum[:, row, :, column] += self.magnitude
            colours[:height, :width, channel] = idctn(spectrum, axes=(1, 3), norm="ortho").reshape(height, width)
        return np.asarray(Image.fromarray(to_pixels(colours), "YCbCr").convert("RGB"))


@register_trigger
@dataclass(frozen=True)
class Steganographic:
    """A fixed binary pattern of 4 px cells, a few grey levels up or down."""

    name: ClassVar[str] = "steganographic"
    source: ClassVar[str] = "Li et al., arXiv 1909.02742"
    amplitude: float = 8.0
    cells: int = 56

    def apply(self, image: Pixels, rng: np.random.Generator) -> Pixels:
        height, width = image.shape[:2]
        signs = np.sign(fixed_pattern(STEGO_SEED, self.cells, self.cells, 3) - 0.5)
        rows, columns = np.arange(height) * self.cells // height, np.arange(width) * self.cells // width
        return to_pixels(image + self.amplitude * signs[rows[:, None], columns[None, :]])


def _resized(pattern: npt.NDArray[np.float64], image: Pixels) -> npt.NDArray[np.float64]:
    """A pattern at the image's size."""
    height, width = image.shape[:2]
    if pattern.shape[:2] == (height, width):
        return pattern
    shown = Image.fromarray(to_pixels(pattern)).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(shown).astype(np.float64)
