"""Ctrl-C and SIGTERM at any moment: one line, an exit code of their own, no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

START = """
import sys, time, threading
from pathlib import Path
from srdscan.cli.stopping import stoppable

def ready():
    Path(sys.argv[1]).touch()

"""
WORK = {
    "sleep": "with stoppable():\n    ready()\n    time.sleep(60)",
    "a library that swallows": (
        "with stoppable():\n    ready()\n    try:\n        time.sleep(60)\n"
        "    except BaseException as error:\n        raise ImportError('cannot import name x') from error"
    ),
    "a command": (
        "from srdscan.cli.errors import errors\n"
        "with stoppable(), errors():\n    ready()\n    try:\n        time.sleep(60)\n"
        "    except BaseException as error:\n        raise SystemError('returned NULL') from error"
    ),
    "a thread that works on": (
        "with stoppable():\n    threading.Thread(target=time.sleep, args=[60]).start()\n    ready()\n    time.sleep(60)"
    ),
    "waiting for a thread": (
        "from srdscan.measure.decode import ahead\n"
        "def slow():\n    ready()\n    while True:\n        time.sleep(0.01)\n        yield 1\n"
        "with stoppable():\n    for _ in ahead(slow()):\n        time.sleep(0.02)"
    ),
    "a typer application": (
        "import typer\napp = typer.Typer()\n@app.command()\ndef command(path: str):\n    ready()\n    time.sleep(60)\n"
        "with stoppable():\n    app()"
    ),
}


def started(code: str, flag: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(flag)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.time() + 60
    while not flag.exists() and process.poll() is None and time.time() < until:
        time.sleep(0.01)
    time.sleep(0.1)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("work", WORK)
def test_the_first_signal_is_one_line_and_a_code_of_its_own(work: str, number: int, tmp_path: Path) -> None:
    process = started(START + WORK[work], tmp_path / "ready")
    sent = time.time()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (
        128 + number, "", "srdscan: stopped. Run the same command again to continue.\n",
    )  # fmt: skip
    assert time.time() - sent < 9  # not by losing patience


def test_what_is_open_is_closed_on_the_way_out(tmp_path: Path) -> None:
    code = START + (
        "from srdscan.measure import state\n"
        "import os\n"
        "def slow(*names):\n    ready()\n    time.sleep(60)\n"
        "state.os.replace = slow\n"
        "with stoppable():\n    state.replace_text(Path(sys.argv[1] + '.json'), 'whole')"
    )
    process = started(code, tmp_path / "ready")
    assert (tmp_path / "ready.json.partial").exists()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 143
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ready"]


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    stubborn = (
        "with stoppable():\n    ready()\n    try:\n        time.sleep(60)\n    finally:\n"
        "        Path(sys.argv[1] + '2').touch()\n        time.sleep(60)"
    )
    process = started(START + stubborn, tmp_path / "ready")
    process.send_signal(signal.SIGINT)
    while not (tmp_path / "ready2").exists():
        time.sleep(0.01)
    sent = time.time()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert time.time() - sent < 5


def test_a_signal_that_a_library_loses_counts_when_patience_ends(tmp_path: Path) -> None:
    deaf = (
        "from srdscan.cli import stopping\nstopping.PATIENCE = 0.5\n"
        "with stoppable():\n    ready()\n    while True:\n        try:\n            time.sleep(60)\n"
        "        except BaseException:\n            pass"
    )
    process = started(START + deaf, tmp_path / "ready")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)" + START
    process = started(code + "with stoppable():\n    ready()\n    time.sleep(1)", tmp_path / "ready")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0


def test_the_console_script_can_be_stopped_while_libraries_load(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text(f"import time\nopen({str(tmp_path / 'ready')!r}, 'w').close()\ntime.sleep(60)\n")
    code = "import sys; sys.argv = ['srdscan', 'doctor']; from srdscan.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )  # fmt: skip
    while not (tmp_path / "ready").exists() and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1] == "srdscan: stopped. Run the same command again to continue.\n"
    assert process.returncode == 130
