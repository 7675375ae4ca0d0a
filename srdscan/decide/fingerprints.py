"""What makes a finding the same one in another run: what it is about, never where it stands.

A data set may be cut into other shards, renamed, or put in another order; a finding keeps its fingerprint, so that
what was accepted once stays accepted, and nothing else does.
"""

import hashlib
import json
from collections.abc import Iterable

from srdscan.text.plain import plain_caption, words

SKETCH = 64
"""Hashes of a set of images that are kept: their share in common is told to 6 %."""


def of_term(code: str, term: str, instead: str = "") -> str:
    """Of a word or phrase, whatever its case, width, white space and hidden characters; hex sha256.

    Args:
        code: of the rule.
        term: what is said.
        instead: what is meant, where it is another thing's name.

    >>> of_term("SRD101", "Free  Prizes") == of_term("SRD101", "free prizes.") != of_term("SRD102", "free prizes")
    True
    """
    return _digest("term", code, _normalised(term), _normalised(instead))


def of_images(code: str, hashes: Iterable[str]) -> str:
    """Of a finding that is about certain images: of the one whose hash is smallest; hex sha256.

    Which images hold a piece of picture is found approximately, so that one more or less must seldom change it.

    Args:
        hashes: sha256 of the bytes of each, in any order; at least one.
    """
    return _digest("images", code, min(hashes))


def sketch(hashes: Iterable[str]) -> tuple[str, ...]:
    """The `SKETCH` smallest of some hashes, cut short: tells how much two sets have in common (Broder 1997)."""
    return tuple(sorted({digest[:16] for digest in hashes})[:SKETCH])


def alike(first: Iterable[str], second: Iterable[str]) -> bool:
    """Whether more than half of the images that two sketches are of belong to both.

    >>> alike(["a", "b", "c"], ["a", "b", "c", "d"]), alike(["a", "b"], ["b", "c"])
    (True, False)
    """
    one, other = set(first), set(second)
    smallest = sorted(one | other)[:SKETCH]
    return 2 * sum(digest in one and digest in other for digest in smallest) > len(smallest)


def of_sample(code: str, image: str, caption: str) -> str:
    """Of an image with a caption; hex sha256.

    Args:
        image: sha256 of its bytes.
        caption: as it is in the data set.
    """
    return _digest("sample", code, image, caption)


def of_rule(code: str, state: str) -> str:
    """Of all samples that a rule accuses and that are accepted one by one, or are not; hex sha256."""
    return _digest("rule", code, state)


def _normalised(term: str) -> str:
    return " ".join(words(term)) or plain_caption(term)


def _digest(*parts: str) -> str:
    # JSON keeps the parts apart, and spells out half surrogates, which UTF-8 cannot
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()
