"""Resting runs with one fault each, through a whole run: told once, and the rest goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from derivative_folders import describe_pipeline, write_fmriprep_run

from msimaging.atlases.library import load_atlas
from msimaging.atlases.templates import template_grid
from msimaging.bids.layout import output
from msimaging.bids.rows import read_rows
from msimaging.functional.confounds import confounds_table
from msimaging.functional.strategies import MOTION
from msimaging.phantom.anatomical import simulate_t1w
from msimaging.phantom.functional import SimulatedBOLD, simulate_bold
from msimaging.steps.parcel_tables import read_matrix
from msimaging.tables import read_json, sidecar_of
from msimaging.volumes import Volume, read_volume, write_volume

pytestmark = pytest.mark.slow

N_VOLUMES, SHORT = 60, 34
SESSION = "ses-01"
SOUND = ("sub-sound", "sub-given")
FLAT = "post_cingulate_93"
DERIVATIVES = Path("derivatives") / "msimaging"
SETTINGS = {
    "spatial__working_resolution": 8,
    "spatial__map_resolution": 8,
    "functional__min_minutes": 0.5,
    "functional__min_volumes": 20,
    "functional__own_strategies": {
        "strict": {
            "expand": [*MOTION, "global_signal"],
            "fd_threshold": 0.5,
        }
    },
    "functional__strategy": "strict",
    "functional__bias": True,
    "functional__kinds": {"correlation": "empirical", "tangent": "ledoit-wolf"},
    "functional__tangent_reference": "other patients",
    "functional__seeds": [{"name": "PCC", "coordinates": [0, -52, 18], "radius": 10}],
    "figures__formats": ["png"],
}


def made(seed: int, n_volumes: int = N_VOLUMES) -> SimulatedBOLD:
    return simulate_bold(voxel_size=8.0, n_volumes=n_volumes, seed=seed)


def write_raw(bids: Path, name: str, data: np.ndarray, run: SimulatedBOLD, **sidecar: Any) -> None:
    stem = bids / name / SESSION / "func" / f"{name}_{SESSION}_task-rest_bold"
    stem.parent.mkdir(parents=True)
    write_volume(f"{stem}.nii.gz", data, run.affine)
    content = {"TaskName": "rest", "RepetitionTime": run.t_r} | sidecar
    kept = {key: value for key, value in content.items() if value is not None}
    Path(f"{stem}.json").write_text(json.dumps(kept))


def write_given(
    root: Path,
    name: str,
    run: SimulatedBOLD,
    *,
    data: np.ndarray | None = None,
    mask: np.ndarray | None = None,
    confounds: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a run in template space as fMRIPrep does, beside the raw one."""
    write_raw(root / "bids", name, run.data, run)
    found = confounds_table(
        run.data,
        t_r=run.t_r,
        brain_mask=run.mask,
        motion=np.random.default_rng(0).normal(size=(run.data.shape[3], 6)) * 1e-3,
        n_non_steady=0,
    )
    table = found.table.assign(**(confounds or {}))
    image = Volume(data=run.data if data is None else data, affine=run.affine)
    write_fmriprep_run(
        root / "fmriprep",
        (name, SESSION),
        {"space-MNI152NLin2009cAsym": (image, run.mask if mask is None else mask)},
        repetition_time=run.t_r,
        confounds=table,
        facts={},
    )


@dataclass(frozen=True)
class Fault:
    """What is wrong with a patient's run, and where and how it must be told."""

    step: str
    where: str
    rule: str
    found: str
    remedy: str


#: Refused before anything is computed, or measured and left out of statistics.
FAULTS = {
    "sub-noTR": Fault("bold", "sub-noTR_ses-01_task-rest_bold.nii.gz",
        "RepetitionTime must be given in seconds", "no RepetitionTime", 'Add "RepetitionTime"'),
    "sub-millis": Fault("bold", "sub-millis_ses-01_task-rest_bold.nii.gz",
        "RepetitionTime must be given in seconds", "2000", "milliseconds: write 2"),
    "sub-oneVolume": Fault("bold", "sub-oneVolume_ses-01_task-rest_bold.nii.gz",
        "must hold 10 or more volumes", "1", "exclude the visit"),
    "sub-emptyBrain": Fault("bold", "sub-emptyBrain_ses-01_task-rest_bold.nii.gz",
        "shows a brain that differs", "0.0 % of the image", "Look at the image"),
    "sub-emptyMask": Fault("bold", "sub-emptyMask_ses-01_task-rest_space-MNI152NLin2009cAsym_desc-"
        "brain_mask.nii.gz", "must hold voxels", "an empty mask", "Copy the pipeline's output"),
    "sub-holes": Fault("bold", "sub-holes_ses-01_task-rest_desc-confounds_timeseries.tsv",
        "the head motion of a run must be a number at every volume",
        "1 missing values: trans_x at volume 20", "Copy the pipeline's output"),
    "sub-short": Fault("statistics of bold",
        "sub-short_ses-01_task-rest_desc-confounds_timeseries.tsv",
        "more volumes than cleaning has regressors", f"{SHORT} volumes for",
        "choose a strategy with fewer regressors"),
    "sub-moving": Fault("statistics of bold",
        "sub-moving_ses-01_task-rest_desc-confounds_timeseries.tsv",
        "minutes and 20 volumes after censoring", "0.2 minutes in 6 volumes",
        "left out of statistics"),
}  # fmt: skip


