"""Tangent matrices against the whole group, or against everybody but the patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msimaging.functional.tangent import tangent_connectivity, tangent_connectivity_leaving_out
from msimaging.steps.connect_group import Reference, connect_group
from msimaging.steps.parcel_tables import read_matrix
from msimaging.tables import read_json, sidecar_of, write_json, write_table

PATIENTS = ["sub-1", "sub-1", "sub-2", "sub-2", "sub-3"]
LABELS = ["a", "b", "c"]


def made(
    folder: Path,
    reference: Reference,
    excluded: tuple[int, ...] = (),
    without: dict[int, list[str]] | None = None,
) -> list[str]:
    rng = np.random.default_rng(0)
    series = []
    for visit in range(len(PATIENTS)):
        path = folder / f"{visit}.tsv"
        table = pd.DataFrame(rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3)), columns=LABELS)
        table[(without or {}).get(visit, [])] = np.nan
        write_table(path, table)
        write_json(sidecar_of(path), {"Excluded": "too short"} if visit in excluded else {})
        series.append(str(path))
    out = [str(folder / f"out{visit}.tsv") for visit in range(len(PATIENTS))]
    connect_group(
        series=series,
        n_atlases=1,
        patients=PATIENTS,
        estimator="ledoit-wolf",
        reference=reference,
        out_matrices=out,
    )
    return out


@pytest.mark.parametrize("reference", ["group", "other patients"])
def test_the_reference_is_the_one_asked_for(tmp_path: Path, reference: Reference) -> None:
    out = made(tmp_path, reference, excluded=(1,))
    used = [0, 2, 3, 4]
    runs = [pd.read_table(tmp_path / f"{visit}.tsv").to_numpy() for visit in used]
    if reference == "group":
        wanted = tangent_connectivity(runs, estimator="ledoit-wolf")
    else:
        owners = [PATIENTS[visit] for visit in used]
        wanted = tangent_connectivity_leaving_out(runs, patients=owners, estimator="ledoit-wolf")
    for place, visit in enumerate(used):
        np.testing.assert_allclose(read_matrix(out[visit])[0], wanted.matrices[place], atol=1e-9)
    assert np.isnan(read_matrix(out[1])[0]).all()
    told = [read_json(sidecar_of(path))["ReferenceVisits"] for path in out]
    assert told == ([4] * 5 if reference == "group" else [3, 3, 2, 2, 3])


def test_without_another_patient_there_is_no_matrix(tmp_path: Path) -> None:
    out = made(tmp_path, "other patients", excluded=(2, 3, 4))
    assert all(np.isnan(read_matrix(path)[0]).all() for path in out)


def test_runs_that_share_no_parcels_get_no_matrix_and_the_reason(tmp_path: Path) -> None:
    out = made(tmp_path, "group", excluded=(1,), without={0: ["a"], 3: ["b"]})
    assert all(np.isnan(read_matrix(path)[0]).all() for path in out)
    told = [read_json(sidecar_of(path))["Excluded"] for path in out]
    assert told[1] == "too short"
    assert {"no two parcels are covered by all runs of the group"} == {*told[:1], *told[2:]}
    # one parcel less for one run leaves two for all
    kept = made(tmp_path, "group", excluded=(1,), without={0: ["a"]})
    assert np.isfinite(read_matrix(kept[2])[0][1:, 1:]).all()
