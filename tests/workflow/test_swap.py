"""Exchanging the visits negates every change; the same scan twice changes nothing.

One run of three patients: as scanned, with the visits' scans exchanged, and with one scan twice.
The nonlinear way to the template is found once per patient from the mean of the visits, which are
summed in an order of their content: it is the same transform to the last bit in the first two, so
that the maps need no larger tolerance than the regions.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from msimaging.phantom import simulate_trial
from msimaging.tables import read_table

pytestmark = pytest.mark.slow

BASELINE, LATER = "ses-baseline", "ses-month06"
#: In units of the largest change of a measure.
TOLERANCE = 1e-6
KEYS = ["modality", "atlas", "label", "measure"]


def copy_visit(root: Path, source: tuple[str, str], target: tuple[str, str]) -> None:
    """Copy the scans of a visit, and its lesion mask, under the names of another."""
    for folder in (root, root / "derivatives" / "lesions"):
        for path in (folder / source[0] / source[1]).rglob("*.*"):
            name = path.name.replace("_".join(source), "_".join(target))
            copy = folder / target[0] / target[1] / path.parent.name / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


@pytest.fixture(scope="module")
def results(
    tmp_path_factory: pytest.TempPathFactory,
    msimaging: Callable[..., subprocess.CompletedProcess[str]],
    edit_config: Callable[..., None],
) -> Path:
    root = tmp_path_factory.mktemp("swap")
    bids, study = root / "bids", root / "study"
    simulate_trial(
        bids,
        n_patients=1,
        n_lesions=2,
        lesion_growth=2.0,
        dwi_voxel_size=6.0,
        n_b0=2,
        n_directions=12,
        bold_voxel_size=6.0,
        n_volumes=40,
    )
    sources = {
        "sub-swapped": {BASELINE: LATER, LATER: BASELINE},
        "sub-same": {BASELINE: BASELINE, LATER: BASELINE},
    }
    for patient, visits in sources.items():
        for target, source in visits.items():
            copy_visit(bids, ("sub-01", source), (patient, target))
        table = (bids / "sub-01" / "sub-01_sessions.tsv").read_text()
        (bids / patient / f"{patient}_sessions.tsv").write_text(table)
    assert msimaging("index", bids, study).returncode == 0
    edit_config(
        study,
        spatial__working_resolution=6,
        spatial__map_resolution=6,
        diffusion__bootstrap_samples=50,
        figures__formats=["png"],
    )
    result = msimaging("run", study, "--cores", 2)
    assert result.returncode == 0, result.stdout + result.stderr
    return study / "derivatives" / "msimaging"


@pytest.fixture(scope="module")
def changes(results: Path) -> pd.DataFrame:
    return read_table(results / "cohort" / "changes.tsv")


def of_patient(changes: pd.DataFrame, patient: str) -> pd.DataFrame:
    return changes[changes["participant_id"] == patient].set_index(KEYS)


def largest(table: pd.DataFrame) -> pd.Series:
    return table.groupby("measure")["change"].transform(lambda change: change.abs().max())


def test_exchanging_the_visits_negates_changes_and_intervals(changes: pd.DataFrame) -> None:
    there, back = of_patient(changes, "sub-01"), of_patient(changes, "sub-swapped")
    assert list(there.index) == list(back.index)
    scale = largest(there)
    mirrored = {"change": "change", "ci_low": "ci_high", "ci_high": "ci_low"}
    for column, opposite in mirrored.items():
        worst = ((there[column] + back[opposite]).abs() / scale).max()
        print(f"{column}: largest departure {worst:.1e} of the largest change")
        assert worst < TOLERANCE
    for column in ("se", "sdc"):
        np.testing.assert_allclose(there[column], back[column], rtol=TOLERANCE)
    np.testing.assert_allclose(there["baseline_value"], back["follow_up_value"], rtol=TOLERANCE)
    for column in ("detectable", "reliable", "flags"):
        assert there[column].astype(str).tolist() == back[column].astype(str).tolist()
    assert (there["change"].abs() > 0).mean() > 0.8


def test_exchanging_the_visits_negates_maps_and_edges(results: Path) -> None:
    compared = 0
    for path in sorted((results / "sub-01").glob("*/*_stat-change*")):
        other = results / "sub-swapped" / path.parent.name
        other = other / path.name.replace("sub-01", "sub-swapped")
        sign = 1 if "standarderror" in path.name or "param-direction" in path.name else -1
        if path.name.endswith(".nii.gz"):
            first, second = (nib.load(p).get_fdata() for p in (path, other))
        elif path.name.endswith("relmat.tsv"):
            first, second = (
                read_table(p).drop(columns="Node").to_numpy(float) for p in (path, other)
            )
        else:
            continue
        assert np.nanmax(np.abs(first)) > 0
        departure = np.nanmax(np.abs(first - sign * second)) / np.nanmax(np.abs(first))
        print(f"{path.name}: {departure:.1e}")
        assert departure < TOLERANCE
        compared += 1
    assert compared == 7


def test_the_lesions_exchange_their_words(results: Path) -> None:
    kinds = []
    for patient in ("sub-01", "sub-swapped"):
        (path,) = (results / patient / "dwi").glob("*_stat-lesionchange_*_stats.tsv")
        kinds.append(sorted(read_table(path)["kind"]))
    opposite = {"enlarged": "shrunken", "shrunken": "enlarged", "new": "gone", "gone": "new"}
    assert kinds[1] == sorted(opposite.get(kind, kind) for kind in kinds[0])
    assert "enlarged" in kinds[0]


def test_the_same_scan_twice_changes_nothing(changes: pd.DataFrame) -> None:
    same, moved = of_patient(changes, "sub-same"), of_patient(changes, "sub-01")
    worst = (same["change"].abs() / largest(moved).reindex(same.index)).max()
    print(f"identity: largest change {worst:.1e} of the largest change between two visits")
    assert worst < TOLERANCE
    assert set(same["detectable"].astype(str)) <= {"False", "None", "nan", "n/a"}
    assert set(same["reliable"].astype(str)) <= {"False", "None", "nan", "n/a"}
    flags = {flag for cell in same["flags"].dropna() for flag in str(cell).split(";")}
    assert flags <= {"", "published-sdc", "low-fa"}
