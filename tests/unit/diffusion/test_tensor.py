"""The fast tensor fit against known tensors and against DIPY's own."""

import warnings

import nibabel as nib
import numpy as np
import pytest
from dipy.data import get_fnames
from dipy.io.gradients import read_bvals_bvecs
from dipy.reconst.dti import TensorModel

from msimaging.diffusion.gradients import gradient_table
from msimaging.diffusion.tensor import (
    clamped_signals,
    fit_tensor,
    fitted_signal,
    residual_map,
    s0_map,
    tensor_components,
    tensor_volumes,
)
from msimaging.errors import InputError


@pytest.fixture
def gtab():
    rng = np.random.default_rng(5)
    bvecs = rng.normal(size=(33, 3))
    bvecs /= np.linalg.norm(bvecs, axis=1, keepdims=True)
    return gradient_table(np.r_[0, 0, 0, np.full(15, 700.0), np.full(15, 1200.0)], bvecs)


@pytest.fixture
def truth():
    """Tensors of 4 x 5 x 3 voxels, random axes, eigenvalues all different, and their S0."""
    rng = np.random.default_rng(11)
    axes, _ = np.linalg.qr(rng.normal(size=(4, 5, 3, 3, 3)))
    evals = np.sort(rng.uniform(0.2e-3, 2.4e-3, size=(4, 5, 3, 3)))[..., ::-1]
    return (
        np.einsum("...ij,...j,...kj->...ik", axes, evals, axes),
        evals,
        rng.uniform(100, 3000, (4, 5, 3)),
    )


@pytest.fixture
def signal(truth, gtab):
    tensor, _, S0 = truth
    weighting = np.einsum("ni,...ij,nj->...n", gtab.bvecs, tensor, gtab.bvecs) * gtab.bvals
    return S0[..., None] * np.exp(-weighting)


MASK = np.ones((4, 5, 3), dtype=bool)


@pytest.mark.parametrize("method", ["ols", "wls", "iwls", "nlls", "restore"])
def test_noise_free_tensors_are_exact(truth, signal, gtab, method):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peer's robust path divides by a spread of zero
        fit = fit_tensor(signal, gtab, MASK, method=method)
    np.testing.assert_allclose(fit.quadratic_form, truth[0], atol=1e-9)
    np.testing.assert_allclose(fit.evals, truth[1], rtol=1e-6)
    np.testing.assert_allclose(s0_map(fit), truth[2], rtol=1e-6)


def small_64d():
    image, bval, bvec = get_fnames(name="small_64D")
    bvals, bvecs = read_bvals_bvecs(bval, bvec)
    return nib.load(image).get_fdata(), gradient_table(bvals, bvecs)


def test_equals_the_peer_on_real_scans():
    data, gtab = small_64d()
    mask = np.ones(data.shape[:3], dtype=bool)
    ours = fit_tensor(data, gtab, mask)
    peer = TensorModel(gtab, fit_method="WLS", return_S0_hat=True).fit(data)
    size = np.abs(peer.quadratic_form).max()
    np.testing.assert_allclose(ours.quadratic_form, peer.quadratic_form, atol=1e-6 * size)
    np.testing.assert_allclose(ours.fa, peer.fa, atol=1e-6)
    np.testing.assert_allclose(ours.S0_hat, peer.S0_hat, rtol=1e-6)
    along = np.abs(np.einsum("...i,...i", ours.evecs[..., 0], peer.evecs[..., 0]))
    assert along.min() > 1 - 1e-6
    ols = fit_tensor(data, gtab, mask, method="ols")
    peer = TensorModel(gtab, fit_method="OLS").fit(data)
    np.testing.assert_allclose(ols.evals, peer.evals, atol=1e-6 * size)
    assert np.abs(ours.evals - ols.evals).max() > 1e-5


def test_voxels_with_lost_signals_equal_the_peer(signal, gtab):
    rng = np.random.default_rng(0)
    signal = signal * rng.uniform(0.9, 1.1, signal.shape)
    signal[1, 2, 1, 7:12] = 0
    signal[2, 2, 1, 20] = -3
    ours = fit_tensor(signal, gtab, MASK)
    peer = TensorModel(gtab, fit_method="WLS").fit(signal)
    np.testing.assert_allclose(ours.quadratic_form, peer.quadratic_form, atol=1e-9)
    counts = clamped_signals(signal, MASK)
    assert (counts[1, 2, 1], counts[2, 2, 1], counts.sum()) == (5, 1, 6)


