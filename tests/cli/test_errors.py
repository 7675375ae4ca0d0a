"""What a command says when something goes wrong, and with which exit code."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import urllib.error
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import typer
from safetensors.torch import save_file

from srdscan.cli.errors import INCOMPLETE, USAGE_ERROR, errors, explained
from srdscan.errors import ConfigError
from srdscan.models.fetch import ModelError

FULL_DISK = "the disk is full, or a limit on the size of files is reached"


def raised(number: int, name: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), name)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_says_to_free_space_and_go_on(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left, errors():
        raise raised(number, "out/state/run.json")
    assert left.value.exit_code == INCOMPLETE
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{FULL_DISK} (out/state/run.json: {os.strerror(number)}). Free space and run the same command" in said


def test_a_full_disk_behind_another_error_is_one_too() -> None:
    try:
        try:
            raise raised(errno.ENOSPC, "cache/model.safetensors")
        except OSError as full:
            raise ModelError("cannot be loaded") from full
    except ModelError as error:
        assert explained(error) == (INCOMPLETE, explained(raised(errno.ENOSPC, "cache/model.safetensors"))[1])  # type: ignore[index]


def limited(kind: str, folder: Path) -> None:
    """Writes with a library under a limit of a kilobyte a file, and prints what is made of its error."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
    try:
        if kind == "parquet":
            pq.write_table(pa.table({"x": [os.urandom(64) for _ in range(999)]}), folder / "x.parquet")
        elif kind == "safetensors":
            save_file({"x": torch.rand(99, 99)}, folder / "x.safetensors")
        elif kind == "torch":
            torch.save(torch.rand(99, 99), folder / "x.pt")
        else:
            (folder / "x.txt").write_text("x" * 9999)
    except Exception as error:
        print(explained(error))


@pytest.mark.parametrize("kind", ["parquet", "safetensors", "torch", "text"])
def test_a_limit_on_file_sizes_is_known_whichever_library_meets_it(kind: str, tmp_path: Path) -> None:
    code = f"from pathlib import Path; from test_errors import limited; limited({kind!r}, Path({str(tmp_path)!r}))"
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.startswith(f'({INCOMPLETE}, "{FULL_DISK}') or done.stdout.startswith(
        f"({INCOMPLETE}, '{FULL_DISK}"
    ), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (raised(errno.ENOENT, "gone.tar"), USAGE_ERROR, "gone.tar: No such file or directory"),
        (raised(errno.EACCES, "secret"), USAGE_ERROR, "secret: Permission denied"),
        (raised(errno.EISDIR, "folder"), USAGE_ERROR, "folder: Is a directory"),
        (raised(errno.ENOTDIR, "file/x"), USAGE_ERROR, "file/x: Not a directory"),
        (raised(errno.EROFS, "/ro/x"), USAGE_ERROR, "/ro/x: Read-only file system"),
        (raised(errno.EIO, "x"), INCOMPLETE, "x: Input/output error"),
        (raised(errno.EMFILE, "x"), INCOMPLETE, "x: Too many open files. Raise the limit (ulimit -n 4096) and run the"),
        (raised(errno.ECONNRESET), INCOMPLETE, "the network: Connection reset by peer. Run the same command again"),
        (TimeoutError("timed out"), INCOMPLETE, "the network: timed out. Run"),
        (urllib.error.URLError("no route"), INCOMPLETE, "the network: <urlopen error no route>. Run"),
        (FileNotFoundError("pattern\nmatches nothing"), USAGE_ERROR, "pattern matches nothing"),
        (ConfigError("--fdr 2: too large"), USAGE_ERROR, "--fdr 2: too large"),
        (ModelError("m: not there"), INCOMPLETE, "m: not there"),
        (MemoryError(), INCOMPLETE, "out of memory. Take a smaller --batch-size"),
        (torch.OutOfMemoryError("CUDA"), INCOMPLETE, "out of memory."),
    ],
)
def test_what_the_system_refuses_is_no_bug(error: Exception, code: int, line: str) -> None:
    known = explained(error)
    assert known is not None
    assert known[0] == code
    assert known[1].startswith(line)
    assert "\n" not in known[1]


@pytest.mark.parametrize("error", [ZeroDivisionError(), IndexError(), RuntimeError("x"), AssertionError(), TypeError()])
def test_a_bug_is_none_of_these(error: Exception) -> None:
    assert explained(error) is None
