"""Which bytes an audit read: the digest of each unit, for statements and checksum files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from srdscan.report.schema import Report
from srdscan.report.told import one_line

MOST: Final = 1024
"""Subjects of a statement that GitHub's `actions/attest` takes; of more units, the checksum file is the subject."""
CHECKSUMS: Final = "SHA256SUMS"
OF_FILES: Final = (".tar", ".tar.gz", ".tgz", ".parquet")
"""Units that are one file, whose digest is that of its bytes."""
OF_UNITS: Final = "srdscanUnitV1"
"""Name of the digest of a unit that is several files: sha256 of their names and digests (`OpenUnit.sha256`)."""


@dataclass(frozen=True)
class Subject:
    """What was audited.

    Attributes:
        name: path or URL.
        algorithm: "sha256" of a file's bytes, or `OF_UNITS`.
        digest: in hex.
    """

    name: str
    algorithm: str
    digest: str


def subjects(report: Report) -> list[Subject]:
    """Every unit whose bytes were read, or the checksum file if they are more than `MOST`.

    A unit that could not be read has no digest; the verdict is incomplete then.
    """
    units = [
        Subject(shard.uri or shard.name, "sha256" if is_file(shard.name) else OF_UNITS, shard.sha256)
        for shard in report.shards
        if shard.sha256
    ]
    if len(units) <= MOST:
        return units
    return [Subject(CHECKSUMS, "sha256", hashlib.sha256(to_checksums(report).encode()).hexdigest())]


def is_file(name: str) -> bool:
    """Whether a unit of this name is one file."""
    return name.lower().endswith(OF_FILES)


def to_checksums(report: Report) -> str:
    """The units in the form of `sha256sum`, a line each; those that are no file are comments.

    `sha256sum --check SHA256SUMS` holds the files against it.
    """
    lines = []
    for shard in report.shards:
        name = shard.uri or shard.name
        if not shard.sha256:
            lines.append(f"# not read: {one_line(name)}")
        elif not is_file(shard.name):
            lines.append(f"# {OF_UNITS} {shard.sha256}  {one_line(name)}")
        else:
            # as sha256sum itself does it; what UTF-8 cannot hold is spelled out
            escaped = name.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
            escaped = escaped.encode("utf-8", "backslashreplace").decode()
            lines.append(f"{'' if escaped == name else chr(92)}{shard.sha256}  {escaped}")
    return "".join(line + "\n" for line in lines)
