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
from msimaging.diffusion.tensor import fit_tensor

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


@pytest.mark.parametrize("name", [*CD01, PH01, *OTHERS])
def test_right_tables_raise_no_error_by_header(shared_data, name):
    data, bvals, bvecs, affine = load(shared_data, name)
    findings = check_gradients(data, bvals, bvecs, affine)
    if "ses-01_acq-ortho_dir-AP" not in name:
        assert {finding.severity for finding in findings} == {"note"}
