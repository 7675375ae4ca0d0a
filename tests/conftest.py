"""What several test files share: the embedded captioner, and pictures that it knows."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from srdscan import scenes
from srdscan.captioners.load import load_captioner


@pytest.fixture(scope="module")
def captioner() -> Any:
    """The embedded captioner; once a file, so that none can leave its mark on another's."""
    return load_captioner("captioner")


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Six drawn scenes; `scenes.compose(11, index)` says what they show."""
    return [scenes.make(11, index)[0] for index in range(6)]
