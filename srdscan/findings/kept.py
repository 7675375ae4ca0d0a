"""What was found in a run's images, kept: the same audit with other options of the gate need not look again."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from srdscan.findings.copies import Alike, Spot, Usual
from srdscan.findings.spots import Searched

SCHEMA = 1
"""Raised when images are searched in another way: what was kept from before is then not used."""


def kept(path: Path, found_in: Mapping[str, Any], search: Callable[[], Searched]) -> Searched:
    """What a search finds, or what is in `path` if that was found in the same.

    Args:
        path: file that is read, or written.
        found_in: everything that the search depends on, JSON.
        search: is called if nothing is kept.
    """
    document = json.dumps({"schema": SCHEMA, **found_in}, sort_keys=True)
    key = hashlib.sha256(document.encode()).hexdigest()
    before = _read(path, key)
    if before is not None:
        return before
    found = search()
    _write(path, key, found)
    return found


def _write(path: Path, key: str, searched: Searched) -> None:
    arrays = {"images": searched.images, "vectors": searched.vectors}
    for number, spot in enumerate(searched.found):
        arrays |= {f"{number} images": spot.images, f"{number} boxes": spot.boxes}
    usual = searched.usual
    numbers: dict[str, Any] = {"wholes": [spot.whole for spot in searched.found]}
    if usual is not None:
        arrays |= {"mean": usual.mean, "basis": usual.basis, "alike": usual.alike.mean}
        numbers |= {"radius": usual.radius, "bar": usual.alike.bar}
    partial = path.with_name(path.name + ".partial")
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    save_file(contiguous, partial, {"about": json.dumps({"key": key, **numbers})})  # one entry: they have no order
    os.replace(partial, path)


def _read(path: Path, key: str) -> Searched | None:
    """None if there is nothing, or what was found in something else."""
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            if about.get("key") != key:
                return None
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except SafetensorError:
        return None
    usual = None
    if "mean" in arrays:
        alike = Alike(arrays["alike"], about["bar"])
        usual = Usual(arrays["mean"], arrays["basis"], about["radius"], alike)
    spots = tuple(
        Spot(arrays[f"{number} images"], arrays[f"{number} boxes"], whole)
        for number, whole in enumerate(about["wholes"])
    )
    return Searched(spots, arrays["images"], arrays["vectors"], usual)
