"""Models of images from the tables that other steps write: motion as a covariate, and edges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msimaging.functional.motion import framewise_displacement
from msimaging.settings import validated
from msimaging.statistics.networks import network_based_statistic
from msimaging.steps.changes import CHANGE_COLUMNS, MEASURE_COLUMNS
from msimaging.steps.fit_model import fit_model
from msimaging.steps.parcel_tables import write_matrix
from msimaging.tables import read_table, write_table

PATIENTS = [f"sub-0{number}" for number in range(1, 8)]
SESSIONS = ("ses-baseline", "ses-month06")
LABELS = ("default", "visual", "default-visual")
PARCELS = ("A", "B", "C", "D", "E")
PARTS = ("results", "tests", "patients", "notes", "counts")
OUTCOMES = {"t25fw": {"type": "continuous", "units": "s", "better": "lower"}}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables in the forms of the workflow; what drives walking and connectivity is motion."""
    root = tmp_path_factory.mktemp("tables")
    generator = np.random.default_rng(4)
    changes, outcomes = [], []
    for place, name in enumerate(PATIENTS):
        for visit, session in enumerate(SESSIONS):
            size = 0.05 + 0.02 * place * visit
            parameters = np.vstack([np.full((3, 6), 9.0), generator.normal(0, size, (40, 6))])
            moved = pd.DataFrame(parameters, columns=[f"p{i}" for i in range(6)])
            steady = np.arange(len(moved)) < 3
            write_table(root / f"{name}_{session}_bold.tsv", moved.assign(non_steady_state=steady))
            quality = pd.DataFrame({"metric": ["fd_mean", "snr"], "value": [3 * size, 20.0]})
            write_table(root / f"{name}_{session}_dwi.tsv", quality)
            value = 8 + 0.5 * place * visit + generator.normal(0, 0.3)
            row = {"participant_id": name, "session_id": session, "months": 6.0 * visit}
            outcomes.append(row | {"measure": "t25fw", "value": value, "limit": ""})
        for modality, measure in (("bold", "fisherz"), ("dwi", "rd")):
            for label in LABELS:
                before, change = generator.normal(0.5, 0.1), generator.normal(0.03 * place, 0.05)
                row = {"participant_id": name, "baseline": SESSIONS[0], "follow_up": SESSIONS[1]}
                values = {"baseline_value": before, "follow_up_value": before + change}
                what = {"modality": modality, "atlas": "own", "label": label, "measure": measure}
                changes.append(row | what | values | {"months": 6.0, "change": change})
        edges = generator.normal(0.4, 0.2, (5, 5))
        edges = edges + edges.T
        np.fill_diagonal(edges, np.nan)
        write_matrix(root / f"{name}_edges.tsv", edges, PARCELS)
    write_table(root / "changes.tsv", pd.DataFrame(changes, columns=list(CHANGE_COLUMNS)))
    write_table(root / "measures.tsv", pd.DataFrame(columns=list(MEASURE_COLUMNS)))
    write_table(root / "outcomes.tsv", pd.DataFrame(outcomes))
    people = {"participant_id": PATIENTS, "arm": "", "n_treatments": 1, "concomitant": ""}
    write_table(root / "patients.tsv", pd.DataFrame(people))
    return root


