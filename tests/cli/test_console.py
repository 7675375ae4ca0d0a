"""Consoles that cannot print everything, or that nobody reads: the exit code is the verdict's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from srdscan.cli.console import lasting_streams
lasting_streams()
from rich.console import Console
from rich.table import Table
import typer
table = Table("term", box=None)
table.add_row("naïveté 写真 \\U0001f4f7")
Console(highlight=False).print(table)
typer.echo("café", err=True)
for number in range(int(sys.argv[1])):
    Console(highlight=False).print(f"line {number}")
    typer.echo("echoed")
sys.exit(1)
"""


def printed(lines: int = 1, **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", CODE, str(lines)], capture_output=True, env=os.environ | env)


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("ascii", b"na\\xefvet\\xe9 \\u5199\\u771f \\U0001f4f7"),
        ("cp1252", "naïveté ".encode("cp1252") + b"\\u5199\\u771f \\U0001f4f7"),
        ("utf-8", "naïveté 写真 \U0001f4f7".encode()),
    ],
)
def test_what_cannot_be_encoded_is_replaced(encoding: str, shown: bytes) -> None:
    done = printed(PYTHONIOENCODING=encoding)
    assert done.returncode == 1
    assert shown in done.stdout
    assert "Traceback" not in done.stderr.decode(errors="replace")


def test_the_reader_of_a_pipe_may_leave() -> None:
    done = subprocess.run(
        ["bash", "-c", '"$0" -c "$1" 20000 | head -1; exit ${PIPESTATUS[0]}', sys.executable, CODE],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
    )
    assert (done.returncode, done.stderr.decode()) == (1, "café\n")
    assert done.stdout.decode().split() == ["term"]


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_no_error_and_their_numbers_stay_taken(closed: str, tmp_path: Path) -> None:
    code = CODE.replace("sys.exit(1)", f"import os; f = open({str(tmp_path / 'f')!r}, 'w'); sys.exit(f.fileno())")
    done = subprocess.run(["bash", "-c", f'"$0" -c "$1" 1 {closed}', sys.executable, code], capture_output=True)
    assert done.returncode > 2, done.stderr
    assert b"Traceback" not in done.stderr
