"""Canonical correlations from sums: the information is the Gaussian's, and sums may be split as one likes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from srdscan.stats.canonical import Gaussian, Moments, blend, fit, information

X, T = 5, 4


@pytest.fixture(scope="module")
def pairs() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    common = random.normal(size=(4000, 3))
    x = common @ random.normal(size=(3, X)) + random.normal(size=(4000, X)) + 2.0
    t = common @ random.normal(size=(3, T)) + random.normal(size=(4000, T)) - 1.0
    return x, t


def test_the_information_is_the_log_ratio_of_gaussian_densities(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    x, t = pairs
    moments = Moments.of(x, t)
    model = fit(moments, (X, T), ridge=0.0)
    mean, covariance = moments.mean, moments.covariance
    together = multivariate_normal(mean, covariance)
    alone = multivariate_normal(mean[:X], covariance[:X, :X]), multivariate_normal(mean[X:], covariance[X:, X:])
    rows = slice(0, 20)
    found = information(model.texts(t[rows]), model.images(x[rows]))
    wanted = np.array(
        [
            [together.logpdf(np.r_[x[i], t[j]]) - alone[0].logpdf(x[i]) - alone[1].logpdf(t[j]) for i in range(20)]
            for j in range(20)
        ]
    )
    assert found - found.mean() == pytest.approx(wanted - wanted.mean(), abs=1e-3)


def test_sums_of_parts_are_the_sums_of_the_whole(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    x, t = pairs
    whole, part = Moments.of(x, t), Moments.of(x[:700], t[:700])
    rest = Moments.of(x[700:], t[700:])
    assert (part + rest).covariance == pytest.approx(whole.covariance)
    assert (whole - part).covariance == pytest.approx(rest.covariance)
    assert whole.covariance == pytest.approx(np.cov(np.concatenate([x, t], axis=1).T, bias=True))


def test_a_prior_counts_as_much_as_its_weight(pairs: tuple[np.ndarray, np.ndarray]) -> None:
    own = Moments.of(*pairs)
    prior = Gaussian(np.zeros(X + T), np.eye(X + T))
    assert blend(own, prior, 0.0).covariance == pytest.approx(own.covariance)
    half = blend(own, prior, own.count)
    assert half.covariance == pytest.approx((own.covariance + np.eye(X + T)) / 2)
    assert half.mean == pytest.approx(own.mean)


def test_a_ridge_lowers_correlations_that_few_pairs_make_up() -> None:
    random = np.random.default_rng(1)
    noise = Moments.of(random.normal(size=(30, X)), random.normal(size=(30, T)))
    loose, tight = (fit(noise, (X, T), ridge).correlations for ridge in (0.0, 3.0))
    assert tight.max() < 0.5 * loose.max()
