"""The step on a small head: what the switches do, what the sidecar says, what the gate refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.transform import Rotation

from msimaging.diffusion.gradients import bvecs_fsl_to_ras
from msimaging.diffusion.orientation import describe_transform
from msimaging.errors import InputError
from msimaging.gradient_files import read_numbers, write_gradients
from msimaging.phantom.diffusion import SimulatedDWI, simulate_dwi
from msimaging.phantom.head import FIELD_CENTRE, Pose
from msimaging.steps.dwi_corrections import correct_series
from msimaging.steps.dwi_series import Corrections, Series
from msimaging.steps.preprocess_dwi import preprocess_dwi
from msimaging.tables import read_table
from msimaging.volumes import read_labels, read_volume, write_volume

NOTHING = {
    "denoise": "none",
    "unring": "none",
    "outliers": False,
    "bias": False,
    "gradients": "stop",
    "opposite": [],
    "why_distorted": "switched off in the settings",
    "why_moving": "switched off in the settings",
}
MOTION = {"why_moving": ""}
OUTPUTS = {
    "out_image": "out_dwi.nii.gz",
    "out_bval": "out_dwi.bval",
    "out_bvec": "out_dwi.bvec",
    "out_reference": "out_dwiref.nii.gz",
    "out_mask": "out_mask.nii.gz",
    "out_weights": "out_weights.nii.gz",
    "out_quality": "out_quality.tsv",
    "out_confounds": "out_confounds.tsv",
    "out_orientation": "out_orientation.tsv",
}
MOVED_VOLUME, TURN, SHIFT = 9, (0.0, 0.0, 4.0), (1.0, -2.0, 0.0)


def _turned() -> Pose:
    centre = np.asarray(FIELD_CENTRE)
    rotation = Rotation.from_euler("xyz", TURN, degrees=True).as_matrix()
    return Pose(rotation=rotation, translation=np.asarray(SHIFT) + centre - rotation @ centre)


@pytest.fixture(scope="module")
def scan() -> SimulatedDWI:
    """A head that turns once, in one weighted volume, and turns back."""
    still = Pose(rotation=np.eye(3), translation=np.zeros(3))
    motion = [_turned() if volume == MOVED_VOLUME else still for volume in range(15)]
    return simulate_dwi(voxel_size=6.0, n_b0=3, n_directions=12, snr=25.0, motion=motion, seed=4)


def _written(folder: Path, scan: SimulatedDWI, **sidecar: object) -> dict[str, object]:
    write_volume(folder / "dwi.nii.gz", scan.data, scan.affine)
    write_gradients(folder / "dwi.bval", folder / "dwi.bvec", scan.bvals, scan.bvecs)
    (folder / "dwi.json").write_text(json.dumps({"PhaseEncodingDirection": "j-", **sidecar}))
    raw = {"image": "dwi.nii.gz", "bval": "dwi.bval", "bvec": "dwi.bvec"}
    files: dict[str, object] = {name: str(folder / file) for name, file in (raw | OUTPUTS).items()}
    return files | {"sidecars": [str(folder / "dwi.json")]}


def _told(folder: Path) -> dict[str, str]:
    return dict(json.loads((folder / "out_dwi.json").read_text()))


def _quality(folder: Path) -> pd.Series:
    return read_table(folder / "out_quality.tsv").set_index("metric")["value"]


def test_with_everything_off_the_series_passes_through_and_the_sidecar_says_so(
    tmp_path: Path, scan: SimulatedDWI
) -> None:
    preprocess_dwi(**_written(tmp_path, scan), **NOTHING)
    assert np.array_equal(read_volume(tmp_path / "out_dwi.nii.gz").data, scan.data)
    assert np.allclose(read_numbers(tmp_path / "out_dwi.bvec").T, scan.bvecs, atol=1e-7)
    told = _told(tmp_path)
    for name in ("NoiseRemoved", "DroppedSlicesReplaced", "HeadMotionCorrected"):
        assert told[name].startswith("no: switched off")
    assert told["SusceptibilityDistortionCorrected"].startswith("no: ")
    assert told["GradientTableChecked"].startswith("yes: ")
    quality = _quality(tmp_path)
    assert quality["n_volumes"] == 15
    assert np.isnan(quality[["fd_mean", "sigma_pca"]]).all()
    assert quality["dropped_slices"] == 0
    assert read_table(tmp_path / "out_confounds.tsv").isna().all(axis=None)


def test_motion_is_found_undone_and_the_vector_turned_back(
    tmp_path: Path, scan: SimulatedDWI
) -> None:
    preprocess_dwi(**_written(tmp_path, scan), **NOTHING | MOTION)
    confounds = read_table(tmp_path / "out_confounds.tsv")
    turned = confounds["rot_z"] - confounds["rot_z"].median()
    assert turned.abs().idxmax() == MOVED_VOLUME
    assert np.rad2deg(turned.abs().max()) == pytest.approx(4.0, abs=0.7)
    assert confounds["framewise_displacement"].nlargest(2).index.tolist() in (
        [MOVED_VOLUME, MOVED_VOLUME + 1],
        [MOVED_VOLUME + 1, MOVED_VOLUME],
    )
    affine = read_volume(tmp_path / "out_dwi.nii.gz").affine
    bvecs = bvecs_fsl_to_ras(read_numbers(tmp_path / "out_dwi.bvec").T, affine)
    # what the turned head saw of the scanner's gradient
    seen = scan.bvecs_ras[MOVED_VOLUME] @ _turned().rotation
    angle = np.rad2deg(np.arccos(min(1.0, abs(float(bvecs[MOVED_VOLUME] @ seen)))))
    before = np.rad2deg(np.arccos(abs(float(scan.bvecs_ras[MOVED_VOLUME] @ seen))))
    assert before > 2.5
    assert angle < 1.0
    quality = _quality(tmp_path)
    assert quality["fd_max"] == pytest.approx(confounds["framewise_displacement"].max())
    assert quality["ndc"] > quality["ndc_raw"]
    assert _told(tmp_path)["HeadMotionCorrected"].startswith("yes: ")


def test_a_dropped_slice_is_replaced_and_counted(tmp_path: Path, scan: SimulatedDWI) -> None:
    files = _written(tmp_path, scan)
    data = scan.data.copy()
    middle = data.shape[2] // 2
    data[:, :, middle, 6] *= 0.3
    write_volume(tmp_path / "dwi.nii.gz", data, scan.affine)
    preprocess_dwi(**files, **NOTHING | {"outliers": True})
    dropped = read_table(tmp_path / "out_confounds.tsv")["dropped_slices"]
    assert dropped[6] >= 1
    assert dropped.sum() == _quality(tmp_path)["dropped_slices"]
    brain = read_labels(tmp_path / "out_mask.nii.gz").data[:, :, middle] > 0
    repaired = read_volume(tmp_path / "out_dwi.nii.gz").data[:, :, middle, 6][brain]
    assert np.median(repaired / scan.data[:, :, middle, 6][brain]) == pytest.approx(1, abs=0.08)


def test_denoising_lowers_noise_and_names_its_level(tmp_path: Path, scan: SimulatedDWI) -> None:
    still = simulate_dwi(voxel_size=5.0, n_b0=3, n_directions=12, snr=25.0, seed=4)
    clean = simulate_dwi(voxel_size=5.0, n_b0=3, n_directions=12, snr=None)
    preprocess_dwi(**_written(tmp_path, still), **NOTHING | {"denoise": "mppca"})
    error = read_volume(tmp_path / "out_dwi.nii.gz").data - clean.data
    assert error[clean.mask].std() < 0.9 * (still.data - clean.data)[clean.mask].std()
    planted = (still.data - clean.data)[clean.mask & (clean.fa > 0.3)][:, :3].std()
    assert _quality(tmp_path)["sigma_pca"] == pytest.approx(planted, rel=0.25)


@pytest.mark.parametrize(
    ("sidecar", "answer"),
    [
        ({"PartialFourier": 1}, "yes: "),
        ({}, "no: the sidecar does not tell PartialFourier"),
        ({"PartialFourier": 0.75}, "no: partial Fourier acquisition (PartialFourier 0.75)"),
        ({"PartialFourier": 1, "AcquisitionMatrixPE": 21}, "no: 21 phase-encoding lines"),
    ],
)
def test_ringing_is_removed_only_where_the_sidecar_allows_it(
    scan: SimulatedDWI, sidecar: dict[str, float], answer: str
) -> None:
    asked = Corrections(denoise="none", unring="auto", outliers=False, motion=False, bias=False)
    series = _series(scan)
    found = correct_series(series, asked, sidecar)
    assert found.told["GibbsRingingRemoved"].startswith(answer)
    assert np.array_equal(found.data, series.data) == answer.startswith("no")


def test_bias_leaves_ratios_of_volumes_alone(scan: SimulatedDWI) -> None:
    across = np.linspace(0.6, 1.4, scan.data.shape[0])[:, None, None, None].astype(np.float32)
    shaded = _series(scan, scan.data * across)
    asked = Corrections(denoise="none", unring="none", outliers=False, motion=False, bias=True)
    found = correct_series(shaded, asked, {})
    inside = shaded.data[shaded.mask]
    even = found.data[shaded.mask]
    assert np.allclose(even[:, 5] * inside[:, 0], inside[:, 5] * even[:, 0], rtol=1e-4)
    # the field follows anatomy a little too; what it takes out of the even head tells how much
    plain = correct_series(_series(scan), asked, {}).data[shaded.mask][:, 0]
    left = np.std(np.log(even[:, 0] / plain))
    assert left < 0.4 * np.std(
        np.log(np.broadcast_to(across[..., 0], shaded.mask.shape))[shaded.mask]
    )


def test_voxels_that_a_volume_did_not_image_leave_the_mask(scan: SimulatedDWI) -> None:
    slab = slice(scan.data.shape[2] // 3, 2 * scan.data.shape[2] // 3)
    affine = scan.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [0, 0, slab.start]
    cut = scan.data[:, :, slab].copy()
    # the head of volume 8 lies a slice and a half higher
    cut[..., 8] = np.roll(scan.data[..., 8], 2, axis=2)[:, :, slab]
    series = _series(scan, cut, affine=affine, mask=scan.mask[:, :, slab])
    asked = Corrections(denoise="none", unring="none", outliers=False, motion=True, bias=False)
    found = correct_series(series, asked, {"PhaseEncodingDirection": "j"})
    assert found.uncovered_voxels > 0
    assert (found.data[found.mask].min(axis=0) >= 0).all()
    assert not found.mask[:, :, -1].any()


def _series(
    scan: SimulatedDWI,
    data: np.ndarray | None = None,
    *,
    affine: np.ndarray | None = None,
    mask: np.ndarray | None = None,
) -> Series:
    return Series(
        data=scan.data if data is None else data,
        bvals=scan.bvals,
        bvecs_ras=scan.bvecs_ras,
        affine=scan.affine if affine is None else affine,
        mask=scan.mask if mask is None else mask,
    )


@pytest.fixture(scope="module")
def still() -> SimulatedDWI:
    return simulate_dwi(voxel_size=4.0, n_b0=2, n_directions=20, snr=30.0, seed=2)


@pytest.fixture
def wrong(tmp_path: Path, still: SimulatedDWI) -> dict[str, object]:
    """A z component of the wrong sign, as a vendor once wrote it."""
    files = _written(tmp_path, still)
    bvecs = still.bvecs * [1, 1, -1]
    write_gradients(tmp_path / "dwi.bval", tmp_path / "dwi.bvec", still.bvals, bvecs)
    return files


def test_a_wrong_table_stops_the_visit_and_names_the_better_table(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"\(x, y, -z\)"):
        preprocess_dwi(**wrong, **NOTHING)
    assert not Path(str(wrong["out_image"])).exists()


def test_a_wrong_table_is_used_as_given_when_accepted(
    tmp_path: Path, wrong: dict[str, object], still: SimulatedDWI
) -> None:
    preprocess_dwi(**wrong, **NOTHING | {"gradients": "accept"})
    used = read_numbers(tmp_path / "out_dwi.bvec").T
    assert np.allclose(used, still.bvecs * [1, 1, -1], atol=1e-7)
    assert _told(tmp_path)["GradientTableChecked"].startswith("accepted as given")


def test_a_wrong_table_is_replaced_by_the_better_one_when_corrected(
    tmp_path: Path, wrong: dict[str, object], still: SimulatedDWI
) -> None:
    preprocess_dwi(**wrong, **NOTHING | {"gradients": "correct"})
    used = read_numbers(tmp_path / "out_dwi.bvec").T
    same = np.abs((used * still.bvecs).sum(axis=1))
    assert np.allclose(same, still.bvals > 0, atol=1e-6)
    better = describe_transform(np.diag([1, 1, -1]))
    assert better in _told(tmp_path)["GradientTableChecked"]
    scores = read_table(tmp_path / "out_orientation.tsv").set_index("table")["score"]
    assert len(scores) == 24
    assert scores.idxmax() == better
    assert scores.index[0] == "(x, y, z)"


def test_other_faults_stop_whatever_the_setting(
    tmp_path: Path, wrong: dict[str, object], still: SimulatedDWI
) -> None:
    short = still.bvecs[:-1]
    write_gradients(tmp_path / "dwi.bval", tmp_path / "dwi.bvec", still.bvals, short)
    with pytest.raises(InputError):
        preprocess_dwi(**wrong, **NOTHING | {"gradients": "correct"})


def test_distortion_is_undone_with_the_opposite_polarity_and_told(tmp_path: Path) -> None:
    # little noise, so that what is compared is the distortion
    common = {"voxel_size": 4.0, "n_directions": 12, "snr": 100.0, "seed": 6}
    bent = simulate_dwi(**common, n_b0=2, distortion_mm=8.0)
    other = simulate_dwi(voxel_size=4.0, n_b0=1, n_directions=0, snr=100.0, distortion_mm=-8.0)
    true = simulate_dwi(**common | {"snr": None}, n_b0=2)
    files = _written(tmp_path, bent)
    write_volume(tmp_path / "epi.nii.gz", other.data, other.affine)
    plain, mended = NOTHING, NOTHING | {"opposite": [str(tmp_path / "epi.nii.gz")]}
    errors = {}
    for name, options in (("plain", plain), ("mended", mended)):
        preprocess_dwi(**files, **options)
        shown = read_volume(tmp_path / "out_dwi.nii.gz").data
        errors[name] = np.sqrt(np.mean((shown - true.data)[true.mask] ** 2))
    assert errors["mended"] < 0.55 * errors["plain"]
    told = _told(tmp_path)["SusceptibilityDistortionCorrected"]
    assert told.startswith("yes: field from b=0 images of opposite phase encoding")
    quality = _quality(tmp_path)
    assert quality["polarity_agreement"] > quality["polarity_agreement_raw"]
    assert 3 < quality["distortion_max"] < 10
    assert _told(tmp_path)["HeadMotionCorrected"].startswith("no: ")


def test_an_opposite_image_without_a_b0_is_refused(tmp_path: Path, scan: SimulatedDWI) -> None:
    files = _written(tmp_path, scan)
    weighted = scan.bvals > 0
    write_volume(tmp_path / "other.nii.gz", scan.data[..., weighted], scan.affine)
    (tmp_path / "other.bval").write_text(" ".join("1000" for _ in range(weighted.sum())))
    opposite = [str(tmp_path / name) for name in ("other.nii.gz", "other.bval")]
    with pytest.raises(InputError, match="without weighting"):
        preprocess_dwi(**files, **NOTHING | {"opposite": opposite})


def test_replaced_slices_weigh_nothing_and_stay_so_through_the_resampling(
    tmp_path: Path, scan: SimulatedDWI
) -> None:
    files = _written(tmp_path, scan)
    data = scan.data.copy()
    middle = data.shape[2] // 2
    data[:, :, middle, 6] *= 0.3
    write_volume(tmp_path / "dwi.nii.gz", data, scan.affine)
    preprocess_dwi(**files, **NOTHING)
    found = _quality(tmp_path)
    # told although nothing is replaced
    assert found["dropped_slices"] == 1
    assert 0 < found["dropped_slice_share"] < 0.01
    for motion in ({}, MOTION):
        preprocess_dwi(**files, **NOTHING | {"outliers": True} | motion)
        assert _quality(tmp_path)["dropped_slices"] == 1
        brain = read_labels(tmp_path / "out_mask.nii.gz").data[:, :, middle] > 0
        weights = read_volume(tmp_path / "out_weights.nii.gz").data
        assert np.median(weights[:, :, middle, 6][brain]) < 20
        assert np.median(weights[:, :, middle, 8][brain]) == 100
        assert (weights[:, :, middle + 4, 6] == 100).mean() > 0.8
