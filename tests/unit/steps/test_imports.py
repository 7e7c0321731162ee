"""Preprocessed scans: what goes on unchanged, what is measured anew, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from derivative_folders import write_fmriprep_run, write_qsiprep_visit
from nilearn.interfaces.fmriprep import load_confounds_strategy
from numpy.typing import NDArray

from msimaging.bids.derivatives import best_of_each_run, index_derivatives
from msimaging.bids.scans import Scan
from msimaging.errors import InputError
from msimaging.functional.confounds import confounds_table
from msimaging.functional.strategies import MOTION, select_confounds
from msimaging.gradient_files import read_numbers
from msimaging.phantom.diffusion import SimulatedDWI, simulate_dwi
from msimaging.steps.derivative_files import component_facts, read_bold_confounds
from msimaging.steps.import_bold import import_bold
from msimaging.steps.import_dwi import import_dwi
from msimaging.study.scan_check import check_scan
from msimaging.tables import read_table, write_json
from msimaging.volumes import Volume, read_labels, read_volume, write_volume

VISIT, SHAPE, N_VOLUMES, T_R = ("sub-01", "ses-a"), (12, 14, 10), 60, 2.0
AFFINE = np.diag([-8.0, 8.0, 8.0, 1.0])


@pytest.fixture(scope="module")
def scan() -> SimulatedDWI:
    return simulate_dwi(voxel_size=6.0, n_b0=3, n_directions=12, snr=25.0, seed=4)


def described(folder: Path, name: str, version: str) -> Path:
    made_by = [{"Name": name, "Version": version}]
    content = {"DatasetType": "derivative", "GeneratedBy": made_by}
    write_json(folder / "dataset_description.json", content)
    return folder


def the_scan(folder: Path, modality: str) -> Scan:
    """Index the folder as `msimaging index` does; all paths from the root."""
    (visit,) = index_derivatives(folder, folder / "elsewhere")
    (scan,) = best_of_each_run(visit.scans[modality])
    return scan


def files_of(scan: Scan) -> dict[str, Any]:
    return {
        "image": scan.path,
        "mask": scan.mask,
        "confounds": [scan.confounds] if scan.confounds else [],
        "sidecars": list(scan.sidecars),
        "pipeline": scan.pipeline,
    }


def checked(scan: Scan) -> list[str]:
    files = {name: getattr(scan, name) for name in ("bval", "bvec", "modality", "pipeline")}
    files |= {"image": scan.path, "sidecars": scan.sidecars}
    files |= {"mask": scan.mask, "confounds": scan.confounds}
    found = check_scan(scan.modality, files)  # type: ignore[arg-type]
    return [str(finding) for finding in found if finding.severity == "error"]


def dwi_motion(n_volumes: int) -> pd.DataFrame:
    displacement = np.r_[np.nan, np.full(n_volumes - 1, 0.25)]
    displacement[4] = 1.5
    return pd.DataFrame({"framewise_displacement": displacement, "trans_x": 0.1, "hmc_r2": 1.0})


@pytest.fixture
def qsiprep(tmp_path: Path, scan: SimulatedDWI) -> Path:
    """A series whose slice 0 was not imaged, with a mask that holds it all the same."""
    folder = described(tmp_path / "qsiprep", "QSIPrep", "1.0.0")
    data, mask = scan.data.copy(), scan.mask.copy()
    data[:, :, :8] = 0
    mask[10:14, 10:14, 6:8] = True
    write_qsiprep_visit(
        folder,
        VISIT,
        Volume(data=data, affine=scan.affine),
        (scan.bvals, scan.bvecs),
        mask,
        confounds=dwi_motion(len(scan.bvals)),
    )
    return folder


def imported_dwi(folder: Path, out: Path) -> dict[str, str]:
    scan = the_scan(folder, "dwi")
    names = {
        "image": "dwi.nii.gz",
        "bval": "dwi.bval",
        "bvec": "dwi.bvec",
        "mask": "mask.nii.gz",
        "weights": "weights.nii.gz",
        "reference": "ref.nii.gz",
        "quality": "quality.tsv",
        "confounds": "confounds.tsv",
    }
    outputs = {f"out_{key}": str(out / name) for key, name in names.items()}
    table = {"bval": str(scan.bval), "bvec": str(scan.bvec)}
    import_dwi(**files_of(scan), **table, gradients="stop", **outputs)
    return outputs


def test_a_preprocessed_series_goes_on_as_it_is(
    qsiprep: Path, scan: SimulatedDWI, tmp_path: Path
) -> None:
    out = imported_dwi(qsiprep, tmp_path)
    given = read_volume(the_scan(qsiprep, "dwi").path).data
    assert np.array_equal(read_volume(out["out_image"]).data, given)
    assert np.allclose(read_numbers(out["out_bvec"]).T, scan.bvecs, atol=1e-7)
    b0s = given[..., scan.bvals == 0]
    assert np.allclose(read_volume(out["out_reference"]).data, b0s.mean(axis=-1), rtol=1e-6)
    told = json.loads((tmp_path / "dwi.json").read_text())
    assert told["PreprocessedBy"] == "QSIPrep 1.0.0"
    assert told["SpaceOfPipeline"] == "ACPC"
    assert told["GradientTableChecked"].startswith("yes")
    # of the pipeline's dataset, not of the raw one
    assert all(source.startswith("bids:qsiprep:sub-01/ses-a/dwi/") for source in told["Sources"])


def test_what_was_not_imaged_leaves_the_mask_and_is_counted(
    qsiprep: Path, scan: SimulatedDWI, tmp_path: Path
) -> None:
    out = imported_dwi(qsiprep, tmp_path)
    mask = read_labels(out["out_mask"]).data > 0
    assert not mask[:, :, :8].any()
    assert np.array_equal(mask[:, :, 8:], scan.mask[:, :, 8:])
    quality = read_table(out["out_quality"]).set_index("metric")["value"]
    lost = read_labels(str(the_scan(qsiprep, "dwi").mask)).data[:, :, :8].sum()
    assert quality["uncovered_voxels"] == lost > 0
    assert quality["fd_max"] == 1.5
    assert quality["fd_mean"] == pytest.approx((13 * 0.25 + 1.5) / 14)
    assert np.isnan(quality["ndc_raw"])
    assert quality["ndc"] > 0.5
    confounds = read_table(out["out_confounds"])
    assert (confounds["trans_x"] == 0.1).all()
    assert confounds["eddy_x"].isna().all()


def test_a_table_of_other_axes_is_stopped_here_too(tmp_path: Path) -> None:
    scan = simulate_dwi(voxel_size=4.0, n_b0=2, n_directions=20, snr=30.0, seed=2)
    folder = described(tmp_path / "qsiprep", "QSIPrep", "0.16.1")
    wrong = scan.bvecs * [1, 1, -1]
    image = Volume(data=scan.data, affine=scan.affine)
    motion = dwi_motion(len(scan.bvals))
    write_qsiprep_visit(
        folder, VISIT, image, (scan.bvals, wrong), scan.mask, confounds=motion, old=True
    )
    with pytest.raises(InputError, match=r"\(x, y, -z\)"):
        imported_dwi(folder, tmp_path)
    assert not (tmp_path / "dwi.nii.gz").exists()


def run_of(seed: int) -> tuple[NDArray[np.float64], NDArray[np.bool_], pd.DataFrame, dict]:
    """Return a run in a ball, its mask and the confounds that fMRIPrep would write."""
    rng = np.random.default_rng(seed)
    grid = np.indices(SHAPE) - (np.array(SHAPE)[:, None, None, None] - 1) / 2
    radius = np.sqrt((grid**2).sum(axis=0))
    brain = radius < 5
    data = 1000 * brain[..., None] + rng.normal(0, 10, (*SHAPE, N_VOLUMES))
    motion = np.cumsum(rng.normal(0, 1e-3, (N_VOLUMES, 6)), axis=0)
    found = confounds_table(
        data,
        t_r=T_R,
        brain_mask=brain,
        motion=motion,
        white_matter_mask=radius < 2.5,
        csf_mask=(radius > 3) & (radius < 4),
        n_non_steady=2,
    )
    return data, brain, found.table, found.metadata


@pytest.fixture
def fmriprep(tmp_path: Path) -> Path:
    """One run in MNI space, and noise in every other place where it could be looked for."""
    folder = described(tmp_path / "fmriprep", "fMRIPrep", "20.2.7")
    data, brain, table, facts = run_of(1)
    noise, all_brain = np.full_like(data, 7.0), np.ones(SHAPE, dtype=bool)
    write_fmriprep_run(
        folder,
        VISIT,
        {
            "space-MNI152NLin6Asym_res-2": (Volume(data=noise, affine=AFFINE), all_brain),
            "space-MNI152NLin2009cAsym_res-2": (Volume(data=data, affine=AFFINE), brain),
            "space-T1w": (Volume(data=noise, affine=AFFINE), all_brain),
        },
        repetition_time=T_R,
        confounds=table,
        facts=facts,
        lts=True,
    )
    return folder


def test_the_run_in_template_space_is_taken_with_its_own_mask_and_motion(
    fmriprep: Path, tmp_path: Path
) -> None:
    data, brain, table, _ = run_of(1)
    names = {"image": "b.nii.gz", "reference": "r.nii.gz", "mask": "m.nii.gz", "motion": "m.tsv"}
    out = {f"out_{key}": str(tmp_path / name) for key, name in names.items()}
    import_bold(**files_of(the_scan(fmriprep, "bold")), **out)
    assert np.allclose(read_volume(out["out_image"]).data, data, rtol=1e-6)
    assert np.array_equal(read_labels(out["out_mask"]).data > 0, brain)
    assert np.allclose(read_volume(out["out_reference"]).data, data[..., 2:].mean(-1), atol=1e-3)
    motion = read_table(out["out_motion"])
    assert np.allclose(motion[list(MOTION)], table[list(MOTION)], atol=1e-9)
    assert motion["non_steady_state"].tolist() == [True] * 2 + [False] * (N_VOLUMES - 2)
    told = json.loads((tmp_path / "b.json").read_text())
    assert (told["RepetitionTime"], told["NonSteadyStateVolumes"]) == (T_R, 2)


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        ("simple", {"denoise_strategy": "simple", "wm_csf": "basic"}),
        (
            "acompcor",
            {"denoise_strategy": "compcor", "compcor": "anat_combined", "n_compcor": "all"},
        ),
        ("scrubbing", {"denoise_strategy": "scrubbing", "scrub": 5, "demean": False}),
    ],
)
def test_strategies_take_from_the_table_what_nilearn_s_loader_takes(
    strategy: str, options: dict[str, Any], fmriprep: Path
) -> None:
    scan = the_scan(fmriprep, "bold")
    table = read_bold_confounds(str(scan.confounds), N_VOLUMES)
    ours = select_confounds(table, strategy, metadata=component_facts(str(scan.confounds), table))
    extra = {"fd_threshold": 0.5, "std_dvars_threshold": 1.5} if strategy == "scrubbing" else {}
    expected, kept = load_confounds_strategy(scan.path, **{**options, "demean": False, **extra})
    assert set(ours.names) == set(expected.columns)
    assert np.allclose(ours.design, expected[list(ours.names)], atol=1e-9)
    assert np.array_equal(ours.sample_mask, np.arange(N_VOLUMES) if kept is None else kept)


def shorten(path: Path) -> None:
    table = read_table(path)
    table.iloc[:-3].to_csv(path, sep="\t", index=False, na_rep="n/a")


def without_motion(path: Path) -> None:
    read_table(path).drop(columns="rot_y").to_csv(path, sep="\t", index=False, na_rep="n/a")


@pytest.mark.parametrize(
    ("name", "spoil", "told"),
    [
        ("space-MNI152NLin2009cAsym_res-2_desc-brain_mask.nii.gz", Path.unlink, "mask beside it"),
        ("desc-confounds_timeseries.tsv", Path.unlink, "no desc-confounds_timeseries"),
        ("desc-confounds_timeseries.tsv", shorten, "57 rows for 60 volumes"),
        ("desc-confounds_timeseries.tsv", without_motion, "no column rot_y"),
        (
            "space-MNI152NLin2009cAsym_res-2_desc-brain_mask.nii.gz",
            lambda path: write_volume(path, np.ones((5, 5, 5), dtype=bool), AFFINE),
            "must lie on one voxel grid",
        ),
        (
            "space-MNI152NLin2009cAsym_res-2_desc-brain_mask.nii.gz",
            lambda path: write_volume(path, np.zeros(SHAPE, dtype=bool), AFFINE),
            "an empty mask",
        ),
        (
            "space-MNI152NLin2009cAsym_res-2_desc-preproc_bold.nii.gz",
            lambda path: path.write_bytes(path.read_bytes()[:3000]),
            "must be whole and readable",
        ),
        (
            "space-MNI152NLin2009cAsym_res-2_desc-preproc_bold.json",
            Path.unlink,
            "no RepetitionTime",
        ),
    ],
)
def test_a_broken_or_missing_file_of_the_pipeline_is_one_clear_error(
    name: str, spoil: Any, told: str, fmriprep: Path, tmp_path: Path
) -> None:
    assert checked(the_scan(fmriprep, "bold")) == []
    broken = tmp_path / "broken"
    shutil.copytree(fmriprep, broken)
    spoil(broken.joinpath(*VISIT, "func", f"sub-01_ses-a_task-rest_{name}"))
    (fault,) = checked(the_scan(broken, "bold"))
    assert told in fault


def test_a_series_without_its_mask_or_table_is_refused_before_anything_runs(
    qsiprep: Path,
) -> None:
    assert checked(the_scan(qsiprep, "dwi")) == []
    stem = qsiprep.joinpath(*VISIT, "dwi", "sub-01_ses-a")
    stem.with_name(f"{stem.name}_space-ACPC_desc-brain_mask.nii.gz").unlink()
    stem.with_name(f"{stem.name}_space-ACPC_desc-preproc_dwi.bvec").unlink()
    told = checked(the_scan(qsiprep, "dwi"))
    assert len(told) == 2
    assert any("no desc-brain_mask for this image" in fault for fault in told)
    assert any("no bvec" in fault for fault in told)