@pytest.fixture(scope="module")
def study(
    tmp_path_factory: pytest.TempPathFactory,
    msimaging: Callable[..., Any],
    edit_config: Callable[..., None],
) -> Path:
    """Two sound patients and one for each fault, run once.

    One of the sound ones has a T1w, the other a parcel whose signal is constant.
    """
    root = tmp_path_factory.mktemp("bad_bold")
    bids = root / "bids"
    describe_pipeline(root / "fmriprep", "fMRIPrep", "23.2.1")
    run = made(1)
    write_raw(bids, "sub-sound", run.data, run)
    t1w = simulate_t1w(voxel_size=4.0)
    anat = bids / "sub-sound" / SESSION / "anat" / f"sub-sound_{SESSION}_T1w.nii.gz"
    anat.parent.mkdir()
    write_volume(anat, t1w.data, t1w.affine)
    other = made(3)
    write_given(root, "sub-given", other, data=flattened(other))
    write_raw(bids, "sub-noTR", run.data, run, RepetitionTime=None)
    write_raw(bids, "sub-millis", run.data, run, RepetitionTime=2000)
    write_raw(bids, "sub-oneVolume", run.data[..., :1], run)
    write_raw(bids, "sub-emptyBrain", np.zeros_like(run.data), run)
    write_given(root, "sub-emptyMask", run, mask=np.zeros_like(run.mask))
    # nine of ten volumes: what is left is one stretch, as long as a stretch must be
    moved = np.where(np.arange(N_VOLUMES) < N_VOLUMES // 10, 0.1, 2.0)
    write_given(root, "sub-moving", run, confounds={"framewise_displacement": moved})
    trans = np.full(N_VOLUMES, 0.1)
    trans[20] = np.nan
    write_given(root, "sub-holes", run, confounds={"trans_x": trans})
    write_given(root, "sub-short", made(2, SHORT))
    description = {"Name": "Faults", "BIDSVersion": "1.10.0"}
    (bids / "dataset_description.json").write_text(json.dumps(description))
    indexed = msimaging("index", bids, root / "study", "--derivatives", root / "fmriprep")
    assert indexed.returncode == 0, indexed.stdout + indexed.stderr
    edit_config(root / "study", **SETTINGS)
    result = msimaging("run", root / "study", "--cores", 2)
    (root / "study" / "told.txt").write_text(result.stdout + result.stderr)
    (root / "study" / "code.txt").write_text(str(result.returncode))
    return root / "study"


def flattened(run: SimulatedBOLD) -> np.ndarray:
    """Stop the signal of one parcel."""
    data = run.data.copy()
    grid = np.moveaxis(np.indices(run.mask.shape), 0, -1) @ run.affine[:3, :3].T + run.affine[:3, 3]
    row = load_atlas("dosenbach160").table.set_index("name").loc[FLAT]
    near = np.linalg.norm(grid - [row.x, row.y, row.z], axis=-1) < 12
    data[near] = 500
    return data


def ledger(study: Path) -> list[dict[str, str]]:
    return read_rows(study / DERIVATIVES / "cohort" / "ledger.tsv")


def test_the_run_ends_with_the_code_for_exclusions(study: Path) -> None:
    told = (study / "told.txt").read_text()
    print(told)
    assert (study / "code.txt").read_text() == "3"
    assert "Traceback" not in told
    assert not [row for row in ledger(study) if row["state"] in {"failed", "pending"}]


@pytest.mark.parametrize("patient", FAULTS)
def test_a_fault_is_told_once_with_file_rule_and_remedy(study: Path, patient: str) -> None:
    fault = FAULTS[patient]
    rows = [
        row
        for row in ledger(study)
        if row["participant_id"] == patient and row["state"] == "excluded"
    ]
    assert [(row["step"], row["session_id"]) for row in rows] == [(fault.step, SESSION)]
    (row,) = rows
    for part in (fault.where, fault.rule, fault.found, fault.remedy):
        assert part in row["reason"]
    if fault.step == "bold":
        refused = read_rows(study / "exclusions.tsv")
        assert [r["reason"] for r in refused if r["participant_id"] == patient] == [row["reason"]]
        told = (study / "told.txt").read_text().splitlines()
        assert [line for line in told if line.startswith("error:") and fault.where in line] == [
            f"error: {row['reason']}"
        ]
        assert not (study / DERIVATIVES / patient).exists()


def made_of(patient: str, key: str, study: Path, **wildcards: str) -> Path:
    return study / output(key, sub=patient, ses=SESSION, task="rest", **wildcards)


def test_the_rest_of_the_dataset_has_its_results(study: Path) -> None:
    for patient in SOUND:
        states = {
            row["step"]: row["state"] for row in ledger(study) if row["participant_id"] == patient
        }
        assert {states[step] for step in ("extract_parcels", "connect_parcels")} == {"done"}
        named = {"atlas": "dosenbach160", "stat": "pearsoncorrelation"}
        matrix, _ = read_matrix(made_of(patient, "connectivity", study, **named))
        covered = np.isfinite(matrix).sum(axis=1) > 1
        print(f"{patient}: {covered.sum()} of {len(matrix)} parcels")
        assert covered.sum() > 80
    measures = read_rows(study / DERIVATIVES / "cohort" / "measures.tsv")
    assert set(SOUND) <= {row["participant_id"] for row in measures if row["value"]}


def test_a_constant_parcel_is_left_out_alone(study: Path) -> None:
    named = {"atlas": "dosenbach160", "stat": "pearsoncorrelation"}
    matrix, labels = read_matrix(made_of("sub-given", "connectivity", study, **named))
    alone = [str(name) for name, row in zip(labels, matrix, strict=True) if np.isnan(row).all()]
    sidecar = read_json(sidecar_of(made_of("sub-given", "connectivity", study, **named)))
    print(alone, sidecar)
    assert FLAT in alone


def test_the_way_over_the_t1w_is_taken_and_told(study: Path) -> None:
    for patient, way in (("sub-sound", "T1w: mean BOLD"), ("sub-given", "none: done by")):
        for key in ("bold_to_template", "bold_confounds"):
            told = read_json(sidecar_of(made_of(patient, key, study)))
            assert told["RegistrationOver"].startswith(way)
    told = read_json(sidecar_of(made_of("sub-sound", "bold_to_template", study)))
    # head and T1w both lie straight
    assert np.abs(np.array(told["MidpointToT1w"]) - np.eye(4)).max() < 2
    rows = [row for row in ledger(study) if row["step"] == "register_over_t1w"]
    assert [(row["participant_id"], row["state"]) for row in rows] == [("sub-sound", "done")]


def test_seeds_tangent_and_bias_reach_their_files(study: Path) -> None:
    shape, affine = template_grid(resolution=8)
    for patient in SOUND:
        mapped = read_volume(made_of(patient, "seed_map", study, seed="PCC"), ndim=3)
        assert mapped.data.shape == shape
        np.testing.assert_allclose(mapped.affine, affine)
        assert np.isfinite(mapped.data).mean() > 0.1
        assert np.nanstd(mapped.data) > 0.02
        path = made_of(patient, "connectivity", study, atlas="dosenbach160", stat="tangent")
        tangent, _ = read_matrix(path)
        assert tangent.shape == (160, 160)
        known = np.isfinite(tangent)
        assert known.sum() > 80**2
        np.testing.assert_allclose(tangent[known], tangent.T[known])
        told = read_json(sidecar_of(path))
        assert (told["Kind"], told["Reference"]) == ("tangent", "other patients")
        assert told["ReferenceVisits"] == 1
    left_out = made_of("sub-short", "connectivity", study, atlas="dosenbach160", stat="tangent")
    assert np.isnan(read_matrix(left_out)[0]).all()
    assert "regressors" in read_json(sidecar_of(left_out))["Excluded"]
    reference = read_json(sidecar_of(made_of("sub-sound", "bold_reference", study)))
    assert reference["BiasFieldCorrected"].startswith("yes: N4")
