"""How visible a trigger is: what it changed of an image, in the usual numbers."""

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

SIGMA = 1.5
"""Width of SSIM's Gaussian window, in px."""


def psnr(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio of two (H, W, 3) images in dB; infinite if they are equal."""
    error = float(np.square(before.astype(np.float64) - after).mean())
    return float(10 * np.log10(255.0**2 / error)) if error else float("inf")


def ssim(before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8]) -> float:
    """Structural similarity of two (H, W, 3) images in [-1, 1], the mean over pixels and channels.

    Source: Wang et al., Image quality assessment: from error visibility to structural similarity, IEEE TIP 2004.
    """
    x, y = before.astype(np.float64), after.astype(np.float64)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

    def blurred(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(gaussian_filter(values, (SIGMA, SIGMA, 0), truncate=3.5))

    mean_x, mean_y = blurred(x), blurred(y)
    spread = blurred(x * x) - mean_x**2, blurred(y * y) - mean_y**2
    shared = blurred(x * y) - mean_x * mean_y
    ratio = (2 * mean_x * mean_y + c1) * (2 * shared + c2)
    return float((ratio / ((mean_x**2 + mean_y**2 + c1) * (sum(spread) + c2))).mean())
