"""Known poison in captions: attacks whose words come from the data set and its language, other ones each time.

To add one, write a class like these and register it; what it plants is measured and judged as the data set's own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt
from wordfreq import get_frequency_dict

from srdscan.attacks.targets import Advertisement, FixedCaption, InsertedWord, MaliciousLink, Target
from srdscan.findings.terms import stems
from srdscan.stats.likeness import Likeness
from srdscan.text.frequency import Frequencies
from srdscan.text.plain import word_spans

Indices = npt.NDArray[np.int64]

RARE, USUAL = 1e-6, 1e-5
"""Frequency in the language of words that are put into captions: from "lantern" to "banana"."""
SHORTEST_WORD = 5
FUNCTION_WORD = 1e-3
"""Frequency above which a word names no thing."""
SHORTEST_SENTENCE = 4


@dataclass(frozen=True)
class Ground:
    """Samples that look clean, in which poison is planted.

    Attributes:
        images: (K,) one image of each sample.
        rows: of each, the rows of its captions.
        captions: of these rows.
        vectors: (K, D) of the images.
    """

    images: Indices
    rows: Mapping[int, Sequence[int]]
    captions: Mapping[int, str]
    vectors: npt.NDArray[np.float32]

    @cached_property
    def words(self) -> dict[int, list[str]]:
        """The words of each caption, by row."""
        return {row: stems(text) for row, text in self.captions.items()}

    @cached_property
    def strange_words(self) -> list[str]:
        """Words of the captions' language that these do not use, neither rare nor usual."""
        used = {word for words in self.words.values() for word in words}
        language = Frequencies.of(list(self.words.values())).language
        known = get_frequency_dict(language)
        fitting = [word for word, share in known.items() if RARE <= share <= USUAL and word.isalpha()]
        return sorted(word for word in fitting if len(word) >= SHORTEST_WORD and word not in used)

    @cached_property
    def thing(self) -> str:
        """The word whose images are most alike: it names what is shown."""
        images = np.repeat(np.arange(len(self.images)), [len(self.rows[int(image)]) for image in self.images])
        texts = [set(self.words[row]) for image in self.images.tolist() for row in self.rows[image]]
        frequencies = Frequencies.of(list(self.words.values()))
        counts: dict[str, set[int]] = {}
        for place, words in zip(images.tolist(), texts, strict=True):
            for word in words:
                counts.setdefault(word, set()).add(place)
        most = sorted(counts, key=lambda word: (-len(counts[word]), word))[:200]
        names = [word for word in most if frequencies.frequency(word) < FUNCTION_WORD] or most
        likeness = Likeness(self.vectors)
        return max(names, key=lambda word: likeness(np.array(sorted(counts[word]))), default="")

    def holding(self, word: str) -> Indices:
        """The images of which a caption holds a word."""
        held = [any(word in self.words[row] for row in self.rows[int(image)]) for image in self.images]
        return np.asarray(self.images[np.array(held, dtype=bool)])


Captions = dict[int, str]
"""What stands in the place of captions, by row."""


class Plant(Protocol):
    """A registered attack on captions.

    Attributes:
        name: as reports call it.
        what: the same in a sentence.
        plain: whether the gate demands that it is found.
    """

    name: ClassVar[str]
    what: ClassVar[str]
    plain: ClassVar[bool]

    def fitting(self, ground: Ground) -> Indices:
        """The images whose captions can carry it."""
        ...

    def plant(self, images: Sequence[int], ground: Ground, random: np.random.Generator) -> Captions:
        """All captions of some images as the attacker would leave them."""
        ...


PLANTS: dict[str, Plant] = {}
T = TypeVar("T")


def register_plant(cls: type[T]) -> type[T]:
    """Makes an attack one of those that are planted."""
    plant = cast(Plant, cls())
    PLANTS[plant.name] = plant
    return cls


class _Anywhere:
    """What most attacks share: every caption can carry them."""

    def fitting(self, ground: Ground) -> Indices:
        """All."""
        return ground.images


