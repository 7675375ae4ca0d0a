"""Hidden characters are a finding of their own."""

from __future__ import annotations

import doctest

import srdscan.findings.hidden
from srdscan.findings.hidden import find_hidden, hidden_findings


def test_the_examples_in_the_docstrings_hold() -> None:
    found = doctest.testmod(srdscan.findings.hidden)
    assert (found.attempted > 0, found.failed) == (True, 0)


def test_captions_that_hold_them_are_counted_by_kind() -> None:
    tags = "\U000e0061\U000e0062\U000e0063"
    hidden = find_hidden(
        iter(["a dog", f"a cat{tags}", "👨\u200d👩\u200d👧 ❤\ufe0f", f"{tags}\u202efish", "\u200b" * 9])
    )
    assert hidden.rows.tolist() == [False, True, False, True, True]
    first, *others = hidden_findings(hidden)
    assert (first.term, first.where, first.samples) == ("U+E0000-U+E007F TAG CHARACTERS", "caption", 2)
    assert "2 captions hold" in first.explanation
    assert [(f.term, f.samples) for f in others] == [
        ("U+200B ZERO WIDTH SPACE", 1),
        ("U+202E RIGHT-TO-LEFT OVERRIDE", 1),
    ]
    assert "1 caption holds" in others[0].explanation


def test_plain_captions_have_none() -> None:
    hidden = find_hidden(["a dog", "", "zwei Hunde – 两只狗"])
    assert not hidden.rows.any()
    assert hidden_findings(hidden) == []
    assert find_hidden([]).rows.shape == (0,)
