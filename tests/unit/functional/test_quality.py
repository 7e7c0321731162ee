from __future__ import annotations

import numpy as np
import pytest

from msimaging.errors import InputError
from msimaging.functional.quality import (
    carpet,
    edge_distance,
    parcel_distances,
    qc_fc,
    run_quality,
    temporal_snr,
)


def test_temporal_snr_of_known_noise_and_drift():
    rng = np.random.default_rng(0)
    bold = np.empty((4, 5, 6, 400))
    bold[:2] = 500 + rng.normal(0, 10, size=(2, 5, 6, 400))
    bold[2:] = 900 + rng.normal(0, 6, size=(2, 5, 6, 400))
    bold += np.linspace(-30, 30, 400)
    bold[..., :3] += 300
    mask = np.ones((4, 5, 6), dtype=bool)
    mask[0, 0, 0] = False
    bold[3, 4, 5] = 7
    tsnr = temporal_snr(bold, mask=mask, n_skipped=3)
    assert np.nanmedian(tsnr[:2]) == pytest.approx(50, rel=0.03)
    assert np.nanmedian(tsnr[2:]) == pytest.approx(150, rel=0.03)
    assert np.isnan(tsnr[0, 0, 0])
    assert np.isnan(tsnr[3, 4, 5])


def test_carpet_is_ordered_by_tissue_and_thinned():
    rng = np.random.default_rng(1)
    bold = 100 + rng.normal(size=(10, 10, 10, 50)) + np.arange(50)
    bold[..., :2] += 30
    tissue = rng.integers(0, 4, size=(10, 10, 10))
    result = carpet(bold, tissue=tissue, max_rows=300, n_skipped=2)
    assert 200 < len(result.image) <= 300
    assert (np.diff(result.tissue) >= 0).all()
    shares = np.bincount(result.tissue)[1:] / len(result.tissue)
    np.testing.assert_allclose(
        shares, np.bincount(tissue[tissue > 0])[1:] / (tissue > 0).sum(), atol=0.02
    )
    np.testing.assert_allclose(result.image[:, 2:].std(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(result.image[:, 2:].mean(axis=1), 0, atol=1e-5)
    assert result.image[:, :2].mean() > 20


def test_edges_against_distance_by_hand():
    coordinates = np.array([[0.0, 0, 0], [3, 4, 0], [0, 0, 12], [0, 20, 0]])
    np.testing.assert_allclose(
        parcel_distances(coordinates), [5, 12, 20, 13, np.sqrt(265), np.sqrt(544)]
    )
    distance = np.linalg.norm(coordinates[:, np.newaxis] - coordinates, axis=2)
    matrix = 0.9 - 0.02 * distance
    matrix[0, 2] = matrix[2, 0] = np.nan
    result = edge_distance(matrix, coordinates=coordinates)
    assert len(result.strength) == 5
    assert result.slope == pytest.approx(-0.2)
    assert result.spearman_r == pytest.approx(-1)
    assert np.isnan(edge_distance(matrix[:2, :2], coordinates=coordinates[:2]).slope)


def test_qc_fc_finds_planted_dependence_on_motion_and_distance():
    rng = np.random.default_rng(2)
    motion, distance = rng.uniform(0.05, 0.4, 60), rng.uniform(10, 120, 500)
    edges = rng.normal(0, 0.1, size=(60, 500))
    clean = qc_fc(edges, motion=motion, distance=distance)
    edges += np.outer(motion - 0.2, 1.2 - distance / 60)
    result = qc_fc(edges, motion=motion, distance=distance)
    assert result.distance_dependence < -0.8
    assert abs(clean.distance_dependence) < 0.15
    assert clean.share_significant < 0.1 < result.share_significant
    assert result.r[3] == pytest.approx(np.corrcoef(motion, edges[:, 3])[0, 1])
    assert result.refusal == ""


def test_qc_fc_of_five_patients_is_refused_in_a_sentence():
    rng = np.random.default_rng(3)
    result = qc_fc(rng.normal(size=(5, 9)), motion=rng.uniform(size=5), distance=np.arange(9.0))
    assert np.isnan(result.r).all()
    assert np.isnan(result.median_absolute_r)
    assert "needs 20 or more runs" in result.refusal
    assert "only |r| above 0.88 could differ from 0 with 5" in result.refusal
    same = qc_fc(rng.normal(size=(30, 9)), motion=np.full(30, 0.2), distance=np.arange(9.0))
    assert "the same in all runs" in same.refusal
    with pytest.raises(InputError, match="4 runs and 9 edges"):
        qc_fc(rng.normal(size=(5, 9)), motion=np.ones(4), distance=np.arange(9.0))


def test_run_quality_by_hand():
    tsnr = np.array([[[10.0, 20.0, 90.0]]])
    quality = run_quality(
        fd=np.array([np.nan, 0.1, 0.3, 0.2, 0.6]),
        dvars=np.array([np.nan, 10.0, 20.0, 30.0, 40.0]),
        std_dvars=np.array([np.nan, 1.0, 1.0, 1.2, 1.6]),
        tsnr=tsnr,
        brain_mask=tsnr < 50,
        n_retained=3,
        t_r=2.5,
    )
    assert (quality.fd_mean, quality.fd_median) == pytest.approx((0.3, 0.25))
    assert (quality.fd_max, quality.fd_share_high) == (0.6, 2 / 5)
    assert (quality.dvars_mean, quality.std_dvars_mean) == pytest.approx((25, 1.2))
    assert (quality.tsnr_median, quality.n_volumes) == (15, 5)
    assert quality.minutes_retained == pytest.approx(0.125)
