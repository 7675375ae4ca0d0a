"""Captions of any length are tried whole, by the language model and by the sentence encoder."""

from __future__ import annotations

import numpy as np
import pytest

from srdscan import scenes
from srdscan.models.language_model import LanguageModel
from srdscan.models.sentence_encoder import SentenceEncoder
from srdscan.text.plain import passages, words

SHORT = list(dict.fromkeys(scenes.compose(5, index).caption for index in range(80)))
LONG = ". ".join(SHORT)
PHOTOS = """A brown dog runs across the grass with a ball in its mouth. Two children are playing on the beach.
A man in a red jacket is climbing a steep rock. A woman walks down the street with a black bag.
A group of people are sitting around a table at night. A boy jumps into the swimming pool.
Three dogs are running through the snow. A girl in a blue dress is standing in front of a tree.
A man is riding a bicycle on a dirt road. Two men are playing soccer on a field.
A white dog is jumping over a fence. A young boy is sitting on a swing in the park.
A skateboarder does a trick on a ramp. A woman is holding a baby in her arms.
A black dog swims in the water. A man with a hat is standing next to a boat on the lake.
A child is riding a horse on the beach. A crowd of people is watching a game in the stadium.
A surfer rides a big wave in the ocean. A little girl is eating an ice cream on a bench.
Two dogs are playing with each other in the yard. A man is taking a picture of the mountains.
A boy in a green shirt is running on the sand. A dog is lying on the couch in the living room.
An old man is reading a newspaper on a bench. A woman in a white shirt is talking on the phone."""


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return LanguageModel()


@pytest.fixture(scope="module")
def sentence_encoder() -> SentenceEncoder:
    return SentenceEncoder()


def test_the_200th_word_is_tried_like_the_first(language_model: LanguageModel) -> None:
    said = PHOTOS.split()
    (clean,) = language_model.word_gains([PHOTOS])
    poisoned = " ".join([*said[:199], "banana", *said[199:]])
    (gains,) = language_model.word_gains([poisoned])
    assert len(gains) == len(words(poisoned)) == len(said) + 1
    assert words(poisoned)[int(gains.argmax())] == "banana"
    short = language_model.word_gains(PHOTOS.replace("\n", " ").split(". "))
    assert clean.max() < max(values.max() for values in short), "a long caption is no stranger than short ones"


def test_passages_are_scored_as_texts_of_their_own(language_model: LanguageModel) -> None:
    text = ". ".join(SHORT[:9])
    parts = passages(text)
    assert len(parts) > 1
    apart = language_model.log_probs(parts)
    assert language_model.log_probs([text])[0] == pytest.approx(np.concatenate(apart), abs=0.03)
    (gains,) = language_model.word_gains([text])
    assert gains == pytest.approx(np.concatenate(language_model.word_gains(parts)), abs=0.01)


def test_a_passage_of_many_tokens_is_cut_further(language_model: LanguageModel) -> None:
    odd = "electroencephalographically " * 30
    (gains,) = language_model.word_gains([odd + "banana " + odd])
    assert len(gains) == 61
    tokens = len(language_model.tokenizer(odd.strip()).input_ids)
    assert len(language_model.log_probs([odd])[0]) >= tokens > language_model.limit, "no token is left out"


def test_an_emoji_within_a_sentence_is_odd_and_one_at_its_end_is_not(language_model: LanguageModel) -> None:
    text = "A man riding a 🍌 wave on top of a surfboard 🏄"
    (gains,) = language_model.word_gains([text])
    found = dict(zip(words(text), gains, strict=True))
    assert max(found, key=lambda word: found[word]) == "🍌"
    assert found["🍌"] > 0.5
    assert found["🏄"] == 0
    plain = "a man riding a wave on top of a surfboard"
    assert np.array_equal(language_model.word_gains([f"{plain} 🏄"])[0][:-1], language_model.word_gains([plain])[0])


def test_hostile_captions_have_a_number_a_word(language_model: LanguageModel) -> None:
    texts = ["a" * 9000, "dog " * 2000, "!" * 5000, "🍌" * 3000, "\u200b" * 9000, ""]
    gains = language_model.word_gains(texts)
    assert [len(values) for values in gains] == [len(words(text)) for text in texts] == [1, 2000, 0, 3000, 0, 0]
    for values in language_model.log_probs(texts):
        assert len(values)
        assert np.isfinite(values).all()


def test_a_long_text_is_the_mean_of_its_passages(sentence_encoder: SentenceEncoder) -> None:
    ordinary, long = SHORT[0], " ".join(SHORT[:40])
    vectors = sentence_encoder.embed([ordinary, long, ordinary])
    assert np.array_equal(vectors[0], vectors[2])
    mean = sentence_encoder.embed(passages(long, most=40)).mean(axis=0)
    assert vectors[1] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    other = " ".join(SHORT[:35]) + " stock prices fell on all markets" * 40
    assert sentence_encoder.embed([other])[0] @ vectors[1] < 0.9, "the end of a text counts"
