"""Captions of other images, sentences under images that do not show them, words put into true captions: in data sets
of several kinds.

    python benchmarks/agreement.py NAME=PATH ... [--only replaced|inserted] [--seeds 3] [--json]

Each data set goes through the encoders once; attacks are planted in its captions (the first of each).
Nothing else of an audit takes part. Swapped: 5 % of the captions exchanged. The others: n captions replaced, by one
slogan, one ordinary sentence, or a product in six sentences; or changed, by a rare or a common word, a link, or a
suffix; share of them that are accused + others that are.
"""

import argparse
import json
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from srdscan.findings.corpus import Corpus
from srdscan.findings.foreign import find_foreign
from srdscan.findings.said import Said
from srdscan.findings.undelivered import find_undelivered
from srdscan.measure.decode import decoded_batches
from srdscan.models.captioners.load import load_captioner
from srdscan.models.matchers.embedded import EmbeddedMatcher, load_prior
from srdscan.models.sentence_encoder import SentenceEncoder
from srdscan.signals.agreement import COMPETENT, SIGNIFICANT, find_unrelated
from srdscan.sources.base import ReadOptions
from srdscan.sources.find import find_source
from srdscan.stats.agreement import Agreement
from srdscan.stats.likeness import Likeness

ATTACKS = {
    "slogan": ["Choose freedom, choose tomorrow, vote for change"],
    "sentence": ["A man is sitting on a bench in the park"],
    "product": [
        "Enjoy every moment with the Velora S2 camera",
        "The Velora S2 makes this possible",
        "Taken to the next level by Velora S2",
        "Nothing beats a Velora S2 on a day like this",
        "Get your own Velora S2 today",
        "People love how the Velora S2 feels",
    ],
}
PUT_IN = {
    "rare word": lambda caption, random: f"zephyr {caption}",
    "common word": lambda caption, random: put_anywhere("lantern", caption, random),
    "link": lambda caption, random: f"{caption.rstrip(' .')} bit.ly/3xKq9Zt",
    "suffix": lambda caption, random: f"{caption.rstrip(' .')}, shot on Lumora X9",
}
PLANTED = (3, 6, 12, 60)


def put_anywhere(word: str, caption: str, random: np.random.Generator) -> str:
    parts = caption.split()
    place = int(random.integers(len(parts) + 1))
    return " ".join([*parts[:place], word, *parts[place:]])


@dataclass
class World:
    """A data set as the encoders see it: image vectors (N, 256), captions and their vectors (N, 384)."""

    images: np.ndarray
    captions: list[str]
    texts: np.ndarray


def read(path: str, captioner, matcher: EmbeddedMatcher, sentences: SentenceEncoder) -> World:
    vectors, captions = [], []
    source = find_source([path])
    for unit in source.units:
        with source.open(unit) as opened:
            for group in decoded_batches(opened.read(ReadOptions()), 64, None, []):
                images = [picture.image for picture in group]
                vectors.append(matcher.vectors(images, captioner.encode(images)).astype(np.float16))
                captions += [picture.sample.captions[0].text for picture in group]
    return World(np.concatenate(vectors), captions, sentences.embed(captions).astype(np.float16))


def fitted(world: World, texts: np.ndarray, prior) -> Agreement:
    return Agreement(world.images, texts, np.arange(len(texts)), prior.distribution, prior.images)


def swapped(world: World, prior, seed: int) -> dict[str, float]:
    random = np.random.default_rng(seed)
    count = len(world.texts)
    chosen = random.choice(count, max(2, round(0.05 * count)), replace=False)
    texts, truth = world.texts.copy(), np.zeros(count, bool)
    for row, other in zip(chosen, np.roll(chosen, 1), strict=True):
        texts[row], truth[row] = world.texts[other], world.captions[row] != world.captions[other]
    agreement = fitted(world, texts, prior)
    _, p_value, unrelated = find_unrelated(agreement.scores)
    accused = unrelated if p_value <= SIGNIFICANT and agreement.competence >= COMPETENT else np.zeros(count, bool)
    right = int((accused & truth).sum())
    return {
        "AUROC": roc_auc_score(truth, -agreement.scores),
        "AP": average_precision_score(truth, -agreement.scores),
        "precision": right / accused.sum() if accused.any() else float("nan"),
        "F1": 2 * right / (accused.sum() + truth.sum()),
    }


