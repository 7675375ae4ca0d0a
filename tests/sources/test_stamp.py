"""A file's stamp changes with its content, whatever its writer does to its times."""

import os
import time
from pathlib import Path

from srdscan.sources.base import Unit
from srdscan.sources.stamp import stamp


def test_a_stamp_stays_until_somebody_writes(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(b"one")
    unit = Unit("a.tar", str(path))
    before, facts = stamp("webdataset", unit), path.stat()
    assert before
    path.read_bytes()
    assert stamp("webdataset", unit) == before
    time.sleep(0.05)
    path.write_bytes(b"two")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert path.stat().st_mtime_ns == facts.st_mtime_ns
    assert stamp("webdataset", unit) != before


def test_what_is_not_one_local_file_has_no_stamp(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tar")
    assert stamp("folder", Unit("d", str(tmp_path))) == ""
    assert stamp("webdataset", Unit("d.tar", str(tmp_path))) == ""
    assert stamp("webdataset", Unit("pipe.tar", str(tmp_path / "pipe.tar"))) == ""
    assert stamp("webdataset", Unit("no.tar", str(tmp_path / "no.tar"))) == ""
    assert stamp("webdataset", Unit("a.tar", "https://example.org/a.tar")) == ""
