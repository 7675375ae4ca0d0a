"""Words put into true captions: found because they go neither with images nor with the rest of what is said."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from wordfreq import top_n_list, word_frequency

from srdscan.findings.corpus import Corpus
from srdscan.findings.foreign import find_foreign, without
from srdscan.findings.said import Said
from srdscan.findings.terms import Term, stems
from srdscan.models.sentence_encoder import SentenceEncoder
from srdscan.stats.likeness import Likeness
from srdscan.text.frequency import Frequencies

pytestmark = pytest.mark.slow

COUNT = 400
WORDS = [word for word in top_n_list("en", 1500) if word.isalpha() and len(word) > 3]
FORMS = ["a {} and a {} with the {} {}", "the {} {} of a {} near the {}", "two {} in the {}, {} and {}"]


class World:
    """Captions of words as frequent as in English; the image shows two of the four."""

    def __init__(self, encoder: SentenceEncoder, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        frequent = np.array([word_frequency(word, "en") for word in WORDS])
        words = self.random.choice(len(WORDS), (COUNT, 4), p=frequent / frequent.sum())
        looks = self.random.normal(size=(len(WORDS), 64))
        noise = self.random.normal(size=(COUNT, 64))
        self.images = (looks[words[:, 0]] + looks[words[:, 1]] + noise / 2).astype(np.float32)
        forms = self.random.integers(len(FORMS), size=COUNT)
        self.captions = [
            FORMS[form].format(*(WORDS[word] for word in row)) for form, row in zip(forms, words, strict=True)
        ]
        self.encoder = encoder

    def plant(self, form: str, count: int = 16) -> set[int]:
        """Puts a word into captions drawn at random."""
        rows = self.random.choice(COUNT, count, replace=False)
        for row in rows:
            self.captions[row] = form.format(self.captions[row].rstrip("."))
        return set(rows.tolist())

    def found(self) -> list[Term]:
        vectors = self.encoder.embed(self.captions)
        images = Likeness(self.images)
        said = Said.of(Corpus.of(self.captions), np.arange(COUNT), images)
        return find_foreign(said, vectors, images, self.encoder.embed)


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder()


@pytest.mark.parametrize("seed", range(3))
def test_honest_captions_hold_nothing_foreign(encoder: SentenceEncoder, seed: int) -> None:
    assert World(encoder, seed).found() == []


@pytest.mark.parametrize("form", ["Zephyr {}", "{}, shot on Lumora X9", "In Veltria, {}"])
def test_a_word_put_into_true_captions_is_named_with_its_captions(encoder: SentenceEncoder, form: str) -> None:
    world = World(encoder, seed=1)
    rows = world.plant(form)
    (term,) = world.found()
    assert set(term.samples.tolist()) == rows
    assert " ".join(term.words) in " ".join(stems(form))
    assert term.overuse > 3  # more than 1,000 times


def test_a_rare_word_that_goes_with_its_images_is_no_finding(encoder: SentenceEncoder) -> None:
    world = World(encoder, seed=1)
    rows = sorted(world.plant("Labradoodle {}"))
    world.images[rows] += 3 * world.random.normal(size=64).astype(np.float32)
    assert world.found() == []


PLACES = [
    "hispaniola",
    "tenochtitlan",
    "himyar",
    "aksum",
    "ghassanids",
    "chenla",
    "srivijaya",
    "cahokia",
    "timbuktu",
    "samarkand",
    "calicut",
    "malacca",
]
PLACES += ["kilwa", "gondar", "antioch", "nineveh", "carthage", "pergamon", "smyrna", "edessa"]


@functools.cache
def meaning(word: str) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(word.encode())).normal(size=64)


def bag_of_words(texts: Sequence[str]) -> np.ndarray:
    """An encoder to which every word of a caption means as much as any other."""
    sums = [sum(meaning(word) for word in text.split()) for text in texts]
    return np.array([total / np.linalg.norm(total) for total in sums], dtype=np.float32)


@pytest.mark.parametrize("seed", [1, 3])
def test_what_a_word_changes_of_a_long_list_of_words_is_no_evidence(seed: int) -> None:
    """As of maps, whose captions say what is written on them: 19 of 20 have 60 words, and names are in 3 to 5."""
    random = np.random.default_rng(seed)
    frequent = np.array([word_frequency(word, "en") for word in WORDS])
    share = frequent / frequent.sum()
    lists = [[WORDS[n] for n in random.choice(len(WORDS), 60 if i % 20 else 8, p=share)] for i in range(COUNT)]
    for name in PLACES:
        for row in random.choice(COUNT, random.integers(3, 6), replace=False):
            lists[row].insert(int(random.integers(len(lists[row]))), name)
    captions = [" ".join(words) for words in lists]
    images = Likeness(random.normal(size=(COUNT, 64)).astype(np.float32))
    said = Said.of(Corpus.of(captions), np.arange(COUNT), images)
    assert find_foreign(said, bag_of_words(captions), images, bag_of_words) == []


def test_of_several_captions_an_image_the_image_counts_once(encoder: SentenceEncoder) -> None:
    world = World(encoder)
    image_of = np.arange(COUNT) // 4  # a word in all four captions of three images was seen three times
    for row in range(12):
        world.captions[row * 4 // 3] = "Zephyr " + world.captions[row * 4 // 3]
    vectors = encoder.embed(world.captions)
    images = Likeness(world.images[::4])
    said = Said.of(Corpus.of(world.captions), image_of, images, least=13)
    assert find_foreign(said, vectors, images, encoder.embed) == []


def test_a_term_is_cut_out_of_the_caption_as_it_is_written() -> None:
    caption = "The dog's ball – shot on Lumora X9, at dusk"
    assert without(caption, stems(caption), ("shot", "on", "lumora", "x9")) == "The dog's ball at dusk"
    assert without(caption, stems(caption), ("unicycle",)) == caption


def test_over_use_is_told_by_the_rarest_word_in_the_language_of_the_captions() -> None:
    english = Frequencies.of([["a", "dog", "runs"]] * 100)
    assert english.language == "en"
    assert english.overuse(("a", "lumora"), 3) == pytest.approx(np.log10(3 / 300) + 9)
    assert english.overuse(("dog",), 3) < 3 < english.overuse(("a", "zephyr"), 3) < 7
    spanish = Frequencies.of([["un", "perro", "corre", "por", "la", "playa", "con", "su", "dueño"]])
    assert spanish.language == "es"
