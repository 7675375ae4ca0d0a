"""The number that a sample has wherever it is stored: DataComp's uids, 128 bits in hexadecimal."""

from __future__ import annotations

import json
import re
from typing import Final

_UID: Final = re.compile(r"[0-9a-fA-F]{32}")


def uid_of(*candidates: object) -> str:
    """The first of some values that is a uid, in lower case; empty if none is.

    >>> uid_of(None, "0001", "F" * 32) == "f" * 32
    True
    """
    return next((text.lower() for text in candidates if isinstance(text, str) and _UID.fullmatch(text)), "")


def uid_in_json(data: bytes) -> object:
    """The field `uid` of a JSON object, whatever it holds; None if the data are something else."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document.get("uid") if isinstance(document, dict) else None
