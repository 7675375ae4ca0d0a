"""What captioners of every Hugging Face family share.

A family says how its images are encoded, how it generates, and where in one teacher-forced pass its attention to the
image is; captions, log-probabilities and maps are made of that here. Generation runs under sdpa, which gives no
attention; the teacher-forced pass runs an eager decoder, on the encoder output that generation used.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import nn
from transformers import AutoImageProcessor

from srdscan.models.captioners.base import AttentionMaps, Description, Floats
from srdscan.models.captioners.preprocess import Preprocessor
from srdscan.models.device import autocast_dtype, module_fingerprint
from srdscan.models.whole import check_normalisation, load_tokenizer

CPU_IMAGES = 4
"""Images that an encoder takes at once on a CPU: as fast as 64, and no activation is large (see `device`)."""
MOST_NEW_TOKENS = 64
"""Longest caption of a model that was made for conversation, and sets no limit of its own."""


@dataclass
class ImageEncoding:
    """Encoded images.

    Attributes:
        memory: (B, P, D), the encoder's output.
        features: (B, F), its mean over the image.
        extra: further tensors of a family, by name, B rows each.
        projected: what a captioner's decoder attends to, by the captioner's fingerprint; filled on first use. A tensor
            of B rows, or what can be indexed like one.
    """

    memory: torch.Tensor
    features: Floats
    extra: dict[str, torch.Tensor] = field(default_factory=dict)
    projected: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.memory)

    def take(self, rows: Sequence[int]) -> "ImageEncoding":
        """The chosen images as a batch of their own, in the order given; rows may repeat."""
        chosen = torch.tensor(list(rows), dtype=torch.long)

        def pick(tensors: dict[str, Any]) -> dict[str, Any]:
            return {name: tensor[chosen.to(tensor.device)] for name, tensor in tensors.items()}

        memory = self.memory[chosen.to(self.memory.device)]
        return ImageEncoding(memory, self.features[chosen.numpy()], pick(self.extra), pick(self.projected))


@dataclass
class Parts:
    """A loaded model, taken apart.

    Attributes:
        model: the whole.
        encoder: everything that makes `ImageEncoding`s, projections included; captioners with the same weights here
            understand each other's.
        decoder: the part whose attention implementation changes between generating and reading attention; None for
            families that always compute attention by hand.
        tokenizer: of the captions.
        image_processor: of the images.
    """

    model: Any
    encoder: nn.Module
    decoder: Any
    tokenizer: Any
    image_processor: Any


def take_apart(path: str, model: Any, encoder: nn.Module, decoder: Any = None) -> Parts:
    """A model with the tokenizer and the image processor of its folder; torchvision is not needed."""
    tokenizer = load_tokenizer(path)
    image_processor = AutoImageProcessor.from_pretrained(path, backend="pil")
    check_normalisation(image_processor)
    return Parts(model, encoder, decoder, tokenizer, image_processor)


class HuggingFaceCaptioner(ABC):
    """A Hugging Face model under srdscan's contract.

    Args:
        path: folder or Hub id.
        device: a torch device.
        num_beams: beam width; None takes the model's generation config.
        prompt: what the model is asked, or the words that its captions go on from; None takes `default_prompt`.

    Raises:
        ValueError: a prompt was given to a family that takes none.
    """

    default_prompt: ClassVar[str | None] = None
    takes_prompt: ClassVar[bool] = True

    def __init__(self, path: str, device: str = "cpu", num_beams: int | None = None, prompt: str | None = None) -> None:
        if prompt is not None and not self.takes_prompt:
            raise ValueError("this family of captioners takes no prompt")
        self.name = path
        self.device = torch.device(device)
        parts = self.load_parts(path)
        self.model: Any = parts.model.to(self.device).eval()
        self.decoder, self.tokenizer = parts.decoder, parts.tokenizer
        self.preprocess = Preprocessor(parts.image_processor)
        self.autocast = autocast_dtype(self.device)
        self.fingerprint = module_fingerprint(self.model)
        settings = sorted((k, repr(v)) for k, v in parts.image_processor.to_dict().items())
        self.encoder_fingerprint = hashlib.sha256(
            f"{module_fingerprint(parts.encoder)}{type(parts.encoder).__name__}{settings}{prompt}".encode()
        ).hexdigest()
        generation = self._generation_config()
        self.num_beams: int = num_beams or generation.num_beams or 1
        self.ends: list[int] = self._ends(generation)
        self.prefix: list[int] = self._prefix(prompt if prompt is not None else self.default_prompt)

    @abstractmethod
    def load_parts(self, path: str) -> Parts:
        """Reads the model, in float32."""

    @abstractmethod
    def _prefix(self, prompt: str | None) -> list[int]:
        """Tokens that stand before every caption."""

    @abstractmethod
    def _encode(self, pixels: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The encoder's output, (B, P, D), and further tensors of B rows each."""

    @abstractmethod
    def _generate(self, memory: torch.Tensor) -> torch.Tensor:
        """(B, N) token ids after the prefix, by greedy or beam search."""

    @abstractmethod
    def decode(
        self, memory: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor, attention: bool
    ) -> tuple[torch.Tensor, Sequence[torch.Tensor] | None]:
        """One pass over given tokens.

        Args:
            ids: (B, N) prefix and caption.
            mask: (B, N) 1 for real tokens.

        Returns:
            (B, N, V) logits, and for each layer the attention to the image, (B, H, N, P).
        """

    def _pixels(self, images: Sequence[Image.Image]) -> torch.Tensor:
        """Images as the encoder takes them, B rows."""
        return self.preprocess(images)

    def _generation_config(self) -> Any:
        return self.model.generation_config

    def _ends(self, generation: Any) -> list[int]:
        """Tokens that end a caption, the one that is scored first."""
        ends = generation.eos_token_id if generation.eos_token_id is not None else self.tokenizer.eos_token_id
        return list(ends) if isinstance(ends, list | tuple) else [int(ends)]

    def memory(self, encoding: ImageEncoding) -> torch.Tensor:
        """What the decoder attends to."""
        return encoding.memory

    def _map_rows(self, maps: torch.Tensor, encoding: ImageEncoding) -> torch.Tensor:
        """Attention (B, L, H, T, P) as maps over the image's patches, (B, L, H, T, R * R)."""
        patches = maps.shape[-1]
        side = int(patches**0.5)
        return maps[..., patches - side * side :]  # a class token, or a pooled one, comes first

    @torch.inference_mode()
    def encode(self, images: Sequence[Image.Image]) -> ImageEncoding:
        """One encoder pass, in half precision where the device computes it natively."""
        pixels = self._pixels(images)
        if self.device.type == "cuda":
            pixels = pixels.pin_memory()  # else the copy waits for whatever the device is doing
        parts: Sequence[torch.Tensor] = torch.split(pixels, CPU_IMAGES) if self.device.type == "cpu" else (pixels,)
        memory, extra = [], []
        with torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            for part in parts:
                encoded, more = self._encode(part.to(self.device, non_blocking=True))
                memory.append(encoded.float())
                extra.append({name: tensor.float() for name, tensor in more.items()})
        whole = torch.cat(memory)
        joined = {name: torch.cat([part[name] for part in extra]) for name in extra[0]}
        return ImageEncoding(whole, whole.mean(dim=1).cpu().numpy(), joined)

    def features(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, P, D) the encoder's output of preprocessed images, with a gradient with respect to them."""
        return self._encode(pixels)[0]

    @torch.inference_mode()
    def describe(self, encoding: ImageEncoding, *, attention: bool = False) -> Description:
        """Captions by the model's own beam width."""
        memory = self.memory(encoding)
        with self._fast():
            ids = self._generate(memory)
        tokens = [self._cut(row) for row in ids.tolist()]
        captions = [text.strip() for text in self.tokenizer.batch_decode(tokens, skip_special_tokens=True)]
        log_probs, maps = self._teacher_force(memory, tokens, encoding if attention else None)
        return Description(captions, log_probs, maps)

    @torch.inference_mode()
    def score(self, encoding: ImageEncoding, captions: Sequence[str]) -> list[Floats]:
        """ln p of each token of a given caption, end token included."""
        tokens = self.tokens(captions)
        memory = self.memory(encoding)
        with torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None):
            return self._teacher_force(memory, tokens, None)[0]

    def tokens(self, captions: Sequence[str]) -> list[list[int]]:
        """Token ids of captions, end token included, cut at the longest the decoder takes."""
        limit = self._longest()
        return [
            [*self.tokenizer(caption, add_special_tokens=False).input_ids[:limit], self.ends[0]] for caption in captions
        ]

    def _longest(self) -> int:
        """Tokens of a caption at most."""
        return 256

    @contextmanager
    def _fast(self) -> Iterator[None]:
        """Attention without its weights."""
        if self.decoder is None:
            yield
            return
        self.decoder.set_attn_implementation("sdpa")
        try:
            yield
        finally:
            self.decoder.set_attn_implementation("eager")

    def _cut(self, row: list[int]) -> list[int]:
        """Generated tokens up to and including the first end token."""
        places = [row.index(end) for end in self.ends if end in row]
        return row[: min(places) + 1] if places else row

    def _teacher_force(
        self, memory: torch.Tensor, tokens: list[list[int]], encoding: ImageEncoding | None
    ) -> tuple[list[Floats], AttentionMaps | None]:
        """One decoder pass over given captions, with maps if the encoding is given."""
        logits, targets, real, layers = self.predict(memory, tokens, attention=encoding is not None)
        chosen = logits.log_softmax(-1).gather(-1, targets[..., None])[..., 0].cpu().numpy()
        log_probs = [chosen[index, : len(row)].astype(np.float32) for index, row in enumerate(tokens)]
        return log_probs, self._maps(layers, real, encoding) if encoding is not None else None

    def predict(
        self, memory: torch.Tensor, tokens: list[list[int]], attention: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Sequence[torch.Tensor] | None]:
        """What the decoder expects at each place of given captions.

        Args:
            memory: (B, P, D) what it attends to.
            tokens: of B captions.

        Returns:
            (B, T, V) float32 logits, the (B, T) tokens that they are about, a (B, T) mask of the places that are no
            padding, and for each layer the attention to the image, (B, H, T, P), if asked for.
        """
        lengths = torch.tensor([len(row) for row in tokens], device=self.device)
        width = int(lengths.max())
        targets = torch.zeros(len(tokens), width, dtype=torch.long)
        for index, row in enumerate(tokens):
            targets[index, : len(row)] = torch.tensor(row)
        targets = targets.to(self.device)
        before = torch.tensor(self.prefix, device=self.device).expand(len(tokens), -1)
        ids = torch.cat([before, targets[:, :-1]], dim=1)
        real = torch.arange(width, device=self.device)[None] < lengths[:, None]
        mask = torch.cat([torch.ones_like(before[:, 1:]), real.long()], dim=1)
        logits, layers = self.decode(memory, ids, mask, attention)
        skip = len(self.prefix) - 1  # the last token of the prefix predicts the first of the caption
        seen = [layer[:, :, skip:] for layer in layers] if layers and attention else None
        return logits[:, skip:].float(), targets, real, seen

    def _maps(
        self, layers: Sequence[torch.Tensor] | None, real: torch.Tensor, encoding: ImageEncoding
    ) -> AttentionMaps:
        if not layers:
            raise RuntimeError(f"{self.name}: the decoder returned no attention; load it with eager attention")
        attention = torch.stack([layer.float() for layer in layers], dim=1)
        attention = self._map_rows(attention, encoding)
        attention = attention / attention.sum(-1, keepdim=True).clamp_min(1e-12)
        weight = (real / real.sum(1, keepdim=True))[:, None, None, :, None]
        first, mean = attention[:, :, :, 0], (attention * weight).sum(3)
        side = int(first.shape[-1] ** 0.5)
        shape = (*first.shape[:3], side, side)
        return AttentionMaps(first.reshape(shape).cpu().numpy(), mean.reshape(shape).cpu().numpy())
