"""Quality numbers on scans whose noise and faults are planted."""

import numpy as np
import pytest

from msimaging.diffusion.gradients import gradient_table
from msimaging.diffusion.quality import fit_quality, outlier_share, scan_quality
from msimaging.errors import InputError

SHAPE = (16, 16, 8)
MASK = np.ones(SHAPE, dtype=bool)


@pytest.fixture
def gtab():
    steps = np.arange(30) + 0.5
    polar, azimuth = np.arccos(1 - steps / 30), np.pi * (1 + 5**0.5) * steps
    directions = np.stack(
        [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1
    )
    bvals = np.r_[np.zeros(4), np.tile([1000.0, 2000.0], 15)]
    return gradient_table(bvals, np.vstack([np.zeros((4, 3)), directions]))


def scan(gtab, snr):
    rng = np.random.default_rng(0)
    axes = rng.normal(size=(*SHAPE, 3))
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    signal = 1000 * np.exp(-gtab.bvals * (0.3e-3 + 1.4e-3 * (axes @ gtab.bvecs.T) ** 2))
    return signal + rng.normal(scale=1000 / snr, size=signal.shape)


def test_snr_of_b0s_is_the_planted_one(gtab):
    # the median of mean over spread of four samples is 1.124 times the true ratio
    assert scan_quality(scan(gtab, 30), gtab, MASK)["snr_b0"] == pytest.approx(33.7, rel=0.05)


def test_noise_lowers_correlation_and_contrast(gtab):
    clear, noisy = (scan_quality(scan(gtab, snr), gtab, MASK) for snr in (40, 8))
    for name in ("ndc", "cnr_shell1000", "cnr_shell2000"):
        assert clear[name] > 1.1 * noisy[name]
    # the median direction makes 60 degrees with the stick: exp(-1 (0.3 + 1.4 / 4))
    assert clear["signal_shell1000"] == pytest.approx(np.exp(-0.65), abs=0.02)
    assert clear["signal_shell2000"] < clear["signal_shell1000"] - 0.15


def test_spoilt_volume_is_named(gtab):
    data = scan(gtab, 40)
    data[..., 17] = np.random.default_rng(1).permutation(data[..., 17].ravel()).reshape(SHAPE)
    quality = scan_quality(data, gtab, MASK)
    good = scan_quality(scan(gtab, 40), gtab, MASK)
    assert quality["ndc_min"] < 0.1 < good["ndc_min"]
    # its nearest neighbour may share the lowest value
    nearest = np.abs(gtab.bvecs @ gtab.bvecs[17])
    assert quality["ndc_min_volume"] == 17 or nearest[int(quality["ndc_min_volume"])] > 0.8


def test_scans_with_too_little_give_nan(gtab):
    data = scan(gtab, 30)
    few = np.r_[0, 4:30]
    quality = scan_quality(data[..., few], gradient_table(gtab.bvals[few], gtab.bvecs[few]), MASK)
    assert np.isnan(quality["snr_b0"])
    assert np.isfinite(quality["ndc"])
    assert all(isinstance(value, float) for value in quality.values())


def test_zero_fraction_counts_samples(gtab):
    data = np.abs(scan(gtab, 30)) + 1
    data[:8, 0, 0, 5] = 0
    expected = 8 / data.size
    assert scan_quality(data, gtab, MASK)["zero_fraction"] == pytest.approx(expected)


def test_fit_numbers():
    residual = np.zeros((2, 2, 2))
    residual[0] = [[0.01, 0.02], [0.03, 0.9]]
    S0 = np.ones((2, 2, 2))
    S0[0, 1, 1] = 0
    clamped = np.zeros((2, 2, 2), dtype=int)
    clamped[0, 0], clamped[1] = [3, 1], 9
    mask = np.zeros((2, 2, 2), dtype=bool)
    mask[0] = True
    quality = fit_quality(residual, clamped, S0, mask)
    assert quality["residual_median"] == pytest.approx(0.02)
    assert quality["residual_mad"] == pytest.approx(0.014826)
    counts = [quality[f"{name}"] for name in ("clamped_samples", "clamped_voxels")]
    assert counts == [4, 2]
    assert quality["unfitted_voxels"] == 1
    # the median of 1 / .01, 1 / .02, 1 / .03: not 1 over the median of four
    assert quality["snr_fit"] == pytest.approx(50)


def test_correlation_is_that_with_the_nearest_volume_in_q_space():
    bvecs = np.array([[0, 0, 0], [1, 0, 0], [-1, 0.1, 0], [0, 0, 1.0], [0, 0.1, 1]])
    bvecs[1:] /= np.linalg.norm(bvecs[1:], axis=1, keepdims=True)
    gtab = gradient_table(np.array([0, 1000.0, 1000, 1000, 1000]), bvecs)
    rng = np.random.default_rng(3)
    pair = rng.normal(size=(2, 4, 4, 4))
    data = np.stack([rng.random((4, 4, 4)), *pair, pair[1] + pair[0], -pair[1]], axis=-1)
    # neighbours: 1 with 2 although it points the other way, 3 with 4
    first = np.corrcoef(pair[0].ravel(), pair[1].ravel())[0, 1]
    second = np.corrcoef((pair[0] + pair[1]).ravel(), -pair[1].ravel())[0, 1]
    quality = scan_quality(data, gtab, np.ones((4, 4, 4), dtype=bool))
    assert quality["ndc"] == pytest.approx((first + second) / 2)
    assert quality["ndc_min"] == pytest.approx(min(first, second))
    assert quality["ndc_min_volume"] == (1 if first < second else 3)


def test_contrast_of_directions_by_hand():
    # two directions that differ by 10 and repeat it by 2: spread over noise of the nearest
    bvecs = np.array([[0, 0, 0], [1, 0, 0], [0.999, 0.0447, 0], [0, 0, 1], [0, 0.0447, 0.999]])
    bvecs[1:] /= np.linalg.norm(bvecs[1:], axis=1, keepdims=True)
    gtab = gradient_table(np.array([0, 1000.0, 1000, 1000, 1000]), bvecs)
    voxel = np.array([100.0, 40, 42, 50, 52])
    data = np.stack([voxel, 3 * voxel]).reshape(2, 1, 1, 5)
    quality = scan_quality(data, gtab, np.ones((2, 1, 1), dtype=bool))
    spread = np.std([40, 42, 50, 52], ddof=1)
    assert quality["cnr_shell1000"] == pytest.approx(spread / np.sqrt(2))
    assert quality["signal_shell1000"] == pytest.approx(np.median([52, 120]) / 200)


def test_outliers_are_judged_by_the_spread_of_their_own_voxel():
    # median |r| is 1 and 10: limits at 4.4478 and 44.478
    residuals = np.array([[1, -1, 1, -1, 4.4, -4.5], [10, -10, 10, 10, 44, 45.0]])
    assert outlier_share(residuals) == pytest.approx(2 / 12)
    assert outlier_share(np.zeros((3, 6))) == 0
    noise = np.random.default_rng(0).normal(size=(20_000, 60))
    assert 0.0027 < outlier_share(noise) < 0.006


def test_arguments_that_do_not_belong_together_are_refused(gtab):
    with pytest.raises(InputError, match="belong together"):
        scan_quality(np.ones((*SHAPE, 3)), gtab, MASK)
    with pytest.raises(InputError, match="0 voxels"):
        scan_quality(np.ones((*SHAPE, 34)), gtab, ~MASK)
