from __future__ import annotations

import numpy as np
import pytest
from nilearn.connectome import ConnectivityMeasure
from sklearn.covariance import EmpiricalCovariance, LedoitWolf

from msimaging.errors import InputError
from msimaging.functional.connectivity import (
    KINDS,
    connectivity_matrix,
    network_means,
)
from msimaging.functional.edges import fisher_z, from_upper_triangle, upper_triangle
from msimaging.functional.tangent import (
    tangent_connectivity,
    tangent_connectivity_leaving_out,
)

ESTIMATORS = {"empirical": EmpiricalCovariance, "ledoit-wolf": LedoitWolf}


def _series(seed=0, n_volumes=80, n_parcels=6):
    rng = np.random.default_rng(seed)
    mixing = np.eye(n_parcels) + 0.3 * np.random.default_rng(9).normal(size=(n_parcels, n_parcels))
    return rng.normal(size=(n_volumes, n_parcels)) @ mixing + np.arange(n_parcels) * 10


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("kind", [name for name in KINDS if name != "tangent"])
def test_matrix_equals_nilearn_with_holes_put_back(kind, estimator):
    series = _series()
    expected = ConnectivityMeasure(
        kind=kind, cov_estimator=ESTIMATORS[estimator](store_precision=False)
    ).fit_transform([series])[0]
    holes = np.insert(np.insert(series, 2, np.nan, axis=1), 5, 7.0, axis=1)
    result = connectivity_matrix(holes, kind=kind, estimator=estimator)
    kept = [0, 1, 3, 4, 6, 7]
    np.testing.assert_allclose(result.matrix[np.ix_(kept, kept)], expected, rtol=1e-6)
    assert np.isnan(result.matrix[[2, 5]]).all()
    assert np.isnan(result.matrix[:, [2, 5]]).all()
    assert (result.shrinkage > 0) == (estimator == "ledoit-wolf")
    assert "columns 5" in result.findings[0].found


def test_shrinkage_is_that_of_the_covariance_in_use():
    series = _series(3, n_volumes=30)
    result = connectivity_matrix(series, kind="covariance", estimator="ledoit-wolf")
    assert result.shrinkage == pytest.approx(LedoitWolf().fit(series).shrinkage_)


def test_tangent_equals_nilearn_and_leaving_out_differs():
    runs = [_series(seed, n_volumes=60 + seed) for seed in range(6)]
    measure = ConnectivityMeasure(kind="tangent", cov_estimator=EmpiricalCovariance())
    expected = measure.fit_transform(runs)
    runs[0] = np.insert(runs[0], 1, 5.0, axis=1)
    runs[1:] = [np.insert(run, 1, run[:, 0], axis=1) for run in runs[1:]]
    result = tangent_connectivity(runs, estimator="ledoit-wolf")
    assert not np.allclose(result.matrices[:, 2:, 2:], expected[:, 1:, 1:], atol=1e-3)
    result = tangent_connectivity(
        [np.where(np.arange(7) == 1, np.nan, run) for run in runs], estimator="empirical"
    )
    kept = [0, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(result.matrices[:, kept][:, :, kept], expected, atol=1e-6)
    np.testing.assert_allclose(result.reference[np.ix_(kept, kept)], measure.mean_, rtol=1e-6)


def test_a_reference_that_does_not_converge_is_told():
    rng = np.random.default_rng(1)
    runs = [rng.normal(size=(60, 6)) @ rng.normal(size=(6, 6)) for _ in range(6)]
    result = tangent_connectivity(runs, estimator="empirical")
    assert "converges" in result.findings[0].rule


def test_leaving_a_patient_out_uses_only_the_others():
    runs = [_series(seed) for seed in range(6)]
    result = tangent_connectivity_leaving_out(
        runs, patients=["a", "a", "b", "b", "c", "c"], estimator="empirical"
    )
    measure = ConnectivityMeasure(kind="tangent", cov_estimator=EmpiricalCovariance())
    expected = measure.fit(runs[:2] + runs[4:]).transform(runs[2:4])
    np.testing.assert_allclose(result.matrices[2:4], expected, atol=1e-9)
    np.testing.assert_allclose(result.reference[3], measure.mean_)


@pytest.mark.parametrize("kind", ["partial correlation", "precision"])
def test_an_inverse_that_does_not_exist_is_refused(kind):
    series = _series(n_volumes=20, n_parcels=25)
    with pytest.raises(InputError, match="25 parcels but rank 19 from 20 volumes"):
        connectivity_matrix(series, kind=kind, estimator="empirical")
    assert connectivity_matrix(series, kind=kind, estimator="ledoit-wolf").shrinkage > 0


def test_bad_input_has_one_message():
    series = _series()
    broken = series.copy()
    broken[4, 3] = np.nan
    for argument, kind, estimator, message in [
        (series, "corelation", "empirical", "Choose one of: correlation"),
        (series, "correlation", "", "Choose empirical or ledoit-wolf"),
        (series, "tangent", "empirical", "tangent_connectivity"),
        (broken, "correlation", "empirical", "column 3 not finite at volume 4"),
        (series[:1], "correlation", "empirical", "two or more volumes"),
        (series * 0, "correlation", "empirical", "0 of 6 parcels with signal"),
    ]:
        with pytest.raises(InputError, match=message) as error:
            connectivity_matrix(argument, kind=kind, estimator=estimator)
        assert len(error.value.findings) == 1


def test_fisher_z_by_hand():
    z = fisher_z(np.array([0.5, -0.5, 1.0]))
    np.testing.assert_allclose(z[:2], [0.5493061443, -0.5493061443])
    assert 8 < z[2] < 9
    matrices = fisher_z(np.stack([np.eye(3), np.full((3, 3), 0.5)]))
    assert np.isnan(np.diagonal(matrices, axis1=1, axis2=2)).all()
    assert matrices[1, 0, 2] == pytest.approx(0.5493061443)
    with pytest.raises(InputError, match=r"size 1\.2"):
        fisher_z([1.2])


def test_network_means_by_hand():
    matrix = np.array(
        [
            [9.0, 0.1, 0.2, 0.4, 5.0],
            [0.1, 9.0, 0.3, np.nan, 5.0],
            [0.2, 0.3, 9.0, 0.6, 5.0],
            [0.4, np.nan, 0.6, 9.0, 5.0],
            [5.0, 5.0, 5.0, 5.0, 9.0],
        ]
    )
    table = network_means(matrix, ["B", "A", "B", "A", ""])
    assert [tuple(row) for row in table[["network_a", "network_b", "n_edges"]].to_numpy()] == [
        ("B", "B", 1),
        ("B", "A", 4),
        ("A", "A", 0),
    ]
    np.testing.assert_allclose(table["mean"], [0.2, (0.1 + 0.4 + 0.3 + 0.6) / 4, np.nan])
    with pytest.raises(InputError, match="4 names"):
        network_means(matrix, ["A"] * 4)


def test_triangles_are_inverse_and_ordered_by_row():
    edges = np.arange(12.0).reshape(2, 6)
    matrices = from_upper_triangle(edges, diagonal=np.nan)
    assert matrices[0, 0].tolist()[1:] == [0, 1, 2]
    assert matrices[1, 2, 3] == matrices[1, 3, 2] == 11
    np.testing.assert_array_equal(upper_triangle(matrices), edges)
    with pytest.raises(InputError, match="5 edges"):
        from_upper_triangle(np.zeros(5), diagonal=0)
