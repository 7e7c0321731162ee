"""One real resting run through preparation, confounds, cleaning and correlation."""

from __future__ import annotations

import numpy as np
import pytest

from msimaging.functional.cleaning import clean_time_series
from msimaging.functional.comparable import too_little_data
from msimaging.functional.confounds import confounds_table, dvars
from msimaging.functional.connectivity import connectivity_matrix
from msimaging.functional.edges import fisher_z
from msimaging.functional.quality import temporal_snr
from msimaging.functional.strategies import MOTION, select_confounds
from msimaging.steps.preprocess_bold import preprocess_bold
from msimaging.tables import read_json, read_table
from msimaging.volumes import read_volume

pytestmark = [pytest.mark.slow, pytest.mark.real_data]

OUTPUTS = {
    "out_image": "bold.nii.gz",
    "out_reference": "boldref.nii.gz",
    "out_mask": "mask.nii.gz",
    "out_motion": "motion.tsv",
}


def mirrored_cubes(mask, bold):
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


def test_four_unsteady_volumes_and_homotopic_correlations(shared_data, tmp_path):
    name = shared_data / "bids/sub-PH01/ses-01/func/sub-PH01_ses-01_task-rest_bold"
    raw = read_volume(f"{name}.nii.gz", ndim=4)
    preprocess_bold(
        image=f"{name}.nii.gz",
        sidecars=[f"{name}.json"],
        opposite=[],
        matched=[],
        why_distorted="no image of opposite phase encoding",
        bias=False,
        seed=1,
        **{key: str(tmp_path / file) for key, file in OUTPUTS.items()},
    )
    told = read_json(tmp_path / "bold.json")
    bold, mask = (read_volume(tmp_path / file).data for file in ("bold.nii.gz", "mask.nii.gz"))
    mask, motion = mask > 0, read_table(tmp_path / "motion.tsv")
    print(f"\nvolumes before the steady state: {told['NonSteadyStateVolumes']}")
    assert told["NonSteadyStateVolumes"] == 4
    assert motion["non_steady_state"].sum() == 4
    assert told["SliceTimingCorrected"].startswith("no: ")
    assert told["SusceptibilityDistortionCorrected"].startswith("no: ")

    before, after = (np.nanmean(dvars(run, mask=mask)[0][5:]) for run in (raw.data, bold))
    tsnr = [np.nanmedian(temporal_snr(run, mask=mask, n_skipped=4)) for run in (raw.data, bold)]
    print(f"DVARS {before:.1f} -> {after:.1f}, median tSNR {tsnr[0]:.1f} -> {tsnr[1]:.1f}")
    assert after < 0.97 * before
    assert tsnr[1] > 1.02 * tsnr[0]

    t_r = told["RepetitionTime"]
    confounds = confounds_table(
        bold, t_r=t_r, brain_mask=mask, motion=motion[list(MOTION)].to_numpy(), n_non_steady=4
    )
    displacement = confounds.table["framewise_displacement"].mean()
    assert 0.1 < displacement < 0.3
    selected = select_confounds(confounds.table, "24p")
    cleaned = clean_time_series(
        mirrored_cubes(mask, bold),
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
    print(
        f"FD {displacement:.3f} mm; z of {half} homotopic pairs {homotopic.mean():.2f}, of the "
        f"{len(others)} other pairs across the midline {others.mean():.2f}"
    )
    assert homotopic.mean() > others.mean() + 0.2
    assert "1.5 minutes in 71 volumes" in too_little_data(cleaned.n_retained, t_r=t_r).found
