"""Folders that several jobs need, made once."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """A folder that `make` fills, unless it is there.

    It is filled under a name of this process's and renamed, so that it is never seen half full. Jobs that want the same
    one at the same time each fill their own; that of the first stays.

    Args:
        make: called with the folder to make and fill, whose parent exists.
    """
    if not folder.exists():
        own = folder.with_name(f"{folder.name}.{os.getpid()}")
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(own, ignore_errors=True)
        try:
            make(own)
            try:
                os.replace(own, folder)
            except OSError:  # a folder that holds something is not replaced: another job was first
                if not folder.exists():
                    raise
        finally:
            shutil.rmtree(own, ignore_errors=True)
    return folder
