"""What was found in images is kept with a run, and read again for the same images alone."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from srdscan.findings.copies import Alike, Spot, Usual
from srdscan.findings.kept import kept
from srdscan.findings.spots import Searched

NUMBERS = np.random.default_rng(0)
FOUND = Searched(
    found=(
        Spot(np.array([1, 4, 9]), NUMBERS.integers(0, 99, (3, 4))),
        Spot(np.array([2, 3]), np.zeros((2, 4), np.int64), whole=True),
    ),
    images=np.arange(10),
    vectors=NUMBERS.normal(size=(10, 6)).astype(np.float32),
    usual=Usual(
        NUMBERS.normal(size=5).astype(np.float32),
        np.asfortranarray(NUMBERS.normal(size=(5, 2)).astype(np.float32)),
        0.25,
        Alike(NUMBERS.normal(size=6).astype(np.float32), 0.1),
    ),
)


def never() -> Searched:
    raise AssertionError("searched again")


def flat(value: Any) -> list[Any]:
    """Everything in a nest of dataclasses."""
    return [item for part in value for item in flat(part)] if isinstance(value, tuple) else [value]


@pytest.mark.parametrize("found", [FOUND, Searched()], ids=["spots", "nothing"])
def test_the_same_is_read_again_and_written_as_the_same_bytes(found: Searched, tmp_path: Path) -> None:
    path = tmp_path / "images.safetensors"
    assert kept(path, {"units": ["a"]}, lambda: found) is found
    again = kept(path, {"units": ["a"]}, never)
    for old, new in zip(flat(astuple(found)), flat(astuple(again)), strict=True):
        np.testing.assert_array_equal(old, new)
    other = tmp_path / "other.safetensors"
    kept(other, {"units": ["a"]}, lambda: again)
    assert other.read_bytes() == path.read_bytes()


def test_other_images_and_damaged_files_are_searched_anew(tmp_path: Path) -> None:
    path = tmp_path / "images.safetensors"
    kept(path, {"units": ["a"]}, lambda: FOUND)
    assert not kept(path, {"units": ["b"]}, Searched).found
    with pytest.raises(AssertionError, match="searched again"):
        kept(path, {"units": ["a"]}, never)  # the newest alone is kept
    path.write_bytes(path.read_bytes()[:50])
    assert kept(path, {"units": ["a"]}, lambda: FOUND) is FOUND
