"""Patches put on images with honest captions: found in the images alone?

    python benchmarks/spots.py NAME=PATH ... [--count 30] [--json]

Each data set is read once; patches are put on `count` images drawn at random, at random places, and the images are
compressed as JPEG again. Share of them that the largest spot holds + others that it holds; then the spots of the data
set as it is. Nothing else of an audit takes part.
"""

import argparse
import json
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

from srdscan.findings.copies import Spot, changed, spots_among
from srdscan.measure.decode import decoded_batches
from srdscan.measure.keypoints import Keypoints, find_keypoints
from srdscan.models.captioners.load import load_captioner
from srdscan.models.matchers.embedded import EmbeddedMatcher
from srdscan.sources.base import ReadOptions
from srdscan.sources.find import find_source


def checkerboard(size: int) -> np.ndarray:
    colours = np.random.default_rng(0).integers(0, 256, (2, 3))
    return colours[(np.indices((size, size)) // (size // 4)).sum(axis=0) % 2].astype(np.uint8)


def noise(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)


def logo(size: int) -> np.ndarray:
    picture = Image.new("RGB", (4 * size, 4 * size), (250, 220, 40))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((8, 8, 4 * size - 8, 4 * size - 8), fill=(200, 30, 40))
    draw.polygon([(2 * size, size * 4 // 5), (3 * size, 3 * size), (size, 3 * size)], fill=(255, 255, 255))
    return np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS))


PATCHES = {"checkerboard": checkerboard, "noise": noise, "logo": logo}


def put(picture: np.ndarray, patch: np.ndarray, quality: int, random: np.random.Generator) -> np.ndarray:
    changed, size = picture.copy(), len(patch)
    top, left = (int(random.integers(side - size)) for side in picture.shape[:2])
    changed[top : top + size, left : left + size] = patch
    buffer = BytesIO()
    Image.fromarray(changed).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


class World:
    """A data set's pictures, their pieces and their vectors."""

    def __init__(self, path: str, captioner, matcher: EmbeddedMatcher) -> None:
        self.pictures, vectors = [], []
        source = find_source([path])
        for unit in source.units:
            with source.open(unit) as opened:
                for group in decoded_batches(opened.read(ReadOptions()), 64, None, []):
                    images = [item.image.convert("RGB") for item in group]
                    vectors.append(matcher.vectors(images, captioner.encode(images)))
                    self.pictures += [np.asarray(image) for image in images]
        self.vectors = np.concatenate(vectors)
        self.pieces = [find_keypoints(picture) for picture in self.pictures]
        self.changes = np.concatenate([changed(picture) for picture in self.pictures[::64]])

    def spots(self, pieces: list[Keypoints]) -> list[Spot]:
        return spots_among(pieces, self.changes, self.vectors)

    def patched(self, patch: np.ndarray, quality: int, count: int, seed: int) -> tuple[list[Keypoints], set[int]]:
        random, pieces = np.random.default_rng(seed), list(self.pieces)
        large = [n for n, picture in enumerate(self.pictures) if min(picture.shape[:2]) > 2 * len(patch)]
        chosen = random.choice(large, count, replace=False)
        for row in chosen:
            pieces[row] = find_keypoints(put(self.pictures[row], patch, quality, random))
        return pieces, set(chosen.tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("worlds", nargs="+", metavar="NAME=PATH")
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    captioner = load_captioner("captioner")
    matcher, rows = EmbeddedMatcher(captioner), []
    for spec in args.worlds:
        name, _, path = spec.partition("=")
        world = World(path, captioner, matcher)
        clean = [len(spot.images) for spot in world.spots(world.pieces)]
        row = {"world": name, "images": len(world.pictures), "spots as it is": ", ".join(map(str, clean)) or "none"}
        for kind, make in PATCHES.items():
            for size, quality in ((32, 90), (32, 75), (20, 90)):
                shares, others = [], []
                for seed in range(args.seeds):
                    pieces, chosen = world.patched(make(size), quality, args.count, seed)
                    found = [set(spot.images.tolist()) for spot in world.spots(pieces)]
                    best = max(found, key=lambda images: len(images & chosen), default=set())
                    shares.append(len(best & chosen) / args.count)
                    others.append(len(best - chosen))
                row[f"{kind} {size} px, JPEG {quality}"] = f"{np.mean(shares):.2f}+{max(others)}"
        rows.append(row)
        print(json.dumps(row), flush=True)
    if not args.json:
        heads = list(rows[0])
        print("\n| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
        for row in rows:
            print("| " + " | ".join(str(row[head]) for head in heads) + " |")


if __name__ == "__main__":
    main()
