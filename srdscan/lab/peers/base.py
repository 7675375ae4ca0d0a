"""What a peer detector sees, and what it says: the contract that all of them share."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Seen:
    """N samples of a data set, as a captioner that has learned from it sees them.

    Attributes:
        captions: the data set's captions.
        outputs: what the captioner says.
        references: what the trusted captioner says.
        layer_entropy: (N, L) entropy of each decoder layer's attention to the image, mean over heads and then over
            generated tokens, divided by ln of the number of patches; in [0, 1].
        image_features: (N, F) mean of the encoder's output over the image.
        hidden: (N, D) the decoder's last hidden state, mean over the caption's tokens: what spectral signatures and
            activation clustering take for a classifier's penultimate layer.
        caption_embeddings: (N, E) unit vectors of the data set's captions.
        output_embeddings: (N, E) unit vectors of the captioner's outputs.
        reference_embeddings: (N, E) unit vectors of the trusted captions.
        onion: (N,) largest fall of a language model's perplexity when one word of the data set's caption goes,
            max_i [PPL(s) - PPL(s without w_i)].
        constancy: (N,) mean cosine between the output on an image and the outputs on it blended half and half with
            clean images; a trigger that survives blending makes it large.
    """

    captions: list[str]
    outputs: list[str]
    references: list[str]
    layer_entropy: Doubles
    image_features: Doubles
    hidden: Doubles
    caption_embeddings: Doubles
    output_embeddings: Doubles
    reference_embeddings: Doubles
    onion: Doubles
    constancy: Doubles

    def __len__(self) -> int:
        return len(self.captions)

    @classmethod
    def mixed(cls, clean: "Seen", poisoned: "Seen", chosen: Flags) -> "Seen":
        """The samples of `clean`, those that are `chosen` taken from `poisoned`; both hold the same samples."""

        def pick(name: str) -> Any:
            one, other = getattr(clean, name), getattr(poisoned, name)
            if isinstance(one, list):
                return [b if take else a for a, b, take in zip(one, other, chosen, strict=True)]
            return np.where(chosen.reshape(-1, *[1] * (one.ndim - 1)), other, one)

        return cls(**{field.name: pick(field.name) for field in fields(cls)})


@dataclass(frozen=True)
class Judgement:
    """What a detector says of N samples.

    Attributes:
        scores: (N,) larger is more suspicious.
        flagged: (N,) bool, by the detector's own rule.
    """

    scores: Doubles
    flagged: Flags


class Peer(Protocol):
    """A registered peer."""

    name: ClassVar[str]
    source: ClassVar[str]

    def judge(self, seen: Seen) -> Judgement:
        """Scores and flags all samples; the same input gives the same answer."""
        ...


PEERS: dict[str, Callable[[], Peer]] = {}
T = TypeVar("T")


def register_peer(cls: type[T]) -> type[T]:
    """Makes a peer available by its `name`."""
    PEERS[cls.name] = cls  # type: ignore[attr-defined, assignment]
    return cls
