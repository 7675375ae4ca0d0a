"""p-values, their combination and the false-discovery rate: each keeps the guarantee it is named for."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from srdscan.stats.p_values import benjamini_hochberg, cauchy_combine, conformal_p, empirical_p

NAN = np.nan


def draws(seed: int, *size: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(size or None)


def row(*p_values: float) -> float:
    """The combination of one sample's p-values."""
    return float(cauchy_combine(np.array([p_values]))[0])


# ---------------------------------------------------------------- conformal_p


def test_conformal_p_counts_the_null_at_or_above_a_value() -> None:
    null = np.array([1.0, 2.0, 2.0, 3.0])
    values = np.array([0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0])
    assert conformal_p(values, null) == pytest.approx(np.array([5, 5, 4, 4, 2, 2, 1]) / 5)


def test_conformal_p_leaves_nan_values_nan_and_nan_nulls_out() -> None:
    p = conformal_p(np.array([2.5, NAN, 0.5]), np.array([1.0, NAN, 3.0, 2.0]))
    assert p[[0, 2]] == pytest.approx([2 / 4, 1.0])
    assert np.isnan(p[1])


def test_conformal_p_without_a_null_suspects_nothing() -> None:
    assert conformal_p(np.array([9.0]), np.zeros(0)).tolist() == [1.0]


@pytest.mark.parametrize("seed", range(5))
def test_conformal_p_is_uniform_on_exchangeable_data_of_any_shape(seed: int) -> None:
    rng = np.random.default_rng(seed)
    null, values = rng.lognormal(0, 2, 20_000), rng.lognormal(0, 2, 800)
    assert stats.kstest(conformal_p(values, null), "uniform").pvalue > 0.01
    assert stats.kstest(conformal_p(values * 1.5, null), "uniform").pvalue < 0.01  # the test can fail


def test_conformal_p_is_valid_for_a_small_null() -> None:
    rng = np.random.default_rng(7)
    alarms = [(conformal_p(rng.random(50), rng.random(19)) <= 0.05).mean() for _ in range(400)]
    assert np.mean(alarms) == pytest.approx(0.05, abs=0.01)  # exactly 1 / (19 + 1)


# ---------------------------------------------------------------- empirical_p


def test_empirical_p_gives_half_of_the_data_at_least_one_half() -> None:
    for values in (draws(0, 1000), np.exp(2 * draws(1, 1001)), np.arange(40.0)):
        p = empirical_p(values)
        assert (p >= 0.5).mean() >= 0.5
        assert ((p > 0) & (p <= 1)).all()


def test_empirical_p_falls_as_the_value_rises() -> None:
    values = np.sort(np.concatenate([draws(2, 500), [6.0, 8.0, 20.0]]))
    p = empirical_p(values)
    assert (np.diff(p) <= 0).all()
    assert p[-1] < p[-2] < p[-3] < 0.01


def test_empirical_p_leaves_nan_and_the_order_alone() -> None:
    values = draws(3, 200)
    with_gaps = np.insert(values, [0, 70, 200], NAN)
    p = empirical_p(with_gaps)
    assert np.isnan(p[[0, 71, 202]]).all()
    assert p[np.isfinite(with_gaps)] == pytest.approx(empirical_p(values))


@pytest.mark.parametrize(("probe", "factor"), [(0.5, 1.4), (2.0, 2.4), (4.0, 4.8)])
def test_ten_percent_of_far_outliers_hardly_move_a_p_value(probe: float, factor: float) -> None:
    # They move the median by 0.14 s.d. and the 85 % quantile by 0.56: p rises by the factors above, and no more than
    # that however far out they are. A null of mean and standard deviation would give all three probes p > 0.5.
    clean = np.concatenate([[probe], draws(4, 1800)])
    for distance in (50.0, 5000.0):
        poisoned = np.concatenate([clean, distance + draws(5, 200)])
        alone, among = empirical_p(clean)[0], empirical_p(poisoned)[0]
        assert alone <= among <= factor * alone
        assert empirical_p(poisoned)[-200:].max() < 1e-5


@pytest.mark.parametrize(
    "bulk", [stats.norm(), stats.norm(3, 0.01), stats.laplace(), stats.t(5)], ids=["normal", "narrow", "laplace", "t5"]
)
def test_empirical_p_is_conservative_in_the_tail(bulk: stats.rv_continuous) -> None:
    count, level = 100_000, 0.001
    p = empirical_p(bulk.rvs(count, random_state=6))
    assert (p <= level).mean() <= level + 3 * np.sqrt(level / count)
    assert (p <= 0.01).mean() <= 0.01 + 3 * np.sqrt(0.01 / count)


@pytest.mark.parametrize("level", [1e-4, 1e-6, 1e-8])
def test_the_empirical_tail_stays_above_that_of_students_t5(level: float) -> None:
    bulk = stats.t(5).ppf((np.arange(2000) + 0.5) / 2000)
    assert empirical_p(np.array([stats.t(5).isf(level)]), null=bulk)[0] >= level


def test_a_separate_null_decides_alone() -> None:
    null = draws(8, 1000)
    values = np.array([0.0, 5.0, NAN, 50.0])
    p = empirical_p(values, null=null)
    assert p[0] == pytest.approx(0.5, abs=0.05)
    assert p[1] < 0.01
    assert np.isnan(p[2])
    assert p[3] < p[1]
    assert p[1] == empirical_p(np.array([5.0]), null=null)[0]  # whatever else is asked
    shifted = empirical_p(values + 7, null=null + 7)
    assert shifted[[0, 1]] == pytest.approx(p[[0, 1]])


