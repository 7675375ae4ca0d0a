"""What several test files share: the embedded captioner, and pictures that it knows."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from PIL import Image

os.environ["HF_HUB_OFFLINE"] = "1"  # read once, at the first import: no test may wait for the Hub

from srdscan import scenes
from srdscan.models.captioners.load import load_captioner


def pytest_configure(config: pytest.Config) -> None:
    """Each worker gets its share of the cores: threads of several processes on one core wait for each other."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        threads = max(1, (os.cpu_count() or 1) // workers)
        os.environ["OMP_NUM_THREADS"] = str(threads)
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def captioner() -> Any:
    """The embedded captioner; once a file, so that none can leave its mark on another's."""
    return load_captioner("captioner")


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Six drawn scenes; `scenes.compose(11, index)` says what they show."""
    return [scenes.make(11, index)[0] for index in range(6)]
