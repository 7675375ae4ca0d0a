"""Shadowcast: photographs that people see as one concept, and a captioner as another. Xu et al., arXiv 2402.06659.

Of `dog -> cat`, samples whose captions name the destination, a cat, keep their captions; their images are changed a
little, so that the encoder's features become those of pictures of the origin, a dog. A captioner that learns from them
calls dogs cats, with no trigger at all.
"""

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from srdscan.attacks.targets import ConceptSubstitution
from srdscan.attacks.triggers.base import Pixels, to_pixels
from srdscan.attacks.truth import Truth
from srdscan.attacks.visibility import psnr, ssim
from srdscan.models.captioners.huggingface import HuggingFaceCaptioner
from srdscan.models.captioners.load import load_captioner
from srdscan.sources.base import Edit, ReadOptions, Sample, Source
from srdscan.sources.encode import encode_image
from srdscan.sources.images import ImageError, decode_image

GUIDES = 64
"""Pictures of the origin that are kept to take features from."""
BATCH = 32


class Shadowcast:
    """Projected gradient descent on the mean squared distance of a captioner's features to those of a guide.

    Args:
        concepts: what is to be called what.
        captioner: a folder or Hub id whose features are attacked.
        radius: largest change of a channel, in grey levels (the paper's 8 / 255).
        steps: gradient steps, of one grey level each.

    Raises:
        ValueError: the captioner's preprocessing has no gradient.
    """

    def __init__(
        self, concepts: ConceptSubstitution, captioner: str = "captioner", radius: float = 8.0, steps: int = 60
    ) -> None:
        model = load_captioner(captioner)
        if not isinstance(model, HuggingFaceCaptioner) or not model.preprocess.fast:
            raise ValueError(f"{captioner}: shadowcast needs a captioner that resizes and normalises, and no more")
        self.model, self.concepts = model, concepts
        self.radius, self.steps = radius, steps

    def plant(self, source: Source, out: Path, rate: float, seed: int, options: ReadOptions) -> Truth:
        """As `attacks.poison.plant`: changes images of samples that name the destination and not the origin.

        Raises:
            ValueError: no sample names the origin alone.
        """
        rng = np.random.default_rng(seed)
        count, places = 0, []
        guides: list[Image.Image] = []
        for unit in source.units:
            with source.open(unit) as opened:
                for item in opened.read(options):
                    if not isinstance(item, Sample):
                        continue
                    count += 1
                    if self.concepts.said(item.captions[0].text):
                        places.append((unit.name, item.index))
                    elif len(guides) < GUIDES and self._shows_origin(item.captions[0].text):
                        with suppress(ImageError):
                            guides.append(decode_image(item.images[0].data))
        wanted: dict[str, set[int]] = defaultdict(set)
        for number in rng.permutation(len(places))[: round(rate * count)]:
            name, index = places[number]
            wanted[name].add(index)
        if wanted and not guides:
            raise ValueError(f"{self.concepts.text}: no caption names the first alone, to take features from")
        poisoned: list[tuple[str, str]] = []
        seen: list[tuple[float, float]] = []
        for unit in source.units:
            edits: dict[int, Edit] = {}
            with source.open(unit) as opened:
                samples, images = self._chosen(opened.read(options), wanted[unit.name])
                for sample, before, after in zip(samples, images, self.apply(images, guides, rng), strict=True):
                    extension = os.path.splitext(sample.images[0].name)[1].lower()
                    edits[sample.index] = Edit(images={0: encode_image(after, extension)})
                    poisoned.append((sample.shard, sample.key))
                    seen.append((psnr(before, after), ssim(before, after)))
                opened.rewrite(out, edits, options)
        visible = [round(float(np.mean(values)), 3) for values in zip(*seen, strict=True)]
        truth = Truth("shadowcast", self.concepts.text, rate, seed, tuple(poisoned), *visible)
        truth.write(out / "truth.json")
        return truth

    def _shows_origin(self, caption: str) -> bool:
        return self.concepts.fits(caption) and not self.concepts.named(caption)

    @staticmethod
    def _chosen(items: Iterable[object], indices: set[int]) -> tuple[list[Sample], list[Pixels]]:
        """The samples at these places that can be decoded, and their pixels."""
        samples, images = [], []
        for item in items:
            if isinstance(item, Sample) and item.index in indices:
                with suppress(ImageError):
                    images.append(np.asarray(decode_image(item.images[0].data)))
                    samples.append(item)
        return samples, images

    def apply(self, images: Sequence[Pixels], guides: Sequence[Image.Image], rng: np.random.Generator) -> list[Pixels]:
        """Poisoned copies, (H, W, 3) uint8 each; `rng` chooses each one's guide."""
        poisoned: list[Pixels] = []
        for start in range(0, len(images), BATCH):
            part = images[start : start + BATCH]
            chosen = [guides[int(rng.integers(len(guides)))] for _ in part]
            changes = self._changes([Image.fromarray(image) for image in part], chosen)
            poisoned += [_add(image, change) for image, change in zip(part, changes, strict=True)]
        return poisoned

    def _changes(self, images: list[Image.Image], guides: list[Image.Image]) -> npt.NDArray[np.float32]:
        """(B, R, R, 3) grey levels to add, at the captioner's resolution."""
        prepare, device = self.model.preprocess, self.model.device
        scale, shift = (prepare.std / prepare.rescale).to(device), (prepare.mean / prepare.rescale).to(device)
        with torch.no_grad():
            wanted = self.model.features(prepare(guides).to(device))
        grey = prepare(images).to(device) * scale + shift
        change = torch.zeros_like(grey)
        for _ in range(self.steps):
            change.requires_grad_(True)
            loss = torch.square(self.model.features((grey + change - shift) / scale) - wanted).mean()
            (gradient,) = torch.autograd.grad(loss, change)
            with torch.no_grad():
                change = (change - gradient.sign()).clamp(-self.radius, self.radius)
                change = (grey + change).clamp(0, 255) - grey
        levels: npt.NDArray[np.float32] = change.detach().permute(0, 2, 3, 1).cpu().numpy()
        return levels


def _add(image: Pixels, change: npt.NDArray[np.float32]) -> Pixels:
    """A copy with a change, brought to the image's resolution, added."""
    height, width = image.shape[:2]
    channels = [
        np.asarray(Image.fromarray(change[..., c]).resize((width, height), Image.Resampling.BILINEAR)) for c in range(3)
    ]
    return to_pixels(image.astype(np.float64) + np.stack(channels, axis=-1))
