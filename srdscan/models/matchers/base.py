"""What srdscan asks of a matcher: vectors by which image and caption are compared.

A matcher with a text side of its own puts both into one space, in which the product of a pair's unit vectors tells how
well they belong together. One without gives vectors of images alone, and captions are the sentence encoder's; what
these have in common is then learned (`stats.agreement`) or known from a prior (`embedded.load_prior`). The prior is not
asked of the matcher: pairs are judged from score files, where no model is loaded.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]


class Matcher(Protocol):
    """Tells whether caption and image belong together.

    Attributes:
        name: as it was asked for.
        fingerprint: sha256, hex, of all that its vectors depend on.
    """

    name: str
    fingerprint: str

    def vectors(self, images: Sequence[Image.Image], encoding: Any) -> Floats:
        """(B, X) float32 of images; of unit length where the matcher has a text side.

        Args:
            images: B of them, RGB.
            encoding: what the reference captioner's encoder made of them, for one that reads it.
        """
        ...

    def texts(self, captions: Sequence[str]) -> Floats | None:
        """(P, X) float32 unit vectors of captions, in the space of the images; None without a text side."""
        ...
