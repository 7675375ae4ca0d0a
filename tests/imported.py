"""What a command imports, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

MODELS = {"torch", "transformers", "sentence_transformers", "sklearn", "wordfreq"}
ARRAYS = {"numpy", "scipy", "pyarrow", "PIL", "jinja2", "rich", "yaml", "fsspec"}

CODE = """
import json, sys
from srdscan.cli import main
try:
    main()
except SystemExit as left:
    print(json.dumps({"code": left.code or 0, "modules": sorted(sys.modules)}), file=sys.stderr)
"""


def imported_by(*words: object) -> tuple[int, set[str]]:
    """Exit code of `srdscan WORDS`, and which of the modules above were imported at its end."""
    command = [sys.executable, "-c", CODE, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    left = json.loads(done.stderr.splitlines()[-1])
    return left["code"], set(left["modules"]) & (MODELS | ARRAYS)
