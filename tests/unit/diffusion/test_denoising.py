"""MP-PCA keeps the signal, removes the noise and knows how much there was."""

from __future__ import annotations

import numpy as np
import pytest
from dipy.denoise.localpca import mppca

from msimaging.diffusion.denoising import default_patch_radius, denoise_mppca
from msimaging.errors import InputError

SIGMA = 25.0


def low_rank_volumes(shape=(26, 22, 16), n_volumes=20, n_sources=3, seed=3):
    """Smooth maps times a few signal curves: what MP-PCA assumes, plus Gaussian noise."""
    rng = np.random.default_rng(seed)
    x, y, z = np.meshgrid(*(np.linspace(0, 1, extent) for extent in shape), indexing="ij")
    maps = np.stack([500 + 400 * np.sin(3 * x + y), 300 * np.cos(4 * y * z), 200 * (x - z)], -1)
    curves = rng.uniform(0.2, 1.0, size=(n_sources, n_volumes))
    truth = maps[..., :n_sources] @ curves
    return truth, truth + rng.normal(0, SIGMA, truth.shape)


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def test_residual_noise_is_that_of_dipy_within_five_per_cent():
    truth, noisy = low_rank_volumes()
    ours = denoise_mppca(noisy)
    theirs = mppca(noisy, patch_radius=2)
    inner = (slice(3, -3),) * 3
    assert rms((ours.data - truth)[inner]) < 1.05 * rms((theirs - truth)[inner])
    assert rms((ours.data - truth)[inner]) < 0.4 * SIGMA


def test_noise_level_and_components_are_found():
    _, noisy = low_rank_volumes()
    found = denoise_mppca(noisy)
    assert np.median(found.sigma) == pytest.approx(SIGMA, rel=0.05)
    assert np.median(found.n_components) == pytest.approx(2.0, abs=0.5)  # 3 sources less the mean


def test_constant_signal_survives_exactly_and_has_no_noise():
    volumes = np.broadcast_to(np.linspace(100, 900, 9), (7, 8, 6, 9)).copy()
    found = denoise_mppca(volumes)
    np.testing.assert_allclose(found.data, volumes, rtol=1e-12)
    assert np.abs(found.sigma).max() < 1e-6


def test_bytes_do_not_depend_on_threads():
    noisy = low_rank_volumes()[1].astype(np.float32)
    one, three = (denoise_mppca(noisy, n_threads=n) for n in (1, 3))
    assert one.data.tobytes() == three.data.tobytes()
    assert one.sigma.tobytes() == three.sigma.tobytes()
    assert one.data.dtype == np.float32


def test_a_mask_saves_time_and_alters_nothing_within():
    _, noisy = low_rank_volumes()
    mask = np.zeros(noisy.shape[:3], dtype=bool)
    mask[3:8, 4:9, 5:7] = mask[0, -1, 0] = True
    whole, within = denoise_mppca(noisy), denoise_mppca(noisy, mask=mask)
    np.testing.assert_allclose(within.data[mask], whole.data[mask], rtol=2e-6)
    np.testing.assert_allclose(within.sigma[mask], whole.sigma[mask], rtol=2e-5)
    assert (within.sigma == 0).mean() > 0.3


def test_every_voxel_of_the_mask_is_denoised_and_the_input_kept():
    _, noisy = low_rank_volumes()
    before = noisy.copy()
    mask = np.zeros(noisy.shape[:3], dtype=bool)
    mask[0, 0, 0] = mask[-1, 5, 7] = mask[11, 13, 8] = mask[12, 4, -1] = True
    found = denoise_mppca(noisy, mask=mask)
    assert (found.sigma[mask] > 0).all()
    assert (found.data[mask] != noisy[mask]).all()
    np.testing.assert_array_equal(found.data[found.sigma == 0], noisy[found.sigma == 0])
    assert (found.sigma == 0).mean() > 0.5
    np.testing.assert_array_equal(noisy, before)


def test_thin_slab_has_flat_patches():
    truth, noisy = low_rank_volumes(shape=(24, 24, 3))
    assert rms(denoise_mppca(noisy).data - truth) < 0.6 * SIGMA


def test_patch_grows_with_the_volumes():
    assert [default_patch_radius(n) for n in (7, 124, 125, 343)] == [2, 2, 3, 4]


def test_bad_input_is_told_all_at_once():
    noisy = low_rank_volumes()[1]
    noisy[0, 0, 0, 0] = np.nan
    with pytest.raises(InputError) as caught:
        denoise_mppca(noisy, mask=np.ones((2, 2, 2), dtype=bool), patch_radius=1, n_threads=1)
    rules = {finding.where for finding in caught.value.findings}
    assert rules == {"data", "mask"}
    with pytest.raises(InputError, match="more voxels than there are volumes"):
        denoise_mppca(noisy[:2, :2, :2], patch_radius=2)
    with pytest.raises(InputError, match="four axes"):
        denoise_mppca(noisy[..., 0])
