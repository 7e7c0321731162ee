"""The whole room on one simulated cohort with known change and on one real run."""

from __future__ import annotations

import runpy

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from msimaging.functional.cleaning import clean_time_series
from msimaging.functional.comparable import too_little_data
from msimaging.functional.confounds import confounds_table, dvars
from msimaging.functional.connectivity import connectivity_matrix
from msimaging.functional.edges import fisher_z
from msimaging.functional.masks import bold_brain_mask
from msimaging.functional.motion import estimate_head_motion
from msimaging.functional.quality import temporal_snr
from msimaging.functional.strategies import select_confounds


@pytest.mark.slow
def test_best_strategy_recovers_the_planted_change(repository):
    bench = runpy.run_path(str(repository / "tests/benchmarks/bench_functional_strategies.py"))
    found = {name: rows.mean(axis=0) for name, rows in bench["compare"](n_patients=12).items()}
    bias, change, false_change = found["scrubbing"][:3]
    assert abs(bias) < 0.02
    assert change == pytest.approx(bench["PLANTED"], abs=0.03)
    assert abs(false_change) < 0.03
    # motion alone makes a change where there is none, and global signal regression shifts all
    assert found["none"][2] > 0.2
    assert found["36p"][0] < -0.05
    assert found["scrubbing"][3] > found["24p"][3] > found["none"][3]


def _mirrored_cubes(mask, bold):
    """Mean signals of cubes left and right of the mask's middle, in the same order."""
    middle = np.argwhere(mask)[:, 0].mean()
    left, right = [], []
    for x in range(4, 22, 4):
        for y in range(6, 42, 4):
            for z in range(4, 28, 4):
                sides = []
                for centre in (x, round(2 * middle - x)):
                    cube = np.s_[centre - 1 : centre + 2, y - 1 : y + 2, z - 1 : z + 2]
                    sides.append((mask[cube].mean(), bold[cube].mean(axis=(0, 1, 2))))
                if min(share for share, _ in sides) > 0.9:
                    left.append(sides[0][1])
                    right.append(sides[1][1])
    return np.array(left + right).T


@pytest.mark.slow
@pytest.mark.real_data
def test_real_run_from_volumes_to_homotopic_correlations(shared_data):
    folder = shared_data / "bids/sub-PH01/ses-01/func"
    image = nib.load(folder / "sub-PH01_ses-01_task-rest_bold.nii.gz")
    bold, affine, t_r = np.asarray(image.dataobj, dtype=np.float32), image.affine, 1.25923
    mask = bold_brain_mask(bold, affine=affine, n_skipped=4)
    motion = estimate_head_motion(bold, affine=affine, mask=mask, n_skipped=4)
    realigned = np.empty_like(bold)
    for volume, matrix in enumerate(motion.reference_to_volume):
        pull = np.linalg.inv(affine) @ matrix @ affine
        realigned[..., volume] = ndimage.affine_transform(
            bold[..., volume], pull[:3, :3], pull[:3, 3], order=3, mode="nearest"
        )
    before, after = (np.nanmean(dvars(run, mask=mask)[0][5:]) for run in (bold, realigned))
    assert after < 0.97 * before
    tsnr = [np.nanmedian(temporal_snr(run, mask=mask, n_skipped=4)) for run in (bold, realigned)]
    assert tsnr[1] > 1.02 * tsnr[0]
    confounds = confounds_table(
        realigned, t_r=t_r, brain_mask=mask, motion=motion.parameters, n_non_steady=4
    )
    assert 0.1 < confounds.table["framewise_displacement"].mean() < 0.3
    selected = select_confounds(confounds.table, "24p")
    cleaned = clean_time_series(
        _mirrored_cubes(mask, realigned),
        t_r=t_r,
        high_pass=0.01,
        low_pass=None,
        confounds=selected.design,
        sample_mask=selected.sample_mask,
    )
    assert (cleaned.n_retained, cleaned.degrees_of_freedom_left) == (71, 44)
    z = fisher_z(
        connectivity_matrix(cleaned.time_series, kind="correlation", estimator="empirical").matrix
    )
    half = len(z) // 2
    across = z[:half, half:]
    homotopic, others = np.diagonal(across), across[~np.eye(half, dtype=bool)]
    print(f"z of {half} homotopic pairs {homotopic.mean():.2f}, of others {others.mean():.2f}")
    assert homotopic.mean() > others.mean() + 0.2
    assert "1.5 minutes in 71 volumes" in too_little_data(cleaned.n_retained, t_r=t_r).found
