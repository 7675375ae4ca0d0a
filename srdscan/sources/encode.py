"""Pixels as an image file."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image


def encode_image(pixels: npt.NDArray[np.uint8], extension: str) -> bytes:
    """(H, W, 3) pixels as a file of the format that the extension names; JPEG for unknown ones.

    JPEG's usual halving of the colour channels is left out: it takes colour patterns away, and with them some triggers.
    """
    form = {".png": "PNG", ".webp": "WEBP"}.get(extension, "JPEG")
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, quality=95, **({"subsampling": 0} if form == "JPEG" else {}))
    return buffer.getvalue()
