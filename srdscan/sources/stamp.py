"""Whether a file on the local disk is still the one that was read, without reading it again."""

import os
import stat
from typing import Final

from srdscan.sources.base import Unit
from srdscan.sources.where import is_remote

OF_ONE_FILE: Final = ("webdataset", "parquet")
"""Forms whose units are a file each, so that the file's times speak for all that the fingerprint covers."""


def stamp(format: str, unit: Unit) -> str:
    """Size, inode, and the times of the last change of the content and of the file's entry; else empty.

    Whoever writes to a file moves the last of them, which no call sets: another content with the same stamp takes a
    clock that was put back. Where units are several files, or come from elsewhere, or the system knows no such time
    (Windows), the stamp is empty, and means nothing.
    """
    if format not in OF_ONE_FILE or is_remote(unit.location) or os.name == "nt":
        return ""
    try:
        if not stat.S_ISREG(os.stat(unit.location).st_mode):
            return ""
        with open(unit.location, "rb") as file:  # a network file system asks its server when a file is opened
            facts = os.fstat(file.fileno())
    except OSError:
        return ""
    return f"{facts.st_size} {facts.st_ino} {facts.st_mtime_ns} {facts.st_ctime_ns}"


def changed_at(mark: str) -> int:
    """When the file of a stamp that is not empty was last changed, in nanoseconds since 1970."""
    return max(int(part) for part in mark.split()[2:])


def weight(unit: Unit) -> int:
    """Bytes of a file on the local disk, to tell how much of the work a unit is; 0 where that is unknown."""
    try:
        return os.path.getsize(unit.location) if os.path.isfile(unit.location) else 0
    except (OSError, ValueError):
        return 0
