"""What srdscan asks of a captioner.

A captioner works in two steps, so that an image goes through its encoder once, whatever is asked afterwards:

    encoding = captioner.encode(images)                     # one encoder pass
    described = captioner.describe(encoding, attention=True)  # captions, log-probabilities, attention maps
    scores = captioner.score(encoding, captions)            # how likely the captioner finds these captions

To audit a captioner of your own, write a class with these methods, check it with
`srdscan.models.captioners.check.check_captioner`, and pass it as `--captioner package.module:Class`.

The class is called as `Class(device="cpu")`, with the device of `--device`, or as `Class()` where its constructor takes
no `device`. A function that makes a captioner, or a ready one, may stand in its place. While an audit runs, what it
answers is held to the clauses below that are cheap to check.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class AttentionMaps:
    """Where the decoder looked, per layer and head; never averaged over heads, which hides a trigger.

    Attributes:
        first: (B, L, H, R, C) float32, attention of the step that produced the first token over the R x C patch grid.
            Each map sums to 1.
        mean: the same, averaged over the steps of all tokens of the caption.
    """

    first: Floats
    mean: Floats


@dataclass(frozen=True)
class Description:
    """What a captioner says of a batch of B images.

    Attributes:
        captions: B captions.
        log_probs: B arrays with the natural logarithm of each token's probability, end token included.
        attention: maps, if they were asked for and the captioner has them.
    """

    captions: list[str]
    log_probs: list[Floats]
    attention: AttentionMaps | None = None


class Encoding(Protocol):
    """A batch of encoded images. What it holds is the captioner's own business, but for the features.

    An encoding may offer `take(rows: Sequence[int]) -> Encoding`, a batch of chosen images (rows may repeat); without
    it the captions of images are scored in rounds.
    """

    features: Floats
    """(B, F) float32: one vector an image, for nearest-neighbour signals."""

    def __len__(self) -> int: ...


class Captioner(Protocol):
    """The contract; `check.check_captioner` tests an implementation.

    A captioner may offer `score_of(encoding, captions, images: Sequence[int]) -> list[Floats]`: `score` of any number
    of captions about each image, the images ascending. Without it rows of the encoding are taken.

    Attributes:
        name: folder, Hub id or class, as reports show it.
        fingerprint: sha256 of the weights, hex; the same weights give the same fingerprint.
        encoder_fingerprint: captioners with the same one understand each other's encodings.
    """

    name: str
    fingerprint: str
    encoder_fingerprint: str

    def encode(self, images: Sequence[Image.Image]) -> Any:
        """One encoder pass over RGB images of any size; returns an `Encoding`."""
        ...

    def describe(self, encoding: Any, *, attention: bool = False) -> Description:
        """Captions by greedy or beam search. An image's caption does not depend on the rest of its batch."""
        ...

    def score(self, encoding: Any, captions: Sequence[str]) -> list[Floats]:
        """ln p(token | image, tokens before), end token included, for one given caption an image."""
        ...
