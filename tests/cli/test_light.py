"""What answers at once imports nothing that takes its time."""

from __future__ import annotations

import subprocess
import sys

import pytest
from imported import imported_by


@pytest.mark.parametrize("words", [["--help"], ["audit", "--help"], ["baseline", "-h"], ["rules"], ["rules", "SRD101"]])
def test_help_and_rules_import_neither_models_nor_arrays(words: list[str]) -> None:
    assert imported_by(*words) == (0, set())


def test_help_does_not_import_what_checks_options() -> None:
    code = "import sys; from srdscan.cli.commands import app; app(sys.argv[1:], standalone_mode=False)"
    code += "; assert 'pydantic' not in sys.modules and 'rich' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, "audit", "--help"], check=True, capture_output=True)


def test_the_package_knows_its_version_when_asked() -> None:
    code = "import sys, srdscan; assert 'importlib.metadata' not in sys.modules; print(srdscan.__version__)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip()[0].isdigit()
