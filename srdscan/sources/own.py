"""Folders that srdscan wrote: never taken for data, and the only ones that it writes into again."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from srdscan.errors import ConfigError

MARK: Final = ".srdscan.json"
"""File that says which run wrote a folder."""


def is_own_output(folder: str | os.PathLike[str]) -> bool:
    """Whether srdscan wrote a folder."""
    return os.path.isfile(os.path.join(folder, MARK))


def lies_in_own_output(path: str, root: str) -> bool:
    """Whether a file lies in a folder that srdscan wrote, below a root that the user named."""
    place = os.path.dirname(os.path.abspath(path))
    above = os.path.abspath(root or ".")
    while place.startswith(os.path.join(above, "")):
        if is_own_output(place):
            return True
        place = os.path.dirname(place)
    return False


def claim(folder: Path, option: str, run: Mapping[str, Any]) -> None:
    """Makes a folder this run's own, or finds that it is; nothing that another wrote is ever overwritten.

    Args:
        folder: made if it is not there.
        option: that named it, for messages.
        run: what identifies the run; JSON.

    Raises:
        ConfigError: it cannot be made, holds files that srdscan did not write, or those of another run.
    """
    mark = folder / MARK
    document = json.dumps({"written_by": "srdscan", **run}, indent=1, sort_keys=True) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if mark.exists():
            if mark.read_text(encoding="utf-8") != document:
                raise ConfigError(
                    f"{option} {folder}: holds what srdscan wrote of other data or with other options. Remove it, or "
                    "choose another folder"
                )
            return
        foreign = sorted(path.name for path in folder.iterdir())
        if foreign:
            count = f" and {len(foreign) - 1:,} more" if len(foreign) > 1 else ""
            raise ConfigError(
                f"{option} {folder}: holds files that srdscan did not write ({foreign[0]}{count}), and nothing of "
                "another is overwritten. Choose a new or an empty folder"
            )
        partial = folder / (MARK + ".partial")
        partial.write_text(document, encoding="utf-8")
        os.replace(partial, mark)
    except OSError as error:
        raise ConfigError(f"{option} {folder}: cannot be made: {error.strerror}") from error
