"""A matcher's own word on pairs: the cosine of its vectors of image and text, in a space that it was trained to make.

A CLIP or SigLIP takes scale * cos(i, t) + bias for how well a text fits an image (Radford et al. 2021, section 2.3;
Zhai et al. 2023, algorithm 1). Images are compared in standard deviations over images, out of which scale (positive)
and bias (the same for all) fall. Some images are near to every text; what a text says of an image is how much nearer
it is than texts are in the mean,

    cos(i, t) - mean over texts s of cos(i, s) = i . (t - mean of s)

just as the constant of an image falls out of the information of a Gaussian model (`stats.canonical`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from srdscan.stats.canonical import Doubles, Side


@dataclass(frozen=True)
class Similarity:
    """A model of pairs that needs no fit.

    Attributes:
        centre: (X,) mean of the data set's text vectors.
    """

    centre: Doubles

    def images(self, x: npt.NDArray[np.floating]) -> Side:
        """What it needs of N unit vectors of images."""
        return Side(x.astype(np.float32), np.zeros(len(x), np.float32))

    def texts(self, t: npt.NDArray[np.floating]) -> Side:
        """What it needs of N unit vectors of texts."""
        return Side((t - self.centre).astype(np.float32), np.zeros(len(t), np.float32))
