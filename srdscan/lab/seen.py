"""What peer detectors look at, taken from a captioner and a data set in one go."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from srdscan.lab.peers.base import Doubles, Seen
from srdscan.lab.victims import BATCH
from srdscan.measure.scores import Scores
from srdscan.measure.state import load_scores
from srdscan.models.captioners.huggingface import HuggingFaceCaptioner, ImageEncoding
from srdscan.models.captioners.load import load_captioner
from srdscan.models.sentence_encoder import SentenceEncoder
from srdscan.sources.base import Sample
from srdscan.sources.images import decode_image
from srdscan.sources.tar import expand_shards, read_shard

BLENDS = 2
"""Clean images that each image is blended with, for STRIP."""
BLENDED_WITH = 16
"""How many images there are to blend with."""


def observe(shards: str, run: Path, captioner: str, sentence_encoder: SentenceEncoder, seed: int = 0) -> Seen:
    """Looks at every sample.

    Args:
        shards: the data set.
        run: folder of its audit with the same captioner; captions and word suspicion are taken from there.
        captioner: a Hugging Face captioner.
        seed: of the choice of images to blend with.
    """
    scores = load_scores(run)
    model, quick = (_hugging_face(captioner, beams) for beams in (None, 1))
    images = [
        np.asarray(decode_image(item.images[0].data))
        for path in expand_shards([shards])
        for item in read_shard(path)
        if isinstance(item, Sample)
    ]
    draw = np.random.default_rng(seed)
    others = [images[number] for number in draw.permutation(len(images))[:BLENDED_WITH]]
    texts = {role: list(scores.strings(role)) for role in ("caption", "output", "reference")}
    embedded = {role: np.asarray(sentence_encoder.embed(said), dtype=np.float64) for role, said in texts.items()}
    entropy, features, hidden, constancy = [], [], [], []
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        encoding = model.encode([Image.fromarray(image) for image in batch])
        outputs = texts["output"][start : start + BATCH]
        entropy.append(_layer_entropy(model, encoding))
        features.append(encoding.features)
        hidden.append(_hidden(model, encoding, outputs))
        agreement = np.zeros(len(batch))
        for _ in range(BLENDS):
            mixed = [_blend(image, others[draw.integers(len(others))]) for image in batch]
            said = sentence_encoder.embed(quick.describe(quick.encode(mixed)).captions)
            agreement += (embedded["output"][start : start + BATCH] * said).sum(axis=1) / BLENDS
        constancy.append(agreement)
    return Seen(
        captions=texts["caption"],
        outputs=texts["output"],
        references=texts["reference"],
        layer_entropy=np.concatenate(entropy).astype(np.float64),
        image_features=np.concatenate(features).astype(np.float64),
        hidden=np.concatenate(hidden).astype(np.float64),
        caption_embeddings=embedded["caption"],
        output_embeddings=embedded["output"],
        reference_embeddings=embedded["reference"],
        onion=_suspicion(scores),
        constancy=np.concatenate(constancy),
    )


def save_seen(seen: Seen, path: Path) -> None:
    """Writes an .npz file."""
    arrays: dict[str, Any] = {field.name: np.asarray(getattr(seen, field.name)) for field in fields(seen)}
    np.savez_compressed(path, **arrays)


def load_seen(path: Path) -> Seen:
    """What `save_seen` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return Seen(**{n: file[n].tolist() if file[n].dtype.kind == "U" else file[n] for n in file.files})


def _hugging_face(spec: str, beams: int | None) -> HuggingFaceCaptioner:
    captioner = load_captioner(spec, num_beams=beams)
    if not isinstance(captioner, HuggingFaceCaptioner):
        raise TypeError(f"{spec}: peers look into Hugging Face captioners only")
    return captioner


def _suspicion(scores: Scores) -> Doubles:
    return scores.numbers("signal.onion.caption")


def _layer_entropy(model: HuggingFaceCaptioner, encoding: ImageEncoding) -> Doubles:
    """(B, L) normalised entropy of the head-averaged maps, which are means over the caption's tokens."""
    attention = model.describe(encoding, attention=True).attention
    assert attention is not None
    maps = attention.mean.mean(axis=2).reshape(*attention.mean.shape[:2], -1).astype(np.float64)
    maps /= maps.sum(axis=-1, keepdims=True)
    entropy: Doubles = -(maps * np.log(np.maximum(maps, 1e-12))).sum(axis=-1) / np.log(maps.shape[-1])
    return entropy


def _hidden(model: HuggingFaceCaptioner, encoding: ImageEncoding, captions: Sequence[str]) -> npt.NDArray[np.float32]:
    """(B, D) what the decoder's vocabulary layer gets, mean over the caption's tokens."""
    got: list[torch.Tensor] = []
    hook = model.model.get_output_embeddings().register_forward_pre_hook(lambda _, inputs: got.append(inputs[0]))
    with torch.inference_mode():
        _, _, real, _ = model.predict(model.memory(encoding), model.tokens(captions))
    hook.remove()
    states = got[0][:, -real.shape[1] :].float()
    weight = (real / real.sum(dim=1, keepdim=True))[..., None]
    mean: npt.NDArray[np.float32] = (states * weight).sum(dim=1).cpu().numpy()
    return mean


def _blend(image: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> Image.Image:
    """Half and half, at the first image's size."""
    height, width = image.shape[:2]
    return Image.blend(Image.fromarray(image), Image.fromarray(other).resize((width, height)), 0.5)
