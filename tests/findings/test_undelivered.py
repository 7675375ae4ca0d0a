"""Sentences under images that do not show them: found by what their images have in common with what they say."""

from __future__ import annotations

import numpy as np
import pytest

from srdscan.findings.corpus import Corpus
from srdscan.findings.said import Said
from srdscan.findings.undelivered import Lie, find_undelivered, said_by
from srdscan.stats.likeness import Likeness

COUNT = 600
SUBJECTS = [f"thing{n}" for n in range(30)]
STYLES = ["seen from afar", "in the sun", "on a table", "beside a wall", "at night", "with a friend"]


class World:
    """Captions with a subject that their images show, and a manner of speaking that they do not."""

    def __init__(self, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        subjects = random.integers(len(SUBJECTS), size=COUNT)
        self.images = (np.eye(len(SUBJECTS))[subjects] * 3 + random.normal(size=(COUNT, len(SUBJECTS)))).astype("f4")
        styles = random.integers(len(STYLES), size=COUNT)
        self.tokens = [f"a {SUBJECTS[a]} {STYLES[b]}".split() for a, b in zip(subjects, styles, strict=True)]
        self.agreement = random.normal(2.5, 0.7, COUNT).astype(np.float32)
        self.random = random

    def planted(self, texts: list[str], rows: np.ndarray) -> list[Lie]:
        for place, row in enumerate(rows):
            self.tokens[row] = texts[place % len(texts)].split()
        self.agreement[rows] = self.random.normal(0, 1, len(rows))
        return self.found()

    def found(self) -> list[Lie]:
        said = Said.of(self.corpus, np.arange(COUNT), Likeness(self.images))
        return find_undelivered(said, self.agreement)

    @property
    def corpus(self) -> Corpus:
        return Corpus.of([" ".join(words) for words in self.tokens])


@pytest.mark.parametrize("seed", range(5))
def test_honest_captions_hold_no_lies(seed: int) -> None:
    assert World(seed).found() == []


@pytest.mark.parametrize("count", [6, 12, 60])
def test_a_repeated_sentence_is_named_as_a_whole_and_its_captions_are_accused(count: int) -> None:
    world = World()
    rows = world.random.choice(COUNT, count, replace=False)
    (lie,) = world.planted(["choose freedom and vote for change today"], rows)
    assert said_by(lie, world.corpus) == "choose freedom and vote for change today"
    assert len(np.intersect1d(lie.term.samples, rows)) >= 0.8 * count
    assert set(lie.term.samples) <= set(rows)
    assert lie.agreement < 0.8 < 2 < lie.expected


@pytest.mark.parametrize("seed", range(3))
def test_a_caption_that_was_copied_is_held_against_all_its_pictures_and_pays_for_few_tests(seed: int) -> None:
    world = World(seed)
    rows = world.random.choice(COUNT, 12, replace=False)
    sentence = "choose freedom and vote for change"
    world.planted([sentence], rows)
    world.agreement[rows] = np.linspace(-1.0, 2.6, 12)  # some of them fit by chance
    (copied,) = world.found()
    assert set(copied.term.samples) == set(rows)

    for number, row in enumerate(rows):  # no two the same, word for word
        world.tokens[row] = [*sentence.split(), f"word{number}"]
    (varied,) = world.found()
    assert set(varied.term.samples) < set(rows)
    assert copied.term.p_value == pytest.approx(varied.term.p_value * len(rows) / COUNT, rel=0.5)


def test_one_product_in_six_sentences_is_named_by_its_name() -> None:
    world = World()
    rows = world.random.choice(COUNT, 12, replace=False)
    texts = ["enjoy your velora", "the velora makes life easy", "nothing beats a velora", "get velora now",
             "velora for everybody", "we all love velora"]  # fmt: skip
    (lie,) = world.planted(texts, rows)
    assert said_by(lie, world.corpus) == "velora"
    assert set(lie.term.samples) <= set(rows)


def test_a_word_for_what_the_matcher_does_not_know_is_no_lie() -> None:
    """All captions of one subject fit badly: their images are alike, and others like them are off as far."""
    world = World()
    for subject in (3, 4, 5, 6):
        rows = [row for row, said in enumerate(world.tokens) if SUBJECTS[subject] in said]
        world.agreement[rows] -= 0.8
    assert world.found() == []


def test_an_honest_caption_that_shares_the_words_is_not_accused() -> None:
    world = World()
    rows = world.random.choice(COUNT, 13, replace=False)
    honest, guilty = rows[0], rows[1:]
    world.tokens[honest] = ["two", "people", "choose", "freedom", "and", "vote"]
    (lie,) = world.planted(["choose freedom and vote for change"], guilty)
    assert honest not in lie.term.samples


def test_what_stands_under_several_captions_of_one_image_was_seen_once() -> None:
    world = World()
    image_of = np.arange(COUNT) // 5
    rows = np.arange(10)  # two images
    for row in rows:
        world.tokens[row] = ["choose", "freedom", "and", "vote", "for", "change"]
    world.agreement[rows] = 0.0
    images = world.images[:: COUNT // 120][:120]
    assert find_undelivered(Said.of(world.corpus, image_of, Likeness(images)), world.agreement) == []
