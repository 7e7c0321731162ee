"""Shells from b-value files, and what they allow."""

from pathlib import Path

import numpy as np
import pytest

from msimaging.bids.ledger import read_ledger
from msimaging.bids.plan import Plan
from msimaging.bids.rows import write_rows
from msimaging.bids.scans import SCAN_COLUMNS
from msimaging.bids.shells import FURTHER_MODELS, shells_of
from msimaging.bids.visits import VISIT_COLUMNS
from msimaging.diffusion.metrics import UNITS
from msimaging.diffusion.multi_shell import FREE_WATER_MODEL, KURTOSIS_MODEL
from msimaging.diffusion.table_rules import shells
from msimaging.errors import ConfigError
from msimaging.settings import validated


@pytest.mark.parametrize(
    "bvals",
    [
        [0, 0, 1000, 1000],
        [5, 1000, 995, 1005, 2000, 1990, 2010.5, 0],
        [0, 700, 725, 750, 800, 840, 3000],
        [1000, 2000],
        [0, 45, 60, 75],
    ],
)
def test_shells_are_grouped_as_where_the_models_are_fitted(
    tmp_path: Path, bvals: list[float]
) -> None:
    (tmp_path / "dwi.bval").write_text(" ".join(map(str, bvals)))
    there = {b: members for b, members in shells(np.array(bvals, float)).items() if members.size}
    assert list(shells_of(tmp_path / "dwi.bval")) == list(there)


def test_the_plan_and_the_fits_draw_the_same_lines() -> None:
    for setting, fitted in (("free_water", FREE_WATER_MODEL), ("kurtosis", KURTOSIS_MODEL)):
        planned = FURTHER_MODELS[setting]
        assert (planned.name, planned.highest) == (fitted.name, fitted.highest)
        assert set(planned.measures) <= set(UNITS)


def test_an_unreadable_file_has_no_shells(tmp_path: Path) -> None:
    (tmp_path / "dwi.bval").write_text("0 many")
    assert shells_of(tmp_path / "dwi.bval") == ()
    assert shells_of(tmp_path / "none.bval") == ()


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two shells at both visits of the first patient, at one of the second."""
    visits, scans = [], []
    known = {("sub-1", 1): "0;700;1500", ("sub-1", 7): "0;700;1500"}
    known |= {("sub-2", 1): "0;700;1500", ("sub-2", 7): "0;1000;3000"}
    for (sub, month), text in known.items():
        path = f"{sub}_ses-m{month}_dwi.nii.gz"
        visits.append(
            {
                "participant_id": sub,
                "session_id": f"ses-m{month}",
                "acq_time": f"2021-0{month}-01",
                "dwi": path,
            }
        )
        scans.append({"path": path, "modality": "dwi", "bval": "b", "bvec": "v", "shells": text})
    write_rows(tmp_path / "visits.tsv", VISIT_COLUMNS, visits)
    write_rows(tmp_path / "scans.tsv", SCAN_COLUMNS, scans)
    return tmp_path


def plan(study: Path, **diffusion: object) -> Plan:
    return Plan.of_study(study, validated({"bids_dir": "raw", "diffusion": diffusion}))


def test_nothing_is_planned_unless_asked(study: Path) -> None:
    assert plan(study).model_maps("sub-1", "ses-m1") == {}
    steps = {entry.step for entry in read_ledger(study, plan(study))}
    assert not steps & {"fit_free_water", "fit_kurtosis"}


def test_auto_takes_patients_all_of_whose_visits_allow_it(study: Path) -> None:
    whole = plan(study, free_water="auto")
    maps = whole.model_maps("sub-1", "ses-m7")
    assert list(maps) == ["fw", "fwfa", "fwmd", "fwad", "fwrd"]
    assert maps["fwrd"].endswith("sub-1_ses-m7_model-freewater_param-rd_dwimap.nii.gz")
    assert whole.model_maps("sub-2", "ses-m1") == {}
    told = [entry for entry in read_ledger(study, whole) if entry.step == "fit_free_water"]
    states = {(entry.participant_id, entry.session_id): entry.state for entry in told}
    assert states == {
        ("sub-1", "ses-m1"): "pending",
        ("sub-1", "ses-m7"): "pending",
        ("sub-2", "ses-m1"): "absent",
        ("sub-2", "ses-m7"): "absent",
    }
    assert "ses-m7 has b = 0, 1000, 3000 s/mm2" in told[-1].reason
    # kurtosis reaches up to 3000
    assert list(plan(study, kurtosis="auto").model_maps("sub-2", "ses-m7")) == ["mk", "ak", "rk"]


def test_what_is_asked_of_every_scan_is_refused_before_anything_runs(study: Path) -> None:
    with pytest.raises(ConfigError, match="two shells up to 2000 s/mm2") as error:
        plan(study, free_water=True)
    assert "sub-2_ses-m7_dwi.nii.gz" in str(error.value)
    assert "sub-1" not in str(error.value)
    assert plan(study, kurtosis=True).model_maps("sub-2", "ses-m1")
