"""A picture's spectrum: which waves it is made of, by the discrete cosine transform of its grey levels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.fft import dctn

SIDE = 128
"""Waves along a side: a pattern that is laid over pictures of any size is stretched with them, and so is the grid."""


def spectrum(picture: Image.Image) -> npt.NDArray[np.float32]:
    """(SIDE, SIDE) coefficients of a picture's grey levels; row and column are half-waves down and across."""
    grey = picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(dctn(np.asarray(grey, np.float32), norm="ortho"), np.float32)
