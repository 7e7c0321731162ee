"""Max-T by exact flips, against a slow loop, and its error rates under the null."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from msimaging.errors import InputError
from msimaging.statistics import max_t
from msimaging.statistics.inference import max_t_test, sign_flip_test


def correlated(seed: int, *shape: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.normal(size=shape) + generator.normal(size=(*shape[:-1], 1))


def slow_step_down(differences: np.ndarray, alternative: str) -> np.ndarray:
    """Westfall and Young's algorithm 4.1 as the book writes it, on t itself."""
    fold = {"two-sided": np.abs, "greater": np.array, "less": np.negative}[alternative]
    observed = fold(stats.ttest_1samp(differences, 0).statistic)
    order = np.argsort(-observed)
    hits = np.zeros(len(order))
    flips = list(itertools.product([1, -1], repeat=len(differences)))
    for signs in flips:
        t = fold(stats.ttest_1samp(differences * np.array(signs)[:, None], 0).statistic)
        successive = np.maximum.accumulate(t[order][::-1])[::-1]
        hits += successive >= observed[order] - 1e-9
    p = np.empty(len(order))
    p[order] = np.maximum.accumulate(hits / len(flips))
    return p


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_step_down_as_the_book_does_it(alternative):
    differences = correlated(1, 6, 7) + np.array([1.5, 0.0, -1.0, 0.3, 0.0, -2.0, 0.5])
    result = max_t_test(differences, alternative=alternative)
    assert result.p_adjusted == pytest.approx(slow_step_down(differences, alternative), abs=1e-12)
    assert result.statistic == pytest.approx(stats.ttest_1samp(differences, 0).statistic)
    alone = [sign_flip_test(column, alternative=alternative).p for column in differences.T]
    assert result.p == pytest.approx(alone)
    assert (result.p_adjusted_single_step >= result.p_adjusted).all()
    assert (result.n_flips, result.p_floor) == (64, (2 if alternative == "two-sided" else 1) / 64)


def test_one_column_is_the_sign_flip_test():
    differences = np.array([0.4, -0.1, 0.9, 1.2, 0.3, 0.8])
    assert max_t_test(differences[:, None]).p_adjusted[0] == sign_flip_test(differences).p


def test_constant_empty_and_missing_columns():
    differences = correlated(2, 6, 4)
    differences[:, 1], differences[:, 2], differences[3, 3] = 0.1 + 0.2, 0.0, np.nan
    result = max_t_test(differences)
    assert result.p_adjusted[1] == result.p_floor == 1 / 32
    assert result.p[2] == result.p_adjusted[2] == 1
    assert np.isnan([result.p_adjusted[3], result.p[3], *result.statistic[1:]]).all()
    assert (result.tested.tolist(), result.n_not_tested) == ([True, True, True, False], 1)


def test_patients_without_any_change_raise_the_floor():
    differences = np.vstack([correlated(3, 5, 3) + 9, np.zeros((2, 3))])
    result = max_t_test(differences)
    assert (result.n, result.n_flips, result.p_floor) == (7, 32, 0.0625)
    assert result.p_adjusted.min() == 0.0625
    assert max_t_test(np.zeros((4, 2))).p_adjusted.tolist() == [1.0, 1.0]


def test_order_threads_units_and_blocks_change_nothing():
    differences = correlated(4, 15, 130) + np.linspace(0, 1.2, 130)
    rows, columns = np.random.default_rng(0).permutation(15), np.arange(130)[::-1]
    expected = max_t_test(differences)
    turned = max_t_test(1e-3 * differences[rows][:, columns], n_threads=2)
    for field in ("p", "p_adjusted", "p_adjusted_single_step"):
        assert (getattr(turned, field)[columns] == getattr(expected, field)).all()
    assert len(np.unique(expected.p_adjusted)) > 20


def test_random_flips_above_twenty_patients():
    differences = correlated(5, 24, 6) + np.array([2.0, 0, 0, 0, 0, 0.4])
    result = max_t_test(differences, n_random=4999, seed=7)
    assert (result.exact, result.p_floor) == (False, 1 / 5000)
    assert result.p_adjusted[0] == 1 / 5000
    assert (result.p_adjusted == max_t_test(differences, n_random=4999, seed=7).p_adjusted).all()
    assert result.p[5] == pytest.approx(stats.ttest_1samp(differences[:, 5], 0).pvalue, abs=0.02)


def test_wrong_shapes_are_refused():
    with pytest.raises(InputError, match="2 dimension"):
        max_t_test(np.ones(5))
    with pytest.raises(InputError, match="at least one patient"):
        max_t_test(np.ones((0, 5)))


@pytest.mark.parametrize(("n", "attainable"), [(5, 0.0), (6, 2 / 64), (10, 50 / 1024), (13, 0.05)])
def test_null_rejection_is_the_largest_attainable_level(n, attainable):
    """With 6 patients 5 % lies between steps: 2/64 or 4/64; with 5 it is out of reach."""
    result = max_t_test(np.random.default_rng(n).standard_t(3, size=(n, 20_000)))
    assert np.mean(result.p <= 0.05) == pytest.approx(attainable, abs=0.004)
    assert (result.p_floor > 0.05) == (n == 5)


@pytest.mark.slow
def test_null_rejection_at_twenty_patients():
    result = max_t_test(np.random.default_rng(20).normal(size=(20, 6_000)))
    assert 0.04 < np.mean(result.p <= 0.05) < 0.06


@pytest.mark.parametrize("n", [6, 10])
def test_family_wise_error_under_the_null(n):
    trials = correlated(100 + n, 1500, n, 30)
    lowest = np.array([max_t_test(trial).p_adjusted.min() for trial in trials])
    attainable = 2 * np.floor(0.05 * 2 ** (n - 1)) / 2**n
    assert np.mean(lowest <= 0.05) == pytest.approx(attainable, abs=0.01)


def test_family_wise_error_when_some_columns_changed():
    """Step-down still holds the error over the columns that did not change."""
    trials = correlated(9, 1500, 10, 30)
    trials[:, :, :10] += 3
    lowest = np.array([max_t_test(trial).p_adjusted[10:].min() for trial in trials])
    assert 0.03 < np.mean(lowest <= 0.05) < 0.06


@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_flips_by_halves_count_what_all_flips_in_rows_count(alternative, n_threads, monkeypatch):
    """Ties, a column without change, an effect and more columns than one block."""
    differences = np.round(correlated(8, 11, 150), 1)
    differences[:, 0], differences[:, 1] = 0.0, differences[:, 2]
    differences[:, 3:6] += 1.5
    halves = max_t_test(differences, alternative=alternative, n_threads=n_threads)
    monkeypatch.setattr(max_t, "MIN_SPLIT_PATIENTS", 99)
    rows = max_t_test(differences, alternative=alternative)
    for name in ("p", "p_adjusted", "p_adjusted_single_step"):
        np.testing.assert_array_equal(getattr(halves, name), getattr(rows, name))
