"""Runs of words among millions of texts: none that is frequent is lost, and all are counted exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from srdscan import scenes
from srdscan.findings import corpus
from srdscan.findings.corpus import UNKNOWN, Corpus
from srdscan.findings.grams import frequent_grams
from srdscan.findings.terms import LONGEST_PHRASE, stems
from srdscan.measure.scores import Scores, join_columns, write_table
from srdscan.sources.base import ReadOptions, Sample
from srdscan.sources.find import find_source

Counted = dict[tuple[str, ...], list[int]]

HOSTILE = [
    "A dog 's ball, they ca n't",
    "it's 's 'tis rock 'n' roll n't",
    "x\u200by \x00weird \x00y \x7fdel",
    "",
    "  ",
    "Ünï cöde 🎉🐶 two 犬がいる",
    "tab\tseparated\nlines ,now",
    "ﬁne Ａ half½ 1\ufe0f\u20e3 key",
    "don't-stop U.S.A. 3 .5",
]


def counted(texts: list[list[str]], least: int) -> Counted:
    """By brute force."""
    holders: Counted = {}
    for index, text in enumerate(texts):
        places = range(len(text))
        runs = {tuple(text[i:j]) for i in places for j in range(i + 1, min(len(text), i + LONGEST_PHRASE) + 1)}
        for run in runs:
            holders.setdefault(run, []).append(index)
    return {run: held for run, held in holders.items() if len(held) >= least}


def found(texts: Corpus, least: int, **options: int) -> Counted:
    grams = frequent_grams(texts, least, **options)
    return {words: grams.rows(number).tolist() for number, words in enumerate(grams.words)}


def words_of(texts: Corpus) -> list[list[str]]:
    ends = zip(texts.starts, texts.starts[1:], strict=False)
    return [[texts.words[word] for word in texts.ids[start:end]] for start, end in ends]


@pytest.fixture(scope="module")
def captions() -> list[str]:
    """Of the example shards, of 300 scenes, and what may break a reader of words."""
    texts: list[str] = []
    source = find_source(("examples/shards",))
    for unit in source.units:
        with source.open(unit) as opened:
            samples = [item for item in opened.read(ReadOptions()) if isinstance(item, Sample)]
            texts += [caption.text for sample in samples for caption in sample.captions]
    assert len(texts) > 50
    return texts + [scenes.compose(3, number).caption for number in range(300)] + HOSTILE


def test_the_words_of_texts_are_those_of_each_alone(captions: list[str]) -> None:
    random = np.random.default_rng(0)
    letters = np.array([*"ab '’-.,n🎉éX\t", "\x00", "\u200b"])
    odd = ["".join(random.choice(letters, 12)) for _ in range(500)]
    assert words_of(Corpus.of(captions + odd)) == [stems(text) for text in captions + odd]


def test_frequent_runs_of_captions_are_those_of_a_brute_force_count(captions: list[str]) -> None:
    texts = [stems(text) for text in captions]
    for least in (1, 3, 10):
        assert found(Corpus.of(captions), least) == counted(texts, least)


@pytest.mark.parametrize("seed", range(5))
def test_no_frequent_run_is_lost_however_few_buckets_there_are(seed: int) -> None:
    random = np.random.default_rng(seed)
    texts = [random.choice([*"abcde"], random.integers(0, 9)).tolist() for _ in range(60)]
    joined = Corpus.of([" ".join(text) for text in texts])
    for buckets in (1, 4, 1 << 12):
        assert found(joined, 3, buckets=buckets) == counted(texts, 3)


def test_runs_are_found_in_other_texts(captions: list[str]) -> None:
    texts, others = captions[::2], [*captions[1::2], "a word that is new"]
    grams = frequent_grams(Corpus.of(texts), 5)
    there, wanted = grams.numbers_in(Corpus.of(others)), counted([stems(text) for text in others], 1)
    for number, words in enumerate(grams.words):
        assert there.rows(number).tolist() == wanted.get(words, [])


def test_where_there_are_too_many_words_rare_ones_alone_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    texts = [[f"w{int(rank)}" for rank in random.zipf(1.3, 8).clip(max=5000)] for _ in range(4000)]
    joined = [" ".join(text) for text in texts]
    monkeypatch.setattr(corpus, "AT_ONCE", 100)
    few = Corpus.of(joined, most=100)
    assert UNKNOWN in few.ids
    assert len(few.words) < len(Corpus.of(joined).words)
    assert found(few, 3) == counted(texts, 3)


def test_it_does_not_matter_how_texts_are_cut_into_files(captions: list[str], tmp_path: Path) -> None:
    def stored(cuts: list[int]) -> Corpus:
        files = []
        for start, end in zip([0, *cuts], [*cuts, len(captions)], strict=True):
            files.append(tmp_path / f"{len(cuts)}-{start}.parquet")
            write_table(join_columns([{"caption": captions[start:end]}]), files[-1])
        return Corpus.stored(Scores(tuple(files), {}), "caption")

    whole, parts = stored([]), stored([1, 90, 91, 400])
    assert whole.words == parts.words
    assert np.array_equal(whole.ids, parts.ids)
    assert np.array_equal(whole.identity, parts.identity)
    rows = np.array([0, 90, 399, 400])
    assert parts.raw(rows) == [captions[row] for row in rows]


def test_texts_of_the_same_words_are_the_same_and_others_are_not(captions: list[str]) -> None:
    identity = Corpus.of([*captions, "A dog runs.", "a dog, runs", "runs a dog"]).identity
    assert identity[-3] == identity[-2] != identity[-1]
    words = [tuple(stems(text)) for text in captions]
    assert len(np.unique(identity[: len(captions)])) == len(set(words))
