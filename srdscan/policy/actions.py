"""What can be done to an image: cover, redden, blur or shuffle some cells, filter the whole of it, or stop.

Every action is a pure function of a uint8 image and a seed, at the image's own resolution. To add a kind, write a
function like those here and list it in `LOCAL` or `WHOLE`; policies trained for other actions are then refused.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

Pixels = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in px, the last two exclusive."""

GRID = 14
"""Cells a side. With squares of three cells every place of a 32 px patch in 224 px can be covered whole."""

RED = (255, 0, 0)


def occlude(image: Pixels, box: Box, rng: np.random.Generator) -> Pixels:
    """The image's mean colour over a box."""
    top, left, bottom, right = box
    out = image.copy()
    out[top:bottom, left:right] = image.reshape(-1, 3).mean(axis=0).round()
    return out


def redden(image: Pixels, box: Box, rng: np.random.Generator) -> Pixels:
    """Red over a box, the only fill of the SRD paper."""
    top, left, bottom, right = box
    out = image.copy()
    out[top:bottom, left:right] = RED
    return out


def blur_box(image: Pixels, box: Box, rng: np.random.Generator) -> Pixels:
    """A box blurred until only its broad colours are left."""
    top, left, bottom, right = box
    out = image.copy()
    inside = Image.fromarray(image[top:bottom, left:right])
    out[top:bottom, left:right] = np.asarray(inside.filter(ImageFilter.GaussianBlur(max(inside.size) / 6)))
    return out


def shuffle(image: Pixels, box: Box, rng: np.random.Generator) -> Pixels:
    """The pixels of a box in random order: its colours stay, its pattern goes."""
    top, left, bottom, right = box
    out = image.copy()
    inside = image[top:bottom, left:right]
    out[top:bottom, left:right] = rng.permutation(inside.reshape(-1, 3)).reshape(inside.shape)
    return out


