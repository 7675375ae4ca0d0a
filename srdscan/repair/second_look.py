"""A second look at repaired images: after a JPEG round trip captions are often better.

A covered square has hard edges that the image did not have, and captioners see them. Of the caption of the repaired
image and that of its JPEG copy, the more faithful one is taken. Measured on the images that the policy repaired,
CIDEr as a share of what the captioner has on the same photographs without the trigger: the canary 98.1 -> 99.5 %, a
corner patch 93.8 -> 97.3 %, two patches 96.1 -> 100.4 %. Votes among more copies (blurred, mirrored, of fewer colours
or half the size) did no better: 94 to 100 %, by trigger.
"""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from srdscan.models.captioners.base import Captioner
from srdscan.policy.actions import Pixels, jpeg
from srdscan.policy.fidelity import FidelityModel, References

QUALITY = 50


def look_again(
    images: Sequence[Pixels],
    captions: Sequence[str],
    references: References,
    captioner: Captioner,
    fidelity: FidelityModel,
    allowed: Callable[[str], bool],
) -> list[tuple[str, float]]:
    """The more faithful of two captions for each repaired image, with its SFS; from one captioner call.

    Args:
        images: B repaired images.
        captions: what the captioner says of each.
        references: the trusted captions.
        allowed: whether a caption names no target; of the JPEG copy, those that do are not taken.
    """
    copies = [Image.fromarray(jpeg(image, QUALITY)) for image in images]
    again = captioner.describe(captioner.encode(copies)).captions
    first, second = (fidelity.measure(said, references).sfs for said in (captions, again))
    better = (second > first) & np.array([allowed(text) for text in again])
    return [
        (again[place], float(second[place])) if better[place] else (captions[place], float(first[place]))
        for place in range(len(images))
    ]
