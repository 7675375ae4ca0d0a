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


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return LanguageModel()


@pytest.fixture(scope="module")
def sentence_encoder() -> SentenceEncoder:
    return SentenceEncoder()


def test_the_200th_word_is_tried_like_the_first(language_model: LanguageModel) -> None:
    said = LONG.split()[:220]
    (clean,) = language_model.word_gains([" ".join(said)])
    said.insert(199, "banana")
    (gains,) = language_model.word_gains([" ".join(said)])
    tried = words(" ".join(said))
    assert len(gains) == len(tried)
    assert tried[int(gains.argmax())] == "banana"
    usual = np.concatenate(language_model.word_gains(SHORT))
    assert clean.max() < usual.max()
    assert gains.max() > clean.max()


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
    mean = sentence_encoder.embed(passages(long)).mean(axis=0)
    assert vectors[1] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    other = " ".join(SHORT[:35]) + " stock prices fell on all markets" * 40
    assert sentence_encoder.embed([other])[0] @ vectors[1] < 0.9, "the end of a text counts"