def fitted(tables: Path, out: Path, model: dict, *, edges: bool = False) -> dict[str, pd.DataFrame]:
    settings = validated({"bids_dir": "bids", "outcomes": OUTCOMES, "models": {"asked": model}})
    visits = [(n, s, m) for m in ("dwi", "bold") for n in PATIENTS for s in SESSIONS]
    names = ("participant_id", "session_id", "modality")
    pair = {"baseline": SESSIONS[0], "follow_up": SESSIONS[1], "months": 6.0, "atlas": "own"}
    fit_model(
        name="asked",
        settings={
            "model": settings["models"]["asked"],
            "trial": settings["trial"],
            "outcomes": settings["outcomes"],
            "confidence": 0.95,
            "seed": 1,
        },
        **{k: str(tables / f"{k}.tsv") for k in ("outcomes", "patients", "measures", "changes")},
        motion=[str(tables / f"{n}_{s}_{m}.tsv") for n, s, m in visits],
        motion_rows=[dict(zip(names, visit, strict=True)) for visit in visits],
        edges=[str(tables / f"{n}_edges.tsv") for n in PATIENTS] if edges else [],
        edge_rows=[{"participant_id": n, **pair} for n in PATIENTS] if edges else [],
        **{f"out_{part}": str(out / f"{part}.tsv") for part in PARTS},
    )
    return {part: read_table(out / f"{part}.tsv") for part in PARTS}


def more_motion(tables: Path, modality: str) -> np.ndarray:
    """Change of mean framewise displacement of each patient, mm."""
    changes = []
    for name in PATIENTS:
        means = []
        for session in SESSIONS:
            table = read_table(tables / f"{name}_{session}_{modality}.tsv")
            if modality == "dwi":
                means.append(float(table["value"].iloc[0]))
            else:
                parameters = table.iloc[3:, :6].to_numpy(dtype=float)
                means.append(np.nanmean(framewise_displacement(parameters)))
        changes.append(means[1] - means[0])
    return np.array(changes)


@pytest.mark.parametrize(("measure", "modality"), [("fisherz", "bold"), ("rd", "dwi")])
def test_change_of_motion_is_taken_out_of_an_association(
    measure: str, modality: str, tables: Path, tmp_path: Path
) -> None:
    model = {
        "kind": "association", "outcome": measure, "atlas": "own", "summary": "mean",
        "with": "t25fw", "follow_up": SESSIONS[1], "method": "pearson",
    }  # fmt: skip
    plain = fitted(tables, tmp_path, model)["results"].iloc[0]
    found = fitted(tables, tmp_path, model | {"covariates": ["motion"]})
    row = found["results"].iloc[0]
    table = read_table(tables / "changes.tsv")
    image = table[table["measure"] == measure].groupby("participant_id")["change"].mean()
    outcome = read_table(tables / "outcomes.tsv")["value"].to_numpy().reshape(-1, 2)
    sides = [image.loc[PATIENTS].to_numpy(), outcome[:, 1] - outcome[:, 0]]
    assert plain["estimate"] == pytest.approx(np.corrcoef(*sides)[0, 1])
    moved = more_motion(tables, modality)
    cleared = [side - np.polyval(np.polyfit(moved, side, 1), moved) for side in sides]
    assert row["estimate"] == pytest.approx(np.corrcoef(*cleared)[0, 1])
    assert row["estimate"] < plain["estimate"] - 0.2
    assert "given motion" in row["model"]
    assert (row["n"], row["n_excluded"]) == (7, 0)


def test_edges_of_the_files_are_those_of_the_model(tables: Path, tmp_path: Path) -> None:
    model = {
        "kind": "nbs", "outcome": "fisherz", "atlas": "own", "follow_up": SESSIONS[1],
        "threshold": [4.0],
    }  # fmt: skip
    found = fitted(tables, tmp_path, model, edges=True)
    row = found["results"].iloc[0]
    matrices = [
        read_table(tables / f"{name}_edges.tsv")[list(PARCELS)].to_numpy(dtype=float)
        for name in PATIENTS
    ]
    expected = network_based_statistic(np.stack(matrices), threshold=4.0, kind="intensity")
    assert expected.components
    assert (row["n"], row["p"]) == (7, pytest.approx(expected.p))
    assert row["statistic"] == pytest.approx(expected.components[0].statistic)
    assert row["effect"] == expected.components[0].n_edges
    assert row["p_floor"] == 2 / 2**7
    told = found["tests"].loc[found["tests"]["test"] == "component 1", "remark"].item()
    assert told.startswith("increase of ")
    assert set(found["patients"]["participant_id"]) == set(PATIENTS)
