"""What several test files share: the embedded captioner, and pictures that it knows."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from PIL import Image

os.environ["HF_HUB_OFFLINE"] = "1"  # read once, at the first import: no test may wait for the Hub

from srdscan import scenes
from srdscan.config import AuditConfig
from srdscan.models import loaded
from srdscan.models.captioners.load import EMBEDDED, load_captioner

KEPT = {*EMBEDDED, AuditConfig.sentence_encoder, AuditConfig.language_model}


def pytest_configure(config: pytest.Config) -> None:
    """Each worker gets its share of the cores: threads of several processes on one core wait for each other."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if workers > 1:
        threads = max(1, (os.cpu_count() or 1) // workers)
        os.environ["OMP_NUM_THREADS"] = str(threads)
        torch.set_num_threads(threads)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: a long one that begins last would leave the other workers idle."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def audits_share_the_embedded_models() -> Iterator[None]:
    """An audit loads and fingerprints its models for four seconds; the embedded ones are loaded once a process.

    Nothing in an audit writes to a model. What runs `srdscan` in a process of its own loads them as a user's run does.
    """

    def keep(load: Callable[..., Any]) -> Callable[..., Any]:
        kept = functools.cache(load)
        return lambda name, *options: (kept if name in KEPT else load)(name, *options)

    with pytest.MonkeyPatch.context() as patch:
        for name in ("load_captioner", "SentenceEncoder", "LanguageModel"):
            patch.setattr(loaded, name, keep(getattr(loaded, name)))
        yield


@pytest.fixture(scope="module")
def captioner() -> Any:
    """The embedded captioner; once a file, so that none can leave its mark on another's."""
    return load_captioner("captioner")


@pytest.fixture(scope="module")
def pictures() -> list[Image.Image]:
    """Six drawn scenes; `scenes.compose(11, index)` says what they show."""
    return [scenes.make(11, index)[0] for index in range(6)]
