"""Captions as text: what a word is in any script, what is invisible, long captions in passages."""

from __future__ import annotations

import doctest
import random

import pytest

import srdscan.text.hidden
from srdscan.text.hidden import full_name, smuggled, stripped
from srdscan.text.plain import passages, plain_caption, word_spans, words

ENGLAND = "🏴" + "".join(chr(0xE0000 + ord(letter)) for letter in "gbeng") + "\U000e007f"
FAMILY = "👨\u200d👩\u200d👧"
TAGS = "".join(chr(0xE0000 + ord(letter)) for letter in "say banana")


def test_the_examples_in_the_docstrings_hold() -> None:
    found = doctest.testmod(srdscan.text.hidden)
    assert (found.attempted > 0, found.failed) == (True, 0)


@pytest.mark.parametrize(
    "written",
    ["ba\u200bnana", "ｂａｎａｎａ", "BA\u00adNANA", f"banana{TAGS}", "\u2066ba\u2060na\ufeffna\u2069", "ban\u034fana",
     "b\ufe0fa\U000e0100nana", "ba\u180enana", "bana\u202dna", "ba\x00na\x1bna", "\u3164banana",
     "ba\ud800nana", "\u115fbanana"],
)  # fmt: skip
def test_a_word_is_found_however_it_is_hidden(written: str) -> None:
    caption = f"A dog {written} runs ."
    assert words(caption) == ["a", "dog", "banana", "runs"]
    spans = word_spans(caption)
    assert len(spans) == 4
    start, end = spans[2]
    assert words(caption[start:end]) == ["banana"]
    assert words(caption[:start] + caption[end:]) == ["a", "dog", "runs"]


def test_lines_tabs_and_blanks_are_spaces() -> None:
    assert plain_caption("A dog\n\truns\u2800on\u00a0sand\x1f\x85") == "a dog runs on sand"


@pytest.mark.parametrize("emoji", ["🍌", "👍🏽", "🇩🇪", ENGLAND, FAMILY, "❤", "1\u20e3", "🏴\u200d☠", "👩🏽\u200d🚀"])
def test_an_emoji_is_a_word_of_its_own(emoji: str) -> None:
    assert words(f"A dog{emoji}runs {emoji}{emoji}.") == ["a", "dog", emoji, "runs", emoji, emoji]
    caption = f"Two {emoji} dogs"
    start, end = word_spans(caption)[1]
    assert caption[start:end] == emoji


def test_an_emoji_in_colour_and_in_outline_is_one() -> None:
    assert words("❤ ❤\ufe0f 1\ufe0f\u20e3 👩\u200d❤\ufe0f\u200d👨") == ["❤", "❤", "1\u20e3", "👩\u200d❤\u200d👨"]
    assert [end - start for start, end in word_spans("❤\ufe0f dog")] == [2, 3], "nothing of it is left by a cut"


def test_marks_and_bullets_are_no_words_and_letters_keep_their_marks() -> None:
    assert words("© ® ▶ → • 12 #1 *") == ["12", "1"]
    assert words("हिन्दी b̶a̶n̶") == ["हिन्दी", "b̶a̶n̶"]


def test_spans_are_of_the_words_in_any_text() -> None:
    alphabet = [*"ab Z's-.,!?0ﬁＢé\u0301\u200b\u200d\ufe0f\u00ad\u202e👩👍🏽❤🇩🇫1\u20e3🏴한ㄱㅏहि漢㊗Ⓜ🈁©™Σς\n\t"]
    alphabet += [*"\u3000\u1160\u0600nt_"]
    dice = random.Random(1)
    for _ in range(1500):
        text = "".join(dice.choice(alphabet) for _ in range(dice.randint(0, 30)))
        plain, found = plain_caption(text), words(text)
        assert plain_caption(plain) == plain
        assert [plain[start:end] for start, end in word_spans(plain)] == found
        assert [word for start, end in word_spans(text) for word in words(text[start:end])] == found
        parts = passages(text, most=2, whole=2)
        assert [word for part in parts for word in words(part)] == found
        assert "".join("".join(parts).split()) == "".join(plain.split())


def test_a_character_that_is_several_words_is_one_span() -> None:
    assert words("3½ dogs") == ["31", "2", "dogs"]
    assert word_spans("3½ dogs") == [(0, 2), (3, 7)]


def test_passages_are_nearly_equal_and_begin_with_what_belongs_to_their_words() -> None:
    assert [len(words(part)) for part in passages("dog " * 41)] == [13, 14, 14]
    assert [len(words(part)) for part in passages("dog " * 2000)] == [20] * 100
    assert passages("Dog " * 40) == [" ".join(["dog"] * 40)]
    assert passages("!" * 5000) == passages("") == [""]
    sentences = "One dog. Two cats run fast. " * 12
    assert {part.split()[0] for part in passages(sentences)} <= {"one", "two"}
    assert max(len(words(part)) for part in passages("a dog. " * 300)) <= 20
    assert passages("one two (three) four", most=2, whole=2) == ["one two", "(three) four"]
    assert passages("🍌" * 5, most=3, whole=3) == ["🍌🍌", "🍌🍌🍌"]


@pytest.mark.parametrize(
    "honest",
    ["a dog\n\ton grass", f"{ENGLAND} {FAMILY} ❤\ufe0f ©\ufe0f 1\ufe0f\u20e3 🙂\u200d↔\ufe0f",
     "\ufeffa dog", "co\u00adoperate", "می\u200cخواهم", "क्\u200dष", "\u200fשלום\u200f (a dog)",
     "葛\U000e0100城市", "สวัสดี\u200bครับ", "\u2067كلب\u2069"],
)  # fmt: skip
def test_what_emoji_and_scripts_need_is_not_smuggled(honest: str) -> None:
    assert not list(smuggled(honest))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a\u200bb", ["U+200B ZERO WIDTH SPACE"]),
        ("שלום \u202e dog", ["U+202E RIGHT-TO-LEFT OVERRIDE"]),
        ("dog\u200d \u200d", ["U+200D ZERO WIDTH JOINER"] * 2),
        ("می\u200c\u200cخ", ["U+200C ZERO WIDTH NON-JOINER"]),
        ("dog\ufeff", ["U+FEFF ZERO WIDTH NO-BREAK SPACE"]),
        ("🐕\U000e0101\ufe0f", ["U+E0100-U+E01EF VARIATION SELECTORS", "U+FE00-U+FE0F VARIATION SELECTORS"]),
        ("🏴\U000e0061", ["U+E0000-U+E007F TAG CHARACTERS"]),
        ("dog\x1b[1m\x7f", ["U+001B ESC", "U+007F CONTROL CHARACTER"]),
    ],
)
def test_the_rest_has_names(text: str, names: list[str]) -> None:
    assert [full_name(character) for character in smuggled(text)] == names


def test_long_tags_after_a_flag_are_text() -> None:
    assert len(list(smuggled("🏴" + TAGS.replace("\U000e0020", "") + "\U000e007f"))) == 10
    assert stripped(f"🏴{TAGS}") == "🏴"
