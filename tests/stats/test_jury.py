"""Several models at once say of a caption what each says of it with every image in turn."""

from __future__ import annotations

import numpy as np
import pytest

from srdscan.stats.canonical import Moments, fit, information
from srdscan.stats.jury import Jury
from srdscan.stats.similarity import Similarity

COUNT, OTHERS, WIDTH = 300, 200, 8


def test_what_a_jury_says_is_what_comparing_each_pair_says() -> None:
    random = np.random.default_rng(0)
    shared = random.normal(size=(COUNT, WIDTH))
    images, texts = (shared + random.normal(size=(COUNT, WIDTH)) for _ in range(2))
    models = [fit(Moments.of(images, texts), (WIDTH, WIDTH), 0.1), Similarity(texts.mean(axis=0))]
    among, weights = images[:OTHERS], np.array([0.8, 0.6], np.float32)
    heard = Jury(models, among).hear(texts, images)
    drawn = random.integers(OTHERS, size=COUNT)
    total = np.zeros((2, COUNT, OTHERS))
    alone = np.zeros(COUNT)
    for place, model in enumerate(models):
        said = information(model.texts(texts), model.images(among)).astype(np.float64)
        own = np.diag(information(model.texts(texts), model.images(images)))
        centre, spread = said.mean(axis=1), said.std(axis=1)
        total[place] = weights[place] * (said - centre[:, None]) / spread[:, None]
        assert heard.own[:, place] == pytest.approx((own - centre) / spread, abs=1e-3)
        swapped = (said[np.arange(COUNT), drawn] - centre) / spread
        assert heard.of(drawn)[:, place] == pytest.approx(swapped, abs=1e-3)
        alone += weights[place] * (own - centre) / spread
    together = total.sum(axis=0)
    assert heard.scores(weights) == pytest.approx(alone / together.std(axis=1), abs=1e-3)
    others = np.arange(OTHERS) != np.arange(COUNT)[:, None]  # an image is as good as itself
    wanted = ((together < alone[:, None]) & others).sum(axis=1) / OTHERS
    assert heard.ranks(weights) == pytest.approx(wanted, abs=1.01 / OTHERS)
