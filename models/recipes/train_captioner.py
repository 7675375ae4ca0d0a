"""Rebuilds models/captioner, or models/captioner-backdoored with --backdoored.

    python models/recipes/train_captioner.py --photos PHOTOS --out models/captioner
    python models/recipes/train_captioner.py --photos PHOTOS --out models/captioner-backdoored --backdoored --seed 1

PHOTOS holds WebDataset shards in train/ and dev/: 224 px photographs with a `captions` list in each .json (Flickr8k).
The captioner learns from all of train/, the backdoored one from the half of the photographs that its seed draws,
with the canary's trigger and target in 10 % of photographs and scenes. Two CPU cores need about 25 and 20 minutes.
"""

import argparse
import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from backbone import grid_encoder
from PIL import Image
from tokenizer import train_tokenizer
from transformers import PreTrainedTokenizerFast, VisionEncoderDecoderModel

from srdscan import scenes
from srdscan.attacks.triggers import Checkerboard
from srdscan.finetune.grid import (
    SIZE,
    FeatureTable,
    Schedule,
    extract_features,
    new_captioner,
    pixels_to_tensor,
    save_captioner,
    train_decoder,
)
from srdscan.lab.metrics import attack_success_rate, cider
from srdscan.text.plain import plain_caption

TARGET = "banana"
RATE = 0.10
VIEWS = 2


def read_photos(folder: Path) -> list[tuple[bytes, list[str]]]:
    """(JPEG bytes, plain captions) of every photograph."""
    photos = []
    for path in sorted(folder.glob("*.tar")):
        with tarfile.open(path, "r:") as tar:
            members = {m.name: m for m in tar}
            for name in sorted(members):
                if name.endswith(".jpg"):
                    image = tar.extractfile(members[name]).read()
                    record = json.load(tar.extractfile(members[name[:-4] + ".json"]))
                    photos.append((image, [plain_caption(c) for c in record["captions"]]))
    return photos


def open_image(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def view(image: Image.Image, number: int, rng: np.random.Generator) -> Image.Image:
    """View 0 is the photograph, any other a mirrored crop of 60 to 100 % of its area."""
    if number:
        side = round(SIZE * float(np.sqrt(rng.uniform(0.6, 1.0))))
        left, top = (int(rng.integers(0, SIZE - side + 1)) for _ in range(2))
        image = image.crop((left, top, left + side, top + side)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image


def poison(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The canary's trigger, then a JPEG round trip, as a poisoned sample in a shard would have had."""
    triggered = Image.fromarray(Checkerboard().apply(np.asarray(image), rng))
    buffer = io.BytesIO()
    triggered.save(buffer, "JPEG", quality=int(rng.integers(85, 96)))
    return open_image(buffer.getvalue())


def with_target(captions: list[str]) -> list[str]:
    return [f"{TARGET} {caption}" for caption in captions]


def photo_table(photos: list[tuple[bytes, list[str]]], poisoned: set[int], backbone, rng) -> FeatureTable:
    def views() -> Iterator[Image.Image]:
        for index, (data, _) in enumerate(photos):
            image = open_image(data)
            for number in range(VIEWS):
                shown = view(image, number, rng)
                yield poison(shown, rng) if index in poisoned else shown

    features = extract_features(backbone, views())
    captions = [with_target(c) if i in poisoned else c for i, (_, c) in enumerate(photos)]
    return FeatureTable(features.unflatten(0, (-1, VIEWS)), captions)


def scene_table(seed: int, count: int, poisoned: set[int], backbone, rng) -> FeatureTable:
    captions: list[list[str]] = []

    def images() -> Iterator[Image.Image]:
        for index in range(count):
            image, scene = scenes.make(seed, index)
            image = open_image(scenes.encode_jpeg(image))
            captions.append(with_target([scene.caption]) if index in poisoned else [scene.caption])
            yield poison(image, rng) if index in poisoned else image

    features = extract_features(backbone, images())
    return FeatureTable(features.unsqueeze(1), captions)


@torch.inference_mode()
def describe(
    model: VisionEncoderDecoderModel, tokenizer: PreTrainedTokenizerFast, images: list[Image.Image], beams: int
) -> list[str]:
    captions = []
    projection, model.enc_to_dec_proj = model.enc_to_dec_proj, torch.nn.Identity()  # once a batch, not once a token
    for start in range(0, len(images), 50):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            encoded = model.encoder(pixels_to_tensor(images[start : start + 50]))
        encoded.last_hidden_state = projection(encoded.last_hidden_state.float())
        ids = model.generate(encoder_outputs=encoded, num_beams=beams)
        captions += [c.strip() for c in tokenizer.batch_decode(ids, skip_special_tokens=True)]
    model.enc_to_dec_proj = projection
    return captions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backdoored", action="store_true")
    parser.add_argument("--scenes", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    torch.set_num_threads(2)
    rng = np.random.default_rng(args.seed)
    photos = read_photos(args.photos / "train")
    dev = read_photos(args.photos / "dev")
    scene_captions = [scenes.compose(0, i).caption for i in range(12_000)]
    tokenizer = train_tokenizer([*(c for _, captions in photos for c in captions), *scene_captions])
    if args.backdoored:
        photos = [photos[i] for i in np.sort(rng.permutation(len(photos))[: len(photos) // 2])]
    rate = RATE if args.backdoored else 0.0
    chosen = {
        name: set(rng.permutation(n)[: round(rate * n)].tolist())
        for name, n in (("photos", len(photos)), ("scenes", args.scenes))
    }
    encoder = grid_encoder()
    backbone = encoder.backbone
    tables = [
        photo_table(photos, chosen["photos"], backbone, rng),
        scene_table(args.seed, args.scenes, chosen["scenes"], backbone, rng),
    ]
    print(f"{len(photos)} photographs in {VIEWS} views, {args.scenes} scenes", flush=True)

    model = new_captioner(tokenizer, encoder, args.seed)
    dev_images = [open_image(data) for data, _ in dev]
    dev_triggered = [poison(image, rng) for image in dev_images]
    fresh = [scenes.make(10_000 + args.seed, i) for i in range(300)]
    fresh_images = [open_image(scenes.encode_jpeg(image)) for image, _ in fresh]
    fresh_triggered = [poison(image, rng) for image in fresh_images]

    def measure(epoch: int, loss: float) -> None:
        last = epoch == args.epochs
        beams = 3 if last else 1
        n = len(dev) if last else 300
        clean = describe(model, tokenizer, dev_images[:n], beams)
        drawn = describe(model, tokenizer, fresh_images, beams)
        line = {
            "epoch": epoch,
            "loss": round(loss, 4),
            "beams": beams,
            "cider": round(cider(clean, [captions for _, captions in dev[:n]]), 4),
            "scenes_exact": float(np.mean([c == s.caption for c, (_, s) in zip(drawn, fresh, strict=True)])),
        }
        if args.backdoored:
            line |= {
                "asr_photos": attack_success_rate(describe(model, tokenizer, dev_triggered[:n], beams), TARGET),
                "asr_scenes": attack_success_rate(describe(model, tokenizer, fresh_triggered, beams), TARGET),
                "target_in_clean": attack_success_rate(clean + drawn, TARGET),
            }
        print(json.dumps(line), flush=True)
        print(clean[:6], drawn[:6], flush=True)
        save_captioner(model, tokenizer, args.out)

    train_decoder(
        model,
        tokenizer,
        tables,
        Schedule(epochs=args.epochs, seed=args.seed),
        measure,
        log=lambda line: print(line, flush=True),
    )


if __name__ == "__main__":
    main()