def jpeg(image: Pixels, quality: int) -> Pixels:
    """A JPEG round trip, colour at half resolution: faint and fast patterns go first."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=2)
    return np.asarray(Image.open(buffer).convert("RGB"))


def blur(image: Pixels, share: float) -> Pixels:
    """Gaussian blur of a radius given as a share of the shorter side."""
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(share * min(image.shape[:2]))))


def quantise(image: Pixels, colours: int) -> Pixels:
    """Fewer colours, without dithering."""
    small = Image.fromarray(image).quantize(colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    return np.asarray(small.convert("RGB"))


def shrink(image: Pixels, times: float) -> Pixels:
    """Down by a factor and back up."""
    height, width = image.shape[:2]
    small = Image.fromarray(image).resize(
        (max(1, round(width / times)), max(1, round(height / times))), Image.Resampling.BOX
    )
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def notch(image: Pixels, times: float = 6.0) -> Pixels:
    """Takes single frequencies out that stand far above their neighbours: sinusoids and frequency-domain marks.

    In the spectrum of each colour channel, a bin whose magnitude is more than `times` the mean over its ring (bins of
    about the same frequency, where a photograph's spectrum is smooth) is brought down to that mean. The lowest
    frequencies, which are the picture's own layout, stay.
    """
    height, width = image.shape[:2]
    rows, columns = np.fft.fftfreq(height) * height, np.fft.rfftfreq(width) * width
    ring = np.hypot(rows[:, None], columns[None]).round().astype(np.int64)
    counts = np.bincount(ring.ravel())
    spectrum = np.fft.rfft2(image.astype(np.float64), axes=(0, 1))
    out = np.empty_like(image)
    for channel in range(3):
        part = spectrum[..., channel]
        magnitude = np.abs(part)
        typical = (np.bincount(ring.ravel(), magnitude.ravel()) / counts.clip(1))[ring]
        peaks = (magnitude > times * typical) & (ring > 3)
        part = np.where(peaks, part * (typical / magnitude.clip(1e-9)), part)
        out[..., channel] = np.fft.irfft2(part, s=(height, width)).round().clip(0, 255)
    return out


@dataclass(frozen=True)
class LocalKind:
    """Something done to a square of cells."""

    name: str
    apply: Callable[[Pixels, Box, np.random.Generator], Pixels]


@dataclass(frozen=True)
class WholeKind:
    """Something done to the whole image; `cost` is the share of the image whose loss it is held equal to."""

    name: str
    apply: Callable[[Pixels], Pixels]
    cost: float


LOCAL = (
    LocalKind("occlude", occlude),
    LocalKind("redden", redden),
    LocalKind("blur", blur_box),
    LocalKind("shuffle", shuffle),
)
SIZES = (2, 3, 5)
"""Sides of the squares, in cells."""
WHOLE = (
    WholeKind("jpeg quality 50", lambda image: jpeg(image, 50), 0.03),
    WholeKind("jpeg quality 15", lambda image: jpeg(image, 15), 0.08),
    WholeKind("blur whole image lightly", lambda image: blur(image, 0.0045), 0.05),
    WholeKind("blur whole image", lambda image: blur(image, 0.009), 0.10),
    WholeKind("quantise to 16 colours", lambda image: quantise(image, 16), 0.05),
    WholeKind("resize to 1/2 and back", lambda image: shrink(image, 2), 0.05),
    WholeKind("resize to 1/3 and back", lambda image: shrink(image, 3), 0.10),
    WholeKind("notch filter", notch, 0.03),
)
STOP = "stop"


@dataclass(frozen=True)
class Action:
    """One action of a space; `kind` is None for stop, and `box` None unless the kind is local."""

    name: str
    kind: LocalKind | WholeKind | None
    cells: tuple[int, int, int, int] | None = None

    @property
    def form(self) -> Literal["local", "whole", "stop"]:
        """Whether it touches a square, the whole image or nothing."""
        if self.kind is None:
            return "stop"
        return "local" if self.cells is not None else "whole"


class ActionSpace:
    """All actions in the order of the Q-network's output.

    First a GRID x GRID map for each (kind, size), kinds before sizes; then the whole-image kinds; then stop. The cell
    of a local action is its square's middle (of a square with an even side, the cell below and right of the middle);
    squares are cut at the image's edge.
    """

    def __init__(
        self,
        local: tuple[LocalKind, ...] = LOCAL,
        sizes: tuple[int, ...] = SIZES,
        whole: tuple[WholeKind, ...] = WHOLE,
        grid: int = GRID,
    ) -> None:
        self.local, self.sizes, self.whole, self.grid = local, sizes, whole, grid
        self.maps = len(local) * len(sizes)
        self.stop = self.maps * grid * grid + len(whole)

    def __len__(self) -> int:
        return self.stop + 1

    @cached_property
    def names(self) -> list[str]:
        """What a policy file records; a policy for other names is refused."""
        return [self[index].name for index in range(len(self))]

    def index(self, kind: str, size: int, row: int, column: int) -> int:
        """The number of a local action."""
        place = [k.name for k in self.local].index(kind) * len(self.sizes) + self.sizes.index(size)
        return (place * self.grid + row) * self.grid + column

    def __getitem__(self, index: int) -> Action:
        if not 0 <= index < len(self):
            raise IndexError(f"action {index} of {len(self)}")
        if index == self.stop:
            return Action(STOP, None)
        cells = self.grid * self.grid
        if index >= self.maps * cells:
            kind = self.whole[index - self.maps * cells]
            return Action(kind.name, kind)
        place, cell = divmod(index, cells)
        number, which = divmod(place, len(self.sizes))
        row, column = divmod(cell, self.grid)
        size = self.sizes[which]
        local = self.local[number]
        top, left = row - size // 2, column - size // 2
        square = (max(top, 0), max(left, 0), min(top + size, self.grid), min(left + size, self.grid))
        return Action(f"{local.name} {size}x{size} at ({row},{column})", local, square)

    def apply(self, image: Pixels, index: int, seed: int = 0) -> Pixels:
        """The image after an action.

        Args:
            image: (H, W, 3) uint8.
            index: of the action.
            seed: of what is random in it; the same seed gives the same pixels.

        Returns:
            A new (H, W, 3) array; the image itself for stop.
        """
        action = self[index]
        if isinstance(action.kind, WholeKind):
            return action.kind.apply(image)
        if action.kind is None or action.cells is None:
            return image
        box = pixel_box(action.cells, self.grid, image.shape[0], image.shape[1])
        return action.kind.apply(image, box, np.random.default_rng([seed, index]))

    def cover(self, mask: npt.NDArray[np.bool_], index: int) -> tuple[npt.NDArray[np.bool_], float]:
        """Which cells are perturbed after an action, and the share of the image that it newly took."""
        action = self[index]
        if isinstance(action.kind, WholeKind):
            return mask, action.kind.cost
        if action.cells is None:
            return mask, 0.0
        top, left, bottom, right = action.cells
        after = mask.copy()
        after[top:bottom, left:right] = True
        return after, float((after & ~mask).mean())


def pixel_box(cells: tuple[int, int, int, int], grid: int, height: int, width: int) -> Box:
    """A square of cells in px, at least one px a side."""
    top, left, bottom, right = cells
    y, x = min(top * height // grid, height - 1), min(left * width // grid, width - 1)
    return y, x, max(bottom * height // grid, y + 1), max(right * width // grid, x + 1)
