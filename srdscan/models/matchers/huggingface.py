"""CLIP, SigLIP and their kin: images and captions in one space.

Families differ in how texts are padded, and in how many tokens they were trained to read. A caption with more tokens is
read passage by passage (`text.plain.passages`; one that is still too long is halved), and its vector is the mean of the
passages' unit vectors, put to length 1: no word goes unread.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

from srdscan.models.captioners.preprocess import Preprocessor
from srdscan.models.device import autocast_dtype, module_fingerprint
from srdscan.models.matchers.base import Floats
from srdscan.models.passages import embed_whole, unit
from srdscan.models.whole import check_normalisation, load_tokenizer, load_whole
from srdscan.text.plain import PASSAGE_WORDS, passages, words

CPU_IMAGES: Final = 4
"""Images that a model takes at once on a CPU: as fast as 64, and no activation is large (see `device`)."""
TEXTS: Final = 64
"""Texts that a model takes at once."""


@dataclass(frozen=True)
class Family:
    """How a family reads texts.

    Attributes:
        filled: each text is padded to the longest that is read, and no mask says so: the model was trained on that.
            Others read texts as long as they are.
        longest: tokens of a text that it was trained to read, where its configuration allows more.
    """

    filled: bool = False
    longest: int | None = None


FAMILIES: Final[dict[str, Family]] = {
    "altclip": Family(longest=77),
    "chinese_clip": Family(longest=52),
    "clip": Family(),
    "siglip": Family(filled=True),
    "siglip2": Family(filled=True),
}
"""`config.model_type` -> how it reads."""


class HuggingFaceMatcher:
    """A Hugging Face model with `get_image_features` and `get_text_features`.

    Images are prepared by the folder's own image processor, without torchvision. Computed is in float32 on a CPU, and
    in half precision on a GPU.

    Args:
        path: folder or Hub id.
        family: of its model type.
        device: a torch device.
    """

    def __init__(self, path: str, family: Family, device: str = "cpu") -> None:
        self.name = path
        self.family = family
        self.device = torch.device(device)
        self.model: Any = load_whole(AutoModel, path).to(self.device).eval()
        self.tokenizer = load_tokenizer(path)
        self.processor = AutoImageProcessor.from_pretrained(path, backend="pil")
        check_normalisation(self.processor)
        self.preprocess = Preprocessor(self.processor)
        self.autocast = autocast_dtype(self.device) if self.device.type == "cuda" else None
        allowed = int(self.model.config.text_config.max_position_embeddings)
        self.window = min(allowed, family.longest or allowed)
        settings = sorted((k, repr(v)) for k, v in self.processor.to_dict().items())
        self.fingerprint = hashlib.sha256(f"{module_fingerprint(self.model)}{settings}".encode()).hexdigest()

    @torch.inference_mode()
    def vectors(self, images: Sequence[Image.Image], encoding: Any = None) -> Floats:
        """(B, X) float32 unit vectors of images.

        Args:
            images: B of them, RGB.
            encoding: not looked at: the model has its own.
        """
        inputs = self._prepared(images)
        size = CPU_IMAGES if self.device.type == "cpu" else len(images)
        return unit(self._joined(self.model.get_image_features, inputs, size))

    @torch.inference_mode()
    def texts(self, captions: Sequence[str]) -> Floats:
        """(P, X) float32 unit vectors of captions; equal ones are computed once."""
        return embed_whole(captions, lambda text: list(self._parts(text)), self._read)

    def _prepared(self, images: Sequence[Image.Image]) -> dict[str, torch.Tensor]:
        """What the model takes of images, B rows each."""
        if self.processor.model_input_names == ["pixel_values"]:
            return {"pixel_values": self.preprocess(images)}
        return dict(self.processor(images=list(images), return_tensors="pt"))  # patches of images of any proportions

    def _read(self, texts: list[str]) -> Floats:
        """(K, X) features of texts that are not too long."""
        padding = "max_length" if self.family.filled else True
        found = self.tokenizer(texts, padding=padding, truncation=True, max_length=self.window, return_tensors="pt")
        names = ("input_ids",) if self.family.filled else ("input_ids", "attention_mask")
        return self._joined(self.model.get_text_features, {name: found[name] for name in names}, TEXTS)

    def _parts(self, text: str) -> Iterator[str]:
        """A text as it is, or its passages where it has more tokens than are read."""
        if len(text) <= 1 or len(self.tokenizer(text, truncation=False, verbose=False).input_ids) <= self.window:
            yield text
            return
        count = len(words(text))
        most = min(PASSAGE_WORDS, (count + 1) // 2)
        found = passages(text, most, most) if count > 1 else [text[: len(text) // 2], text[len(text) // 2 :]]
        for part in found:
            yield from self._parts(part)

    def _joined(self, features: Any, inputs: dict[str, torch.Tensor], size: int) -> Floats:
        """(K, X) features of all rows, `size` at a time."""
        count = len(next(iter(inputs.values())))
        found = []
        with torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            for start in range(0, count, size):
                part = {name: rows[start : start + size].to(self.device) for name, rows in inputs.items()}
                found.append(features(**part).pooler_output.float().cpu())
        joined: Floats = torch.cat(found).numpy()
        return joined
