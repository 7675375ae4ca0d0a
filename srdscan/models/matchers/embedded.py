"""The embedded matcher: what image and caption have in common, without a captioner.

It reads each image at the depths of the embedded captioners' encoder (EfficientNet-Lite0, ImageNet):

    block 15   7 x  7 x 320   through the network's last convolution, mean    1,280 features: what is there
    block 15   7 x  7 x 320   mean and maximum                                  640
    block 10  14 x 14 x 112   mean                                              112 features: parts, looks
    block  4  14 x 14 x  80   mean                                               80
    block 10                  maximum                                           112

standardised and projected to 256 principal components of the photographs that its prior is fitted on. Whoever has the
encoder's output already pays for one product of matrices. What an image and a caption have in common is then a matter
of second moments (`stats.canonical`), of which the data set has its own and the matcher a prior.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open

from srdscan.models.captioners.grid_encoder import BACKBONE_CHANNELS, GRID
from srdscan.models.fetch import ModelError, models_folder
from srdscan.models.matchers.base import Floats
from srdscan.stats.canonical import Gaussian

EMBEDDED: Final = "agreement"
_EARLY, _MIDDLE, _LATE = slice(0, 80), slice(80, 192), slice(192, 512)


@dataclass(frozen=True)
class Prior:
    """What the embedded matcher knows of pairs before it sees a data set's own.

    Attributes:
        distribution: of [image vector, caption vector].
        images: how many it was fitted on.
        sentence_encoder: fingerprint of the encoder of the captions.
    """

    distribution: Gaussian
    images: int
    sentence_encoder: str


@cache
def load_prior(sentence_encoder: str, folder: Path | None = None) -> Prior | None:
    """The embedded prior; None where captions went through another sentence encoder than its own.

    Args:
        sentence_encoder: fingerprint of the encoder of the captions.

    Raises:
        ModelError: the weights cannot be read.
    """
    tensors, facts = _load(folder)
    if facts["sentence-encoder"] != sentence_encoder:
        return None
    mean, covariance = (tensors[name].double().numpy() for name in ("mean", "covariance"))
    return Prior(Gaussian(mean, covariance), facts["images"], sentence_encoder)


def _load(folder: Path | None) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    path = (folder or models_folder() / EMBEDDED) / "agreement.safetensors"
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
            return tensors, json.loads((file.metadata() or {})["srdscan.agreement"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"{path}: cannot be loaded: {error}. Install srdscan again.") from error


class EmbeddedMatcher:
    """The embedded matcher; its captions are the sentence encoder's.

    Args:
        reference: the reference captioner, whose encoder is used where it is the embedded ones'.
        device: a torch device.
        folder: where the weights lie; the embedded ones if None.

    Raises:
        ModelError: the weights cannot be read.
    """

    name: str = EMBEDDED

    def __init__(self, reference: Any, device: str = "cpu", folder: Path | None = None) -> None:
        tensors, facts = _load(folder)
        self.device = torch.device(device)
        self.head, self.bias = tensors["head.weight"].to(device), tensors["head.bias"].to(device)
        self.centre, self.scale = tensors["centre"].to(device), tensors["scale"].to(device)
        self.basis = tensors["basis"].to(device)
        self.fingerprint: str = facts["fingerprint"]
        self.width = self.basis.shape[1]
        self.encoder = self._own_encoder(reference, facts["encoder"])

    def _own_encoder(self, reference: Any, wanted: str) -> Any:
        """None where the reference's encoder serves."""
        if reference.encoder_fingerprint == wanted:
            return None
        from srdscan.models.captioners.load import load_captioner

        return load_captioner("captioner", str(self.device))

    @torch.inference_mode()
    def vectors(self, images: Sequence[Image.Image], encoding: Any) -> Floats:
        """(B, 256) of images.

        Args:
            images: B of them.
            encoding: what the reference's encoder made of them.
        """
        own = encoding if self.encoder is None else self.encoder.encode(images)
        return self.of_tokens(own.memory)

    def texts(self, captions: Sequence[str]) -> None:
        """Nothing: it has no text side."""
        return None

    def of_tokens(self, tokens: torch.Tensor) -> Floats:
        """(B, 256) of a `GridEncoder`'s output, (B, 196, 708)."""
        grid = tokens[..., :BACKBONE_CHANNELS].to(self.device).reshape(-1, GRID, GRID, BACKBONE_CHANNELS)
        projected = ((features(grid, self.head, self.bias) - self.centre) / self.scale) @ self.basis
        found: Floats = projected.float().cpu().numpy()
        return found


def features(grid: torch.Tensor, head: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """(B, 2224) of standardised grids, (B, 14, 14, 512).

    Args:
        head: (1280, 320) the network's last convolution, with its batch norm and the grid's standardisation folded in.
        bias: (1280,) of the same.
    """
    late = grid[:, ::2, ::2, _LATE]
    top = torch.clamp(late @ head.T + bias, 0.0, 6.0)
    middle, early = grid[..., _MIDDLE], grid[..., _EARLY]
    parts = [top.mean((1, 2)), late.mean((1, 2)), late.amax((1, 2)), middle.mean((1, 2)), early.mean((1, 2))]
    return torch.cat([*parts, middle.amax((1, 2))], dim=1)