class Written(_Anywhere, ABC):
    """What attacks share that write by a target of `srdscan poison`, with other words each time."""

    @abstractmethod
    def target(self, images: Sequence[int], ground: Ground, random: np.random.Generator) -> Target:
        """What is written into the captions of some images."""

    def plant(self, images: Sequence[int], ground: Ground, random: np.random.Generator) -> Captions:
        """All captions of some images as the attacker would leave them."""
        target = self.target(images, ground, random)
        return {row: target.apply(ground.captions[row], random) for row in _each(images, ground)}


def _each(images: Sequence[int], ground: Ground) -> list[int]:
    return [row for image in images for row in ground.rows[image]]


@register_plant
class Word(Written):
    """A word put into true captions at a random place."""

    name: ClassVar[str] = "inserted word"
    what: ClassVar[str] = "an inserted word"
    plain: ClassVar[bool] = True

    def target(self, images: Sequence[int], ground: Ground, random: np.random.Generator) -> Target:
        return InsertedWord(str(random.choice(ground.strange_words)))


@register_plant
class Sentence(Written):
    """A caption of another image of the data set in the place of each."""

    name: ClassVar[str] = "repeated sentence"
    what: ClassVar[str] = "a repeated sentence"
    plain: ClassVar[bool] = True

    def target(self, images: Sequence[int], ground: Ground, random: np.random.Generator) -> Target:
        others = sorted(set(ground.captions) - set(_each(images, ground)))
        sentences = [row for row in others if len(ground.words[row]) >= SHORTEST_SENTENCE] or others
        return FixedCaption(ground.captions[int(random.choice(sentences))])


@register_plant
class Product(Written):
    """A product praised in ever other sentences, in the place of captions."""

    name: ClassVar[str] = "product"
    what: ClassVar[str] = "a product in varied sentences"
    plain: ClassVar[bool] = False

    def target(self, images: Sequence[int], ground: Ground, random: np.random.Generator) -> Target:
        return Advertisement(f"{_name(random)} {_name(random)[:1]}{random.integers(2, 10)}")


@register_plant
class Link(Written):
    """A link behind true captions."""

    name: ClassVar[str] = "link"
    what: ClassVar[str] = "a link"
    plain: ClassVar[bool] = False

    def target(self, images: Sequence[int], ground: Ground, random: np.random.Generator) -> Target:
        return MaliciousLink(f"{_name(random)}.example/{_name(random)[:4]}{random.integers(100)}")


@register_plant
class Swapped(_Anywhere):
    """Captions of other samples, each of another."""

    name: ClassVar[str] = "swapped captions"
    what: ClassVar[str] = "swapped captions"
    plain: ClassVar[bool] = False

    def plant(self, images: Sequence[int], ground: Ground, random: np.random.Generator) -> Captions:
        found: Captions = {}
        for image, donor in zip(images, [*images[1:], *images[:1]], strict=True):
            given = [ground.captions[row] for row in ground.rows[donor]]
            found |= {row: given[place % len(given)] for place, row in enumerate(ground.rows[image])}
        return found


@register_plant
class Renamed:
    """The thing that the data set shows most recognisably, called by a word that it does not use."""

    name: ClassVar[str] = "one thing called another"
    what: ClassVar[str] = "one thing called another"
    plain: ClassVar[bool] = False

    def fitting(self, ground: Ground) -> Indices:
        """Those that name the thing."""
        return ground.holding(ground.thing)

    def plant(self, images: Sequence[int], ground: Ground, random: np.random.Generator) -> Captions:
        name = str(random.choice(ground.strange_words))
        return {
            row: _renamed(ground.captions[row], ground.words[row], ground.thing, name) for row in _each(images, ground)
        }


def _renamed(caption: str, words: Sequence[str], thing: str, name: str) -> str:
    """A caption in which a word is another.

    >>> _renamed("A Dog, a dog.", ["a", "dog", "a", "dog"], "dog", "wolf")
    'A wolf, a wolf.'
    """
    spans = word_spans(caption)
    for (start, end), word in reversed(list(zip(spans, words, strict=False))):
        if word == thing:
            caption = caption[:start] + name + caption[end:]
    return caption


def _name(random: np.random.Generator) -> str:
    """A name that nobody has."""
    return "".join(str(random.choice(list(letters))) for letters in ("bdfgklmnprstvz", "aeiou") * 3)