def test_voxel_without_b0_signal_is_left_at_zero(signal, gtab):
    # one shell, one b=0: nothing else tells S0
    used = np.r_[0, 18:33]
    data = signal[..., used] * np.random.default_rng(8).uniform(0.9, 1.1, (4, 5, 3, 16))
    gtab = gradient_table(gtab.bvals[used], gtab.bvecs[used])
    data[0, 1, 2, 0] = 0
    data[0, 1, 1] = 0
    fit = fit_tensor(data, gtab, MASK)
    assert (fit.S0_hat[0, 1, 1:] == 0).all()
    assert not fit.evals[0, 1, 1].any()
    assert not fit.evals[0, 1, 2].any()
    assert (np.delete(fit.S0_hat.ravel(), [4, 5]) > 0).all()
    assert residual_map(data, gtab, fit, MASK)[0, 1, 2] == 0


def test_sample_with_weight_zero_does_not_count(truth, signal, gtab):
    signal[..., 9] *= 0.3
    weights = np.ones(signal.shape)
    weights[..., 9] = 0
    fit = fit_tensor(signal, gtab, MASK, weights=weights)
    np.testing.assert_allclose(fit.quadratic_form, truth[0], atol=1e-9)
    assert np.abs(fit_tensor(signal, gtab, MASK).quadratic_form - truth[0]).max() > 1e-5


def test_zero_weight_and_lost_signal_together(truth, signal, gtab):
    signal[2, 2, 1, 20] = 0
    weights = np.ones(signal.shape)
    weights[2, 2, 1, 20] = 0
    fit = fit_tensor(signal, gtab, MASK, weights=weights)
    np.testing.assert_allclose(fit.quadratic_form, truth[0], atol=1e-9)


def test_mask_leaves_zeros_and_changes_nothing_inside(signal, gtab):
    mask = np.zeros((4, 5, 3), dtype=bool)
    mask[1:3, 2, :] = True
    whole, part = fit_tensor(signal, gtab, MASK), fit_tensor(signal, gtab, mask)
    np.testing.assert_allclose(part.evals[mask], whole.evals[mask], rtol=1e-9)
    assert not part.evals[~mask].any()


def test_components_come_in_the_order_of_bids(truth, signal, gtab):
    components = tensor_components(fit_tensor(signal, gtab, MASK))
    tensor = truth[0]
    for place, (row, column) in enumerate([(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]):
        np.testing.assert_allclose(components[..., place], tensor[..., row, column], atol=1e-9)


def test_fitted_signal_is_the_signal_without_noise(signal, gtab):
    mask = np.zeros((4, 5, 3), dtype=bool)
    mask[0, 1:, 1] = True
    fit = fit_tensor(signal, gtab, MASK)
    np.testing.assert_allclose(fitted_signal(gtab, fit, mask), signal[mask], rtol=1e-5)


def test_residual_of_noise_alone_is_one_over_snr(gtab):
    rng = np.random.default_rng(3)
    mask = np.ones((10, 10, 10), dtype=bool)
    clean = 1000 * np.exp(-gtab.bvals * 0.7e-3) * np.ones((10, 10, 10, 1))
    data = clean + rng.normal(scale=40, size=clean.shape)
    residual = residual_map(data, gtab, fit_tensor(data, gtab, mask), mask)
    assert np.sqrt((residual**2).mean()) == pytest.approx(0.04, rel=0.03)


def test_input_is_not_changed(signal, gtab):
    before = signal.copy()
    fit_tensor(signal, gtab, MASK, weights=np.full(signal.shape, 0.5))
    np.testing.assert_array_equal(signal, before)


@pytest.mark.parametrize(
    ("bvals", "kept"),
    [
        ([0] + [700] * 3 + [1000] * 6 + [2000] * 6, 10),
        ([0] + [1500] * 12, 13),
        ([0] + [1500, 1505, 1495] * 4 + [3000] * 9, 13),
        ([0, 0] + [1210] * 6 + [2500] * 6, 8),
        ([0] + [300] * 4 + [2000] * 30 + [3000] * 30, 35),
        ([0] + [1000] * 3, 4),
    ],
)
def test_tensor_takes_shells_up_to_1200(bvals, kept):
    used = tensor_volumes(np.array(bvals, dtype=float))
    assert used.tolist() == [True] * kept + [False] * (len(bvals) - kept)


def test_all_faults_of_the_arguments_come_together(signal, gtab):
    with pytest.raises(InputError) as caught:
        fit_tensor(signal[..., :-1], gtab, MASK[:2], method="magic")
    assert len(caught.value.findings) == 3


def test_table_that_determines_no_tensor_is_refused(signal, gtab):
    bvecs = np.where(gtab.bvals[:, None] > 0, [0.0, 0.6, 0.8], 0)
    with pytest.raises(InputError, match="of 7 coefficients"):
        fit_tensor(signal, gradient_table(gtab.bvals, bvecs), MASK)
