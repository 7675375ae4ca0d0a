"""Tell which sample each tar member belongs to, by webdataset's rules.

Reading and writing share `place_members`, so that they always agree on what a sample is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from srdscan.sources.tar.walk import Member

__all__ = ["Placed", "place_members"]

# Both patterns are webdataset's (tariterators.py): the audit has to see exactly what a training loader sees.
_BASE_PLUS_EXT: Final = re.compile(r"^((?:.*/|)[^.]+)[.]([^/]*)$")
_META: Final = re.compile(r"__[^/]*__($|/)")


@dataclass(frozen=True, slots=True)
class Placed:
    """A member and the sample it belongs to.

    Attributes:
        member: the member.
        index: position of the sample in the shard, from 0; None for what is part of no sample
            (directories, hidden files, names without a dot, `__meta__` entries).
        key: the sample's key; the member's name where `stray`.
        ext: lower-case extension with its dot: ".jpg", ".seg.png". Empty where `index` is None.
        stray: True for a link, a device or an unsafe name that webdataset counts into no sample: it has an
            index of its own so that it can be reported and dropped, and does not separate its neighbours.
        unread: True for a file with an ordinary name that is part of no sample.
    """

    member: Member
    index: int | None = None
    key: str = ""
    ext: str = ""
    stray: bool = False
    unread: bool = False


def place_members(members: Iterator[Member]) -> Iterator[Placed]:
    """Tell which sample each member belongs to, by webdataset's rules.

    A sample is a run of consecutive files with one key; the key is the name up to the first dot after the
    last slash. As in webdataset, `dir/.x.txt` has the key `dir/`: a poisoned sample may hide there.
    """
    count = 0
    open_index, open_key = -1, None
    for member in members:
        match = _BASE_PLUS_EXT.match(member.name)
        key, ext = (match[1], "." + match[2].lower()) if match else (None, "")
        if member.kind in ("file", "sparse") and key is not None and not _META.match(member.name):
            if key != open_key:
                open_index, open_key = count, key
                count += 1
            yield Placed(member, open_index, key, ext)
        elif member.kind == "other" and key is not None and key == open_key:
            yield Placed(member, open_index, key, ext)
        elif member.kind == "other" or not member.safe:
            yield Placed(member, count, member.name if key is None else key, ext, stray=True)
            count += 1
        else:
            name = member.name.rpartition("/")[2]
            yield Placed(member, unread=member.kind == "file" and key is None and not name.startswith((".", "__")))
