"""NBS and its threshold-free form: planted networks, a slow loop, and null error rates."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.sparse.csgraph import connected_components

from msimaging.errors import InputError
from msimaging.statistics.inference import max_t_test
from msimaging.statistics.networks import network_based_statistic, threshold_free_networks


def matrices(seed: int, n: int, nodes: int, trials: int = 0) -> np.ndarray:
    shape = (trials, n, nodes, nodes) if trials else (n, nodes, nodes)
    noise = np.random.default_rng(seed).normal(size=shape)
    return noise + np.swapaxes(noise, -1, -2)


def plant(differences: np.ndarray, edges: list[tuple[int, int]], change: float) -> np.ndarray:
    planted = differences.copy()
    for i, j in edges:
        planted[:, i, j] += change
        planted[:, j, i] += change
    return planted


def slow_largest(differences: np.ndarray, threshold: float, kind: str) -> float:
    """Largest component of one flip, matrix by matrix."""
    t = stats.ttest_1samp(differences, 0).statistic
    largest = 0.0
    for tail in (t, -t):
        over = np.triu(tail > threshold, 1)
        labels = connected_components(over | over.T)[1]
        weight = over if kind == "size" else np.where(over, tail - threshold, 0)
        sizes = [weight[labels == label][:, labels == label].sum() for label in set(labels)]
        largest = max(largest, *sizes)
    return largest


@pytest.mark.parametrize("kind", ["size", "intensity"])
def test_every_flip_as_a_slow_loop_does_it(kind):
    differences = plant(matrices(1, 6, 7), [(0, 1), (1, 2), (4, 6)], 2.5)
    result = network_based_statistic(differences, threshold=2.0, kind=kind)
    flips = itertools.product([1, -1], repeat=6)
    null = np.array(
        [slow_largest(differences * np.array(f)[:, None, None], 2.0, kind) for f in flips]
    )
    assert len(result.components) > 1
    for component in result.components:
        assert component.p == pytest.approx(np.mean(null >= component.statistic - 1e-9))
    assert result.components[0].statistic == pytest.approx(null[0])
    assert (result.n_flips, result.p_floor, result.exact) == (64, 2 / 64, True)


def test_planted_network_is_found_with_its_edges():
    planted = [(2, 5), (5, 7), (7, 9), (2, 9)]
    differences = plant(matrices(2, 10, 14), planted, -6.0)
    result = network_based_statistic(differences, threshold=4.0)
    best = result.components[0]
    assert {tuple(edge) for edge in best.edges.tolist()} == set(planted)
    assert (best.nodes, best.direction, best.n_edges) == ((2, 5, 7, 9), "decrease", 4)
    assert best.p <= 0.01
    assert network_based_statistic(differences, threshold=4.0, alternative="greater").p > 0.1
    less = network_based_statistic(differences, threshold=4.0, alternative="less")
    assert less.p < best.p


def test_increases_and_decreases_do_not_join():
    differences = plant(plant(matrices(3, 9, 6), [(0, 1)], 9), [(1, 2)], -9)
    result = network_based_statistic(differences, threshold=6.0, kind="size")
    assert [(c.nodes, c.direction) for c in result.components] == [
        ((0, 1), "increase"),
        ((1, 2), "decrease"),
    ]


def test_p_is_never_zero_and_floor_is_told():
    differences = plant(matrices(4, 5, 8), [(0, 1), (1, 2), (2, 3)], 50.0)
    for kind in ("size", "intensity"):
        result = network_based_statistic(differences, threshold=3.0, kind=kind)
        assert result.p == result.p_floor == 0.0625
    free = threshold_free_networks(differences)
    assert np.nanmin(free.p_adjusted) == free.p_floor == 0.0625


def test_nothing_above_the_threshold():
    result = network_based_statistic(matrices(5, 8, 5), threshold=50.0)
    assert (result.components, result.p) == ((), 1.0)


def test_missing_edges_are_left_out_and_counted():
    differences = plant(matrices(6, 8, 6), [(0, 1), (1, 2)], 8.0)
    differences[3, 1, 2] = differences[3, 2, 1] = np.nan
    result = network_based_statistic(differences, threshold=5.0)
    assert (result.n_not_tested, result.components[0].nodes) == (1, (0, 1))
    assert np.isnan(threshold_free_networks(differences).p_adjusted[1, 2])


def test_patient_order_and_parcel_order_change_nothing():
    differences = plant(matrices(7, 9, 8), [(0, 3), (3, 6)], 3.0)
    patients, parcels = (np.random.default_rng(0).permutation(n) for n in (9, 8))
    turned = differences[patients][:, parcels][:, :, parcels]
    for kind in ("size", "intensity"):
        here = network_based_statistic(differences, threshold=2.5, kind=kind)
        there = network_based_statistic(turned, threshold=2.5, kind=kind)
        assert [c.p for c in here.components] == [c.p for c in there.components]
    free, moved = threshold_free_networks(differences), threshold_free_networks(turned)
    assert np.array_equal(free.p_adjusted[parcels][:, parcels], moved.p_adjusted, equal_nan=True)


def test_threshold_free_score_by_hand():
    """Three edges of t about 6, 6 and 3: thresholds at half and at full height."""
    base = np.array([1.0, -1.0, 1.0, -1.0, 0.0])
    differences = np.zeros((5, 4, 4))
    for (i, j), mean in (((0, 1), 3.0), ((1, 2), 3.0), ((2, 3), -1.6)):
        differences[:, i, j] = differences[:, j, i] = mean + base
    t = stats.ttest_1samp(differences[:, 0, 1], 0).statistic
    free = threshold_free_networks(
        differences, thresholds=[t / 2, t], extent_power=0.5, height_power=2.0
    )
    both = np.sqrt(2) * ((t / 2) ** 2 + t**2)
    assert free.statistic[0, 1] == pytest.approx(both)
    assert free.statistic[2, 1] == pytest.approx(both)
    assert free.statistic[2, 3] == pytest.approx(-np.sqrt(1) * (t / 2) ** 2)
    assert free.statistic[0, 2] == 0


def test_component_helps_weak_edges_that_hang_together():
    chain = [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5)]
    differences = plant(matrices(8, 12, 16), chain, 2.3)
    alone = max_t_test(differences[:, *np.triu_indices(16, 1)])
    network = network_based_statistic(differences, threshold=3.0)
    assert set(network.components[0].nodes) >= {0, 1, 2, 3, 4, 5}
    assert network.p < 0.05 < np.sort(alone.p_adjusted)[4]


def test_unusable_matrices_are_refused():
    with pytest.raises(InputError, match="symmetric"):
        network_based_statistic(np.random.default_rng(0).normal(size=(5, 4, 4)), threshold=3.0)
    with pytest.raises(InputError, match="one square matrix"):
        network_based_statistic(np.ones((5, 4, 3)), threshold=3.0)
    with pytest.raises(InputError, match="t above 0"):
        network_based_statistic(matrices(1, 5, 4), threshold=0.0)
    with pytest.raises(InputError, match="t above 0"):
        threshold_free_networks(matrices(1, 5, 4), thresholds=[0.0, 2.0])
    with pytest.raises(InputError, match="size or intensity"):
        network_based_statistic(matrices(1, 5, 4), threshold=3.0, kind="extent")


def test_random_flips_above_twenty_patients():
    # above this t only if one patient at most is turned, which 999 flips do not come upon
    differences = plant(matrices(9, 24, 6), [(0, 1), (1, 2)], 15.0)
    result = network_based_statistic(differences, threshold=9.0, n_random=999)
    assert (result.exact, result.p_floor, result.p) == (False, 0.001, 0.001)


def test_family_wise_error_of_intensity_under_the_null():
    trials = matrices(10, 10, 8, trials=1000)
    found = [network_based_statistic(t, threshold=2.0) for t in trials]
    p, attainable = np.array([(each.p, each.attainable) for each in found]).T
    assert {each.kind for each in found} == {"intensity"}
    assert 0.035 < np.mean(p <= 0.05) < 0.06
    assert 0.045 < attainable.min() <= attainable.max() <= 0.05


def test_component_sizes_are_coarse_so_their_error_stays_below():
    """Whole numbers tie: the rate is the one that is told, and never above 5 %."""
    trials = matrices(11, 10, 8, trials=600)
    found = [network_based_statistic(t, threshold=2.0, kind="size") for t in trials]
    p, attainable = np.array([(each.p, each.attainable) for each in found]).T
    rate = attainable.mean()
    assert attainable.max() <= 0.05
    assert 0.015 < rate < 0.035
    assert np.mean(p <= 0.05) == pytest.approx(rate, abs=3 * np.sqrt(rate / 600))
    assert np.mean(p <= 0.2) < 0.24


def test_threshold_free_family_wise_error_under_the_null():
    trials = matrices(12, 8, 6, trials=300)
    p = [np.nanmin(threshold_free_networks(t).p_adjusted) for t in trials]
    assert 0.03 < np.mean(np.array(p) <= 0.05) < 0.07
