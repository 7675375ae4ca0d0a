"""Numbers as people write them."""

from __future__ import annotations

import math
from typing import Final

_SUPERSCRIPTS: Final = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def p_value(value: float | None) -> str:
    """A p-value; a dash where there is none.

    >>> p_value(0.031), p_value(4.24e-12), p_value(1e-7), p_value(None)
    ('0.031', '4.2 × 10⁻¹²', '10⁻⁷', '–')
    """
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0 or value >= 0.001:
        return f"{value:.2g}"
    digits, exponent = f"{value:.1e}".split("e")
    power = f"10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
    return power if digits == "1.0" else f"{digits} × {power}"


def count_of(number: int, one: str, many: str) -> str:
    """How many of something.

    >>> count_of(1, "pair", "pairs"), count_of(1200, "pair", "pairs")
    ('1 pair', '1,200 pairs')
    """
    return f"{number:,} {one if number == 1 else many}"
