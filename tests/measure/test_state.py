"""A file of the state is whole or not there."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from srdscan.measure.state import replace_text


def test_a_text_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    replace_text(path, "one")
    replace_text(path, "zwei ü")
    assert path.read_text(encoding="utf-8") == "zwei ü"
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]


def test_a_disk_that_is_full_leaves_the_old_text_and_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    replace_text(path, "old")
    code = (
        "import resource, sys; from pathlib import Path; from srdscan.measure.state import replace_text\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
        "try: replace_text(Path(sys.argv[1]), 'x' * 9999)\n"
        "except OSError as error: print(error.errno, error.filename)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(errno.EFBIG), str(path)]
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.json"]


def test_a_folder_that_is_not_there_is_the_error_that_is_raised(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        replace_text(tmp_path / "file" / "x.json", "x")