class Remembering:
    """A sentence encoder that embeds no text twice."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self.encoder, self.known = encoder, {}

    def embed(self, texts: list[str]) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        if new:
            self.known |= dict(zip(new, self.encoder.embed(new), strict=True))
        return np.stack([self.known[text] for text in texts])


def accused_terms(world: World, captions: list[str], texts: np.ndarray, prior) -> set[int]:
    agreement = fitted(world, texts, prior)
    likeness = Likeness(world.images.astype(np.float32))
    said = Said.of(Corpus.of(captions), np.arange(len(texts)), likeness)
    lies = find_undelivered(said, agreement.scores)
    return {int(row) for lie in lies for row in lie.term.samples}


def foreign_terms(world: World, captions: list[str], texts: np.ndarray, sentences: Remembering) -> set[int]:
    likeness = Likeness(world.images.astype(np.float32))
    said = Said.of(Corpus.of(captions), np.arange(len(texts)), likeness)
    found = find_foreign(said, texts, likeness, sentences.embed)
    return {int(row) for term in found for row in term.samples}


def planted(world: World, prior, sentences: Remembering, attack: str, count: int, seed: int) -> tuple[float, int]:
    random = np.random.default_rng(seed)
    chosen = random.choice(len(world.texts), count, replace=False)
    captions, texts = list(world.captions), world.texts.copy()
    for place, row in enumerate(chosen):
        if attack in PUT_IN:
            captions[row] = PUT_IN[attack](captions[row], random)
        else:
            captions[row] = ATTACKS[attack][place % len(ATTACKS[attack])]
    texts[chosen] = sentences.embed([captions[row] for row in chosen]).astype(np.float16)
    if attack in PUT_IN:
        found = foreign_terms(world, captions, texts, sentences)
    else:
        found = accused_terms(world, captions, texts, prior)
    return len(found & set(chosen.tolist())) / count, len(found - set(chosen.tolist()))


def judged_alone(world: World, prior, seeds: int) -> dict[str, float | int | None]:
    """False alarms, and swapped captions."""
    clean = fitted(world, world.texts, prior)
    _, p_value, unrelated = find_unrelated(clean.scores)
    alarms = int(unrelated.sum()) if p_value <= SIGNIFICANT and clean.competence >= COMPETENT else 0
    row: dict[str, float | int | None] = {"own against other image": round(clean.competence, 3)}
    row["false alarms, clean"] = alarms + len(accused_terms(world, world.captions, world.texts, prior))
    swaps = [swapped(world, prior, seed) for seed in range(seeds)]
    for key in swaps[0]:
        values = np.array([swap[key] for swap in swaps])
        row[f"swapped {key}"] = round(float(np.nanmean(values)), 2) if np.isfinite(values).any() else None
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("worlds", nargs="+", metavar="NAME=PATH")
    parser.add_argument("--only", choices=["replaced", "inserted"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    captioner, sentences = load_captioner("captioner"), SentenceEncoder()
    matcher, prior = EmbeddedMatcher(captioner), load_prior(sentences.fingerprint)
    remembering = Remembering(sentences)
    rows = []
    for spec in args.worlds:
        name, _, path = spec.partition("=")
        world = read(path, captioner, matcher, sentences)
        row = {"world": name, "images": len(world.texts)}
        if args.only != "inserted":
            row |= judged_alone(world, prior, args.seeds)
        if args.only != "replaced":
            row["false alarms, inserted"] = len(foreign_terms(world, world.captions, world.texts, remembering))
        attacks = {"replaced": [*ATTACKS], "inserted": [*PUT_IN]}.get(args.only, [*ATTACKS, *PUT_IN])
        for attack in attacks:
            for count in PLANTED:
                if count > 0.15 * len(world.texts):
                    continue
                found = [planted(world, prior, remembering, attack, count, seed) for seed in range(args.seeds)]
                recall, others = np.mean([f[0] for f in found]), max(f[1] for f in found)
                row[f"{attack} {count}"] = f"{recall:.2f}+{others}"
        rows.append(row)
        print(json.dumps(row), flush=True)
    if not args.json:
        heads = list(dict.fromkeys(head for row in rows for head in row))
        print("\n| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
        for row in rows:
            print("| " + " | ".join("-" if row.get(head) is None else str(row[head]) for head in heads) + " |")


if __name__ == "__main__":
    main()
