"""Bootstrap errors against the spread of many simulated scans."""

import numpy as np
import pytest

from msimaging.diffusion.gradients import gradient_table
from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.diffusion.tensor import fit_tensor
from msimaging.diffusion.uncertainty import wild_bootstrap
from msimaging.errors import InputError

SHAPE = (25, 40, 1)
MASK = np.ones(SHAPE, dtype=bool)
TISSUE = {
    "white": [1.7e-3, 0.4e-3, 0.3e-3],
    "low FA": [1.3e-3, 1.1e-3, 1.0e-3],
}


def table(n_b0, n_directions, bval):
    steps = np.arange(n_directions) + 0.5
    polar, azimuth = np.arccos(1 - steps / n_directions), np.pi * (1 + 5**0.5) * steps
    directions = np.stack(
        [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1
    )
    bvals = np.r_[np.zeros(n_b0), np.full(n_directions, float(bval))]
    return gradient_table(bvals, np.vstack([np.zeros((n_b0, 3)), directions]))


def scans(gtab, evals, snr, seed=0):
    """The same voxel scanned 1000 times with Rician noise."""
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))
    tensor = axes @ np.diag(evals) @ axes.T
    signal = np.exp(-gtab.bvals * np.einsum("ni,ij,nj->n", gtab.bvecs, tensor, gtab.bvecs))
    noise = rng.normal(scale=1 / snr, size=(2, *SHAPE, len(signal)))
    return np.hypot(signal + noise[0], noise[1])


@pytest.mark.parametrize("tissue", TISSUE)
@pytest.mark.parametrize("snr", [15, 25])
@pytest.mark.parametrize("scheme", [(3, 30, 1000), (1, 12, 1500)])
def test_errors_are_those_of_repeated_scans(tissue, snr, scheme):
    gtab = table(*scheme)
    data = scans(gtab, TISSUE[tissue], snr)
    evals = fit_tensor(data, gtab, MASK).evals
    # each row of the grid is a region of 40 independent voxels
    labels = np.broadcast_to(np.arange(1, 26)[:, None, None], SHAPE)
    errors = wild_bootstrap(data, gtab, MASK, labels=labels, seed=1, n_samples=100)
    for label, metric in SCALAR_METRICS.items():
        truth = metric.from_evals(evals).std()
        assert np.sqrt((errors.voxels[label] ** 2).mean()) == pytest.approx(truth, rel=0.1)
        region = np.sqrt((errors.regions[label] ** 2).mean())
        assert region == pytest.approx(truth / 40**0.5, rel=0.12)


def test_blocks_keep_what_neighbours_share():
    gtab = table(3, 30, 1000)
    data = scans(gtab, TISSUE["white"], 20)
    # pairs of identical voxels: noise is tied, as after interpolation
    data[1::2] = data[:-1:2][:12]
    data[24] = data[23]
    labels = np.ones(SHAPE, dtype=int)
    alone = wild_bootstrap(data, gtab, MASK, labels=labels, n_samples=100)
    tied = wild_bootstrap(data, gtab, MASK, labels=labels, n_samples=100, block_voxels=2)
    assert tied.regions["md"][0] / alone.regions["md"][0] == pytest.approx(2**0.5, rel=0.2)
    ratio = tied.voxels["md"].mean() / alone.voxels["md"].mean()
    assert ratio == pytest.approx(1, rel=0.02)


def test_regions_are_means_inside_the_mask():
    gtab = table(3, 30, 1000)
    data = scans(gtab, TISSUE["white"], 20)
    data[:5] = scans(gtab, TISSUE["low FA"], 20)[:5]
    labels = np.zeros(SHAPE, dtype=int)
    labels[:5], labels[20:] = 7, 3
    mask = MASK.copy()
    mask[22:] = False
    errors = wild_bootstrap(data, gtab, mask, labels=labels, n_samples=50)
    assert errors.region_labels.tolist() == [3, 7]
    evals = fit_tensor(data, gtab, mask).evals
    for place, label in enumerate((3, 7)):
        mean = SCALAR_METRICS["md"].from_evals(evals[(labels == label) & mask]).mean()
        samples = errors.region_samples["md"][:, place]
        assert samples.mean() == pytest.approx(mean, rel=0.01)
        assert errors.regions["md"][place] == pytest.approx(samples.std(ddof=1), rel=1e-6)
    assert not errors.voxels["fa"][22:].any()


def test_same_seed_same_numbers_other_seed_others():
    gtab = table(3, 30, 1000)
    data = scans(gtab, TISSUE["white"], 20)
    first, again, other = (
        wild_bootstrap(data, gtab, MASK, n_samples=10, seed=seed).voxels["rd"] for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.9


def test_voxels_without_signal_have_no_error_and_harm_nobody():
    gtab = table(1, 20, 1000)
    data = scans(gtab, TISSUE["white"], 20)
    data[0, 0], data[0, 1, 0, 0], data[0, 2, 0, 5] = 0, 0, 0
    errors = wild_bootstrap(data, gtab, MASK, n_samples=20)
    for values in errors.voxels.values():
        assert np.isfinite(values).all()
        assert (values[0, :2] == 0).all()
        assert (values[1:] > 0).all()


def test_exact_data_have_no_error():
    gtab = table(3, 30, 1000)
    data = scans(gtab, TISSUE["white"], 1e12)[:2]
    errors = wild_bootstrap(data, gtab, MASK[:2], n_samples=10)
    assert max(values.max() for values in errors.voxels.values()) < 1e-8


def test_all_faults_come_together():
    gtab = table(1, 6, 1000)
    data = np.ones((*SHAPE, 7))
    with pytest.raises(InputError) as caught:
        wild_bootstrap(
            data, gtab, MASK, labels=np.ones((2, 2, 2), int), n_samples=1, block_voxels=0
        )
    assert len(caught.value.findings) == 4
