"""Tensor maps of real scans against what is known about these brains."""

import nibabel as nib
import numpy as np
import pytest

from msimaging.diffusion.gradients import (
    bvecs_fsl_to_ras,
    check_gradients,
    gradient_table,
    standard_table,
)
from msimaging.diffusion.masks import brain_mask
from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.diffusion.orientation import check_orientation
from msimaging.diffusion.tensor import fit_tensor
from msimaging.diffusion.volume_order import volumes_match_vectors

pytestmark = pytest.mark.real_data

CD01 = [
    f"bids/sub-CD01/{session}/dwi/sub-CD01_{session}_{series}_dwi"
    for session in ("ses-01", "ses-02")
    for series in ("acq-ax20_dir-PA", "acq-ortho_dir-PA", "acq-ortho_dir-AP")
]
PH01 = "bids/sub-PH01/ses-01/dwi/sub-PH01_ses-01_dir-PA_dwi"
OTHERS = [
    "ds000114_trunc/sub-01_ses-test_desc-trunc_dwi",
    "philips_12dir_5b0_slab/sub-NT01_dwi",
    "siemens_oblique_b2000/sub-CR01_acq-ortho_dwi",
    "siemens_oblique_b2000/sub-CR01_acq-oblique2axis_dwi",
]


def load(folder, name):
    image = nib.load(folder / f"{name}.nii.gz")
    bvals, bvecs = (np.loadtxt(folder / f"{name}.{kind}") for kind in ("bval", "bvec"))
    return image.get_fdata(dtype=np.float32), bvals, bvecs, image.affine


def fit(folder, name):
    data, bvals, bvecs, affine = load(folder, name)
    bvals, bvecs = standard_table(bvals, bvecs)
    gtab = gradient_table(bvals, bvecs_fsl_to_ras(bvecs, affine))
    mask = brain_mask(data[..., gtab.b0s_mask].mean(axis=-1), affine)
    evals = fit_tensor(data, gtab, mask).evals[mask]
    medians = {
        label: float(np.median(metric.from_evals(evals)))
        for label, metric in SCALAR_METRICS.items()
    }
    return medians, mask.sum() * abs(np.linalg.det(affine[:3, :3])) / 1000


@pytest.mark.parametrize("name", CD01)
def test_volunteer_scanned_twice(shared_data, name):
    medians, volume = fit(shared_data, name)
    assert 0.20 < medians["fa"] < 0.25
    assert 0.75e-3 < medians["md"] < 0.85e-3
    assert 1450 < volume < 1650


def test_medians_survive_zero_voxels(shared_data):
    medians, volume = fit(shared_data, PH01)
    assert medians["md"] == pytest.approx(0.80e-3, rel=0.05)
    assert 1450 < volume < 1750


WRONG = "bids/sub-CD01/ses-01/dwi/sub-CD01_ses-01_acq-ortho_dir-AP_dwi"


@pytest.mark.parametrize("name", [name for name in (*CD01, PH01, *OTHERS) if name != WRONG])
def test_right_tables_raise_no_alarm(shared_data, name):
    findings = check_gradients(*load(shared_data, name))
    assert {finding.severity for finding in findings} == {"note"}


def test_wrong_table_of_the_vendor_is_found(shared_data):
    data, bvals, bvecs, affine = load(shared_data, WRONG)
    errors = [f for f in check_gradients(data, bvals, bvecs, affine) if f.severity == "error"]
    assert len(errors) == 1
    assert "(x, y, -z)" in errors[0].remedy
    name = WRONG.replace("bids/", "bids/derivatives/truth/")
    right = np.loadtxt(shared_data / f"{name}.bvec")
    findings = check_gradients(data, bvals, right, affine)
    assert {finding.severity for finding in findings} == {"note"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in {PH01, OTHERS[0]} else pytest.mark.slow)
        for name in (*CD01, PH01, *OTHERS)
        if name != WRONG
    ],
)
def test_all_23_wrong_tables_are_found(shared_data, name):
    data, bvals, bvecs, affine = load(shared_data, name)
    bvals, bvecs = standard_table(bvals, bvecs)
    mask = brain_mask(data[..., bvals <= 50].mean(axis=-1), affine)
    transforms = None
    for number in range(24):
        table = bvecs if transforms is None else bvecs @ transforms[number].T
        gtab = gradient_table(bvals, bvecs_fsl_to_ras(table, affine))
        check = check_orientation(fit_tensor(data, gtab, mask), affine, mask)
        transforms = check.transforms
        assert check.is_clear
        assert check.is_consistent == (number == 0)
        undone = check.best_transform @ transforms[number]
        assert abs(np.trace(undone)) == 3


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    "name", [CD01[5], *(pytest.param(n, marks=pytest.mark.slow) for n in (CD01[0], OTHERS[3]))]
)
def test_long_voxels_raise_no_alarm(shared_data, name, axis):
    data, bvals, bvecs, affine = load(shared_data, name)
    half = data.shape[axis] // 2
    pairs = np.moveaxis(data, axis, 0)[: 2 * half]
    thick = np.moveaxis(pairs[::2] + pairs[1::2], 0, axis)
    affine = affine.copy()
    affine[:, axis] *= 2
    assert {finding.severity for finding in check_gradients(thick, bvals, bvecs, affine)} == {
        "note"
    }


@pytest.mark.parametrize("name", [CD01[0], PH01, *OTHERS])
def test_vectors_belong_to_their_volumes(shared_data, name):
    data, bvals, bvecs, affine = load(shared_data, name)
    bvals, bvecs = standard_table(bvals, bvecs)
    mask = brain_mask(data[..., bvals <= 50].mean(axis=-1), affine)
    weighted = np.flatnonzero(bvals > 50)
    shuffled = bvecs.copy()
    shuffled[weighted] = np.random.default_rng(6).permutation(bvecs[weighted])
    exchanged = bvecs.copy()
    exchanged[weighted[[2, 9]]] = bvecs[weighted[[9, 2]]]
    for table, right in ((bvecs, True), (shuffled, False), (exchanged, False)):
        check = volumes_match_vectors(data, gradient_table(bvals, table), mask)
        assert check.is_consistent == right
