"""The fit of a visit: what its maps, sidecars and quality numbers tell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msimaging.bids.plan import TENSOR_PARAMS
from msimaging.diffusion.gradients import bvecs_ras_to_fsl
from msimaging.gradient_files import write_gradients
from msimaging.steps.collect_quality import collect_quality
from msimaging.steps.fit_tensor import fit_visit_tensor
from msimaging.steps.quality_files import motion_numbers, write_quality
from msimaging.tables import read_table
from msimaging.volumes import read_volume, write_volume

SHAPE, SNR = (12, 12, 10), 25.0
SERIES = pd.DataFrame(
    {"metric": ["ndc", "fd_mean"], "value": [0.9, np.nan], "units": ["1", "mm"], "description": "x"}
)


def _table() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    directions = rng.normal(size=(48, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    bvals = np.r_[np.zeros(4), np.full(24, 1000.0), np.full(24, 2500.0)]
    return bvals, np.vstack([np.zeros((4, 3)), directions])


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle along x with noise, three samples at zero and one voxel without signal."""
    folder = tmp_path_factory.mktemp("fit")
    bvals, bvecs = _table()
    adc = 0.4e-3 + 1.3e-3 * bvecs[:, 0] ** 2
    data = np.broadcast_to(1000 * np.exp(-bvals * adc), (*SHAPE, len(bvals)))
    rng = np.random.default_rng(6)
    data = np.abs(data + rng.normal(scale=1000 / SNR, size=data.shape))
    data[4, 4, 4, 10:13] = 0
    data[5, 5, 5] = 0
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    write_volume(folder / "dwi.nii.gz", data.astype(np.float32), affine)
    write_volume(folder / "mask.nii.gz", np.ones(SHAPE, dtype=np.uint8), affine)
    write_volume(folder / "weights.nii.gz", np.full(data.shape, 100, dtype=np.uint8), affine)
    bvecs_fsl = bvecs_ras_to_fsl(bvecs, affine)
    write_gradients(folder / "dwi.bval", folder / "dwi.bvec", bvals, bvecs_fsl)
    write_quality(folder / "series.tsv", SERIES, "Series.", sources=[])
    fit_visit_tensor(
        image=str(folder / "dwi.nii.gz"),
        bval=str(folder / "dwi.bval"),
        bvec=str(folder / "dwi.bvec"),
        mask=str(folder / "mask.nii.gz"),
        weights=str(folder / "weights.nii.gz"),
        series_quality=str(folder / "series.tsv"),
        method="wls",
        out_tensor=str(folder / "tensor.nii.gz"),
        out_maps={name: str(folder / f"{name}.nii.gz") for name in TENSOR_PARAMS},
        out_quality=str(folder / "quality.tsv"),
    )
    return folder


def test_the_json_beside_the_table_holds_every_known_number(fitted: Path) -> None:
    told = json.loads((fitted / "quality.json").read_text())
    table = read_table(fitted / "quality.tsv").set_index("metric")["value"]
    assert {name: told[name] for name in table.dropna().index} == pytest.approx(
        table.dropna().to_dict()
    )
    assert told["ndc"] == 0.9
    assert np.isnan(table["fd_mean"])
    assert "fd_mean" not in told
    assert told["Description"].startswith("Quality")


def test_goodness_of_fit_is_the_planted_noise(fitted: Path) -> None:
    quality = read_table(fitted / "quality.tsv").set_index("metric")["value"]
    # 28 volumes and seven coefficients: what is left is the noise relative to S0
    assert quality["residual_median"] == pytest.approx(1 / SNR, rel=0.05)
    assert quality["snr_fit"] == pytest.approx(SNR, rel=0.05)
    residual = read_volume(fitted / "residual.nii.gz").data
    inside = residual[read_volume(fitted / "s0.nii.gz").data > 0]
    assert quality["residual_median"] == pytest.approx(np.median(inside), rel=1e-6)
    assert quality["outlier_share"] < 0.02
    n_volumes = 28
    assert quality[["clamped_samples", "clamped_voxels", "unfitted_voxels"]].tolist() == [
        *(3 + n_volumes, 2, 1)
    ]


def test_each_shell_has_its_coherence(fitted: Path) -> None:
    quality = read_table(fitted / "quality.tsv").set_index("metric")["value"]
    # one bundle: a quarter at most for noise alone, and the high shell sees less signal
    assert quality["coherence_shell1000"] > 0.8
    assert 0.3 < quality["coherence_shell2500"] < quality["coherence_shell1000"]


def test_the_sidecar_says_which_shells_the_tensor_was_fitted_to(fitted: Path) -> None:
    parameters = json.loads((fitted / "fa.json").read_text())["Model"]["Parameters"]
    assert (parameters["Volumes"], parameters["LargestBValue"]) == (28, 1000.0)
    assert parameters["Shells"].startswith("b = 0, 1000 s/mm2; b = 2500 s/mm2 left out")
    assert "up to 1200 s/mm2" in parameters["Shells"]
    assert parameters["ClampedVoxels"] == 2


def test_the_numbers_reach_the_table_of_the_cohort(fitted: Path) -> None:
    scan = {"participant_id": "sub-1", "session_id": "ses-a", "modality": "dwi", "rating": ""}
    collect_quality(
        scans=[scan | {"path": str(fitted / "quality.tsv")}],
        pairs=[],
        confidence=0.95,
        seed=0,
        out_table=str(fitted / "cohort.tsv"),
        out_tests=str(fitted / "tests.tsv"),
    )
    cohort = read_table(fitted / "cohort.tsv").set_index("number")["value"]
    own = read_table(fitted / "quality.tsv").set_index("metric")["value"]
    assert cohort.equals(own.rename_axis("number"))


def test_motion_is_counted_as_mriqc_does() -> None:
    found = motion_numbers(pd.Series([np.nan, 0.1, 0.3, 0.2, 0.6]))
    assert found == pytest.approx({"fd_mean": 0.3, "fd_max": 0.6, "fd_num": 2, "fd_perc": 50})
    assert motion_numbers(pd.Series([np.nan, np.nan])) == {}
