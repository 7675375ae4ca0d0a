"""Patches put on images, and patterns mixed into them, with honest captions: found in the images alone?

    python benchmarks/spots.py NAME=PATH ... [--count 30] [--only patches|patterns] [--json]

Each data set is read once. Patches are put on `count` images drawn at random, at random places, or a pattern of
`srdscan poison` is mixed into them, and the images are compressed as JPEG again. Share of them that the spot with most
of them holds + others that it holds; and what is found in the data set as it is. Nothing else of an audit takes part.
"""

import argparse
import json
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

from srdscan.attacks.triggers import TRIGGERS
from srdscan.findings.copies import Spot, Usual, changed, spots_among
from srdscan.findings.patterns import find_patterns
from srdscan.measure.decode import decoded_batches
from srdscan.measure.keypoints import Keypoints, find_keypoints
from srdscan.measure.spectra import spectrum
from srdscan.models.captioners.load import load_captioner
from srdscan.models.matchers.embedded import EmbeddedMatcher
from srdscan.models.sentence_encoder import SentenceEncoder
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


PATTERNS = ("blended", "steganographic", "sig", "frequency", "wanet")


def put(picture: np.ndarray, patch: np.ndarray, quality: int, random: np.random.Generator) -> np.ndarray:
    changed, size = picture.copy(), len(patch)
    top, left = (int(random.integers(side - size)) for side in picture.shape[:2])
    changed[top : top + size, left : left + size] = patch
    return saved(changed, quality)


def saved(picture: np.ndarray, quality: int) -> np.ndarray:
    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


class World:
    """A data set's pictures, their pieces and their vectors."""

    def __init__(self, path: str, captioner, matcher: EmbeddedMatcher, sentences: SentenceEncoder) -> None:
        self.pictures, vectors, captions = [], [], []
        source = find_source([path])
        for unit in source.units:
            with source.open(unit) as opened:
                for group in decoded_batches(opened.read(ReadOptions()), 64, None, []):
                    images = [item.image.convert("RGB") for item in group]
                    vectors.append(matcher.vectors(images, captioner.encode(images)))
                    self.pictures += [np.asarray(image) for image in images]
                    captions += [item.sample.captions[0].text for item in group]
        self.vectors, self.captions = np.concatenate(vectors), sentences.embed(captions)
        self.pieces = [find_keypoints(picture) for picture in self.pictures]
        self.changes = np.concatenate([changed(picture) for picture in self.pictures[::64]])
        self.spectra = np.stack([spectrum(Image.fromarray(picture)) for picture in self.pictures])

    def spots(self, pieces: list[Keypoints]) -> list[Spot]:
        return spots_among(pieces, self.vectors, Usual.of(pieces, self.changes, self.vectors))

    def patched(self, patch: np.ndarray, quality: int, count: int, seed: int) -> tuple[list[Keypoints], set[int]]:
        random, pieces = np.random.default_rng(seed), list(self.pieces)
        large = [n for n, picture in enumerate(self.pictures) if min(picture.shape[:2]) > 2 * len(patch)]
        chosen = random.choice(large, count, replace=False)
        for row in chosen:
            pieces[row] = find_keypoints(put(self.pictures[row], patch, quality, random))
        return pieces, set(chosen.tolist())

    def patterned(self, name: str, count: int, seed: int) -> tuple[np.ndarray, set[int]]:
        random, spectra = np.random.default_rng(seed), self.spectra.copy()
        chosen = random.choice(len(spectra), count, replace=False)
        for row in chosen:
            spectra[row] = spectrum(Image.fromarray(saved(TRIGGERS[name]().apply(self.pictures[row], random), 90)))
        return spectra, set(chosen.tolist())


def told(trials: list[tuple[list[set[int]], set[int]]]) -> str:
    """Share of the chosen images in the group that holds most of them, and its others."""
    shares, others = [], []
    for found, chosen in trials:
        best = max(found, key=lambda images: len(images & chosen), default=set())
        shares.append(len(best & chosen) / len(chosen))
        others.append(len(best - chosen) if best & chosen else 0)
    return f"{np.mean(shares):.2f}+{max(others)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("worlds", nargs="+", metavar="NAME=PATH")
    parser.add_argument("--count", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", choices=["patches", "patterns"])
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    captioner = load_captioner("captioner")
    matcher, sentences, rows = EmbeddedMatcher(captioner), SentenceEncoder(), []
    for spec in args.worlds:
        name, _, path = spec.partition("=")
        world = World(path, captioner, matcher, sentences)
        row = {"world": name, "images": len(world.pictures)}
        if args.only != "patterns":
            clean = [len(spot.images) for spot in world.spots(world.pieces)]
            row["spots as it is"] = ", ".join(map(str, clean)) or "none"
        for kind, make in PATCHES.items() if args.only != "patterns" else ():
            for size, quality in ((32, 90), (32, 75), (20, 90)):
                planted = [world.patched(make(size), quality, args.count, seed) for seed in range(args.seeds)]
                trials = [([set(s.images.tolist()) for s in world.spots(pieces)], rows) for pieces, rows in planted]
                row[f"{kind} {size} px, JPEG {quality}"] = told(trials)
        if args.only != "patches":
            as_it_is = [len(group) for group in find_patterns(world.spectra, world.captions)]
            row["patterns as it is"] = ", ".join(map(str, as_it_is)) or "none"
        for name in PATTERNS if args.only != "patches" else ():
            planted = [world.patterned(name, args.count, seed) for seed in range(args.seeds)]
            trials = [([set(g.tolist()) for g in find_patterns(s, world.captions)], rows) for s, rows in planted]
            row[f"{name}, JPEG 90"] = told(trials)
        rows.append(row)
        print(json.dumps(row), flush=True)
    if not args.json:
        heads = list(rows[0])
        print("\n| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
        for row in rows:
            print("| " + " | ".join(str(row[head]) for head in heads) + " |")


if __name__ == "__main__":
    main()