def test_differences_below_the_least_scale_are_no_news() -> None:
    agreement = np.append(np.zeros(900), np.full(100, 0.05))  # two captioners agree on nine images of ten
    assert (empirical_p(agreement, least_scale=0.1)[900:] > 0.25).all()
    wide = draws(13, 1000)
    assert empirical_p(wide, least_scale=0.1) == pytest.approx(empirical_p(wide))
    assert empirical_p(np.append(np.zeros(999), 9.0), least_scale=0.1)[-1] < 1e-6


@pytest.mark.parametrize("values", [np.arange(19.0), np.full(500, 3.0), np.zeros(25)])
def test_too_few_or_equal_values_are_never_suspicious(values: np.ndarray) -> None:
    p = empirical_p(np.append(values, NAN))
    assert (p[:-1] == 1.0).all()
    assert np.isnan(p[-1])


# ---------------------------------------------------------------- cauchy_combine


@pytest.mark.parametrize("p", [(0.5,), (0.2, 0.6), (0.9, 0.95, 0.3), (1e-3, 0.4, 0.98), (0.7, 0.8)])
def test_cauchy_combination_is_the_formula_of_liu_and_xie(p: tuple[float, ...]) -> None:
    statistic = np.mean(np.tan((0.5 - np.array(p)) * np.pi))
    assert row(*p) == pytest.approx(0.5 - np.arctan(statistic) / np.pi, rel=1e-9)
    assert row(*p) == pytest.approx(stats.cauchy.sf(statistic), rel=1e-9)


@pytest.mark.parametrize("p", [0.9, 0.5, 0.01, 1e-6, 1e-12, 1e-15])
def test_equal_p_values_combine_to_themselves(p: float) -> None:
    assert row(p, p, p) == pytest.approx(p, rel=1e-9)


def test_tiny_p_values_keep_their_order() -> None:
    p = np.array([1e-15, 2e-15, 1e-14, 1e-12, 1e-9, 1e-3])
    combined = cauchy_combine(np.column_stack([p, np.full(6, 0.5), np.full(6, 0.5)]))
    assert combined == pytest.approx(3 * p, rel=0.01)  # one of three signals: as Bonferroni
    assert (np.diff(combined) > 0).all()
    assert 0 < row(0.0, 0.5, 0.5) <= 3.1e-15


def test_signals_that_say_nothing_are_left_out() -> None:
    assert row(0.03, NAN, 0.2, NAN) == pytest.approx(row(0.03, 0.2), rel=1e-12)
    assert row(NAN, 1e-8) == pytest.approx(1e-8)
    assert row(NAN, NAN) == 1.0


def test_a_weight_counts_a_signal_as_so_many() -> None:
    p = np.array([[0.003, 0.4, 0.7], [0.2, NAN, 0.01], [NAN, NAN, NAN]])
    weighted = cauchy_combine(p, np.array([1.0, 1.0, 3.0]))
    assert weighted == pytest.approx(cauchy_combine(p[:, [0, 1, 2, 2, 2]]), rel=1e-9)
    assert cauchy_combine(p, np.full(3, 7.0)) == pytest.approx(cauchy_combine(p), rel=1e-9)


def test_one_alarm_survives_many_unsuspicious_signals() -> None:
    calm = [1.0] * 9
    assert row(1e-4, *calm) < 0.0015  # Bonferroni would say 0.001
    assert row(1e-8, *calm) == pytest.approx(1e-7, rel=0.01)
    assert row(*calm) == pytest.approx(0.99)


def test_the_combination_is_calibrated_under_dependence() -> None:
    shared, own = draws(9, 40_000, 1), draws(10, 40_000, 6)
    p = cauchy_combine(stats.norm.sf(np.sqrt(0.5) * shared + np.sqrt(0.5) * own))
    assert (p <= 0.001).mean() <= 0.0015
    assert 0.04 <= (p <= 0.05).mean() <= 0.07  # exact only in the tail


# ---------------------------------------------------------------- benjamini_hochberg


@pytest.mark.parametrize("seed", range(4))
def test_q_values_are_scipys(seed: int) -> None:
    p = np.random.default_rng(seed).random(257) ** 3
    p[10:20] = p[0]  # ties
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p, method="bh"), rel=1e-12)


def test_q_values_by_hand() -> None:
    assert benjamini_hochberg(np.array([0.04, 0.01, 0.9, 0.03])) == pytest.approx([0.16 / 3, 0.04, 0.9, 0.16 / 3])
    assert benjamini_hochberg(np.zeros(0)).tolist() == []
    assert benjamini_hochberg(np.array([0.3])).tolist() == [0.3]


def test_the_false_discovery_rate_is_kept() -> None:
    rng = np.random.default_rng(11)
    proportions, found = [], []
    for _ in range(300):
        effect = np.where(np.arange(400) < 40, 3.0, 0.0)  # 10 % alternatives
        flagged = benjamini_hochberg(stats.norm.sf(rng.standard_normal(400) + effect)) <= 0.05
        proportions.append(flagged[40:].sum() / max(flagged.sum(), 1))
        found.append(flagged[:40].mean())
    assert np.mean(proportions) <= 0.05 + 3 * np.std(proportions) / np.sqrt(300)
    assert np.mean(proportions) > 0.02  # it is used up, too: BH holds it at 0.05 * 90 %
    assert np.mean(found) > 0.4


def test_on_clean_data_a_flag_is_rare() -> None:
    rng = np.random.default_rng(12)
    any_flag = [(benjamini_hochberg(rng.random(400)) <= 0.05).any() for _ in range(300)]
    assert np.mean(any_flag) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
