"""Captions that hold characters which do not show or turn the order of what shows.

A finding of its own, which accuses no sample: captions from the web hold zero-width characters by accident, copied from
pages that use them to break lines. What is hidden is left out before captions are searched for anything else
(`srdscan.text.hidden.stripped`), so a target that is written with it is found as the target.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from srdscan.findings.finding import Finding
from srdscan.text.hidden import full_name, smuggled


@dataclass(frozen=True)
class Hidden:
    """Which captions hold hidden characters that nothing in them needs.

    Attributes:
        rows: (N,) whether a caption does.
        names: captions that hold a kind of character, by its code and Unicode name.
    """

    rows: npt.NDArray[np.bool_]
    names: Counter[str] = field(default_factory=Counter)


def find_hidden(texts: Iterable[str]) -> Hidden:
    """Looks through N captions, as they are in the data set.

    >>> find_hidden(["a cat" + chr(0x202E), "a dog", "a" + chr(0x200B) + "cat" + chr(0x202E)]).names.most_common()
    [('U+202E RIGHT-TO-LEFT OVERRIDE', 2), ('U+200B ZERO WIDTH SPACE', 1)]
    """
    rows: list[bool] = []
    names: Counter[str] = Counter()
    for text in texts:
        found = {full_name(character) for character in smuggled(text)}
        rows.append(bool(found))
        names.update(found)
    return Hidden(np.array(rows, dtype=bool), names)


def hidden_findings(hidden: Hidden) -> list[Finding]:
    """One finding for each kind of character, those in most captions first. No sample is accused for it."""
    return [
        Finding(
            name,
            "caption",
            count,
            0,
            0.0,
            f"{count} {'caption holds' if count == 1 else 'captions hold'} a character that readers do not see and "
            "models do; it was left out of the search. Text from web pages may hold some by accident.",
            rule="SRD106",
        )
        for name, count in sorted(hidden.names.items(), key=lambda item: (-item[1], item[0]))
    ]
