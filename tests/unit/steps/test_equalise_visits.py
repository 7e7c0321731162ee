"""Runs of one patient that differ in length, motion and coverage, from tables to tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from msimaging.atlases.library import load_atlas
from msimaging.steps.change_connectivity import network_changes, unusable_visits
from msimaging.steps.connect_parcels import connect_parcels
from msimaging.steps.equalise_visits import equalise_patient
from msimaging.tables import read_json, read_table, sidecar_of, write_json, write_table

T_R = 2.0
N_VOLUMES = 200
ATLAS = "dosenbach160"
OWN = {"spikes": {"columns": ["trans_x"], "fd_threshold": 0.5, "min_segment": 1}}
BAND = {"high_pass": 0.008, "low_pass": None}
SESSIONS = ["ses-a", "ses-b", "ses-c"]
CENSORED = {"ses-a": range(0), "ses-b": range(10, 40), "ses-c": range(5, 185)}


def _labels() -> list[str]:
    return list(load_atlas(ATLAS).names)


@pytest.fixture
def patient(tmp_path: Path) -> dict[str, list[str]]:
    """Three runs: whole; 30 volumes censored; 180 censored. Parcel 3 is thin at the second."""
    labels = _labels()
    paths: dict[str, list[str]] = {"confounds": [], "coverages": [], "series": []}
    for number, session in enumerate(SESSIONS):
        rng = np.random.default_rng(number)
        fd = np.full(N_VOLUMES, 0.1)
        fd[list(CENSORED[session])] = 1.0
        confounds = pd.DataFrame(
            {"trans_x": rng.normal(size=N_VOLUMES), "framewise_displacement": fd}
        )
        shared = rng.normal(size=(N_VOLUMES, 1))
        series = pd.DataFrame(
            500 + shared + rng.normal(size=(N_VOLUMES, len(labels))), columns=labels
        )
        cover = pd.DataFrame({"name": labels, "coverage": 1.0})
        if session == "ses-b":
            cover.loc[3, "coverage"] = 0.2
            series.iloc[:, 3] = np.nan
        for key, table in (("confounds", confounds), ("series", series), ("coverages", cover)):
            path = tmp_path / f"{session}_{key}.tsv"
            write_table(path, table)
            facts = {"SamplingFrequency": 1 / T_R, "RepetitionTime": T_R}
            write_json(sidecar_of(path), facts)
            paths[key].append(str(path))
    return paths


def _equalise(patient: dict[str, list[str]], folder: Path, **changes: object) -> dict[str, str]:
    outputs = {key: str(folder / f"{key}.tsv") for key in ("dropped", "volumes")}
    arguments = {
        "confounds": patient["confounds"],
        "coverages": patient["coverages"],
        "sessions": SESSIONS,
        "atlases": [ATLAS],
        "strategies": ["spikes", "none"],
        "own_strategies": OWN,
        **BAND,
        "matching": "contiguous",
        "min_coverage": 0.5,
        "min_minutes": 4,
        "min_volumes": 100,
        "seed": 3,
    }
    equalise_patient(
        **(arguments | changes), out_dropped=outputs["dropped"], out_volumes=outputs["volumes"]
    )
    return outputs


def _connect(patient: dict[str, list[str]], outputs: dict[str, str], place: int, folder: Path):
    names = ["spikes", "none"]
    paths = {
        key: [str(folder / f"{SESSIONS[place]}_{key}_{name}.tsv") for name in names]
        for key in ("denoised", "networks", "matrices")
    }
    paths["strengths"] = [str(folder / f"{SESSIONS[place]}_strength.tsv")]
    connect_parcels(
        series=[patient["series"][place]],
        confounds=patient["confounds"][place],
        **outputs,
        session=SESSIONS[place],
        atlases=[ATLAS],
        own={},
        strategies=names,
        own_strategies=OWN,
        **BAND,
        kinds={"partial correlation": "ledoit-wolf"},
        out_denoised=paths["denoised"],
        out_variances=[str(folder / f"{SESSIONS[place]}_variance.tsv")],
        out_strengths=paths["strengths"],
        out_networks=paths["networks"],
        out_matrices=paths["matrices"],
    )
    return paths


def test_visits_get_equal_volumes_and_every_loss_is_told(patient, tmp_path) -> None:
    outputs = _equalise(patient, tmp_path)
    volumes = read_table(outputs["volumes"])
    used = volumes[volumes["spikes"] == "used"].groupby("session_id").size()
    assert used["ses-a"] == used["ses-b"] == 170
    assert used["ses-c"] == 20  # measured with what it has, and left out
    mine = volumes[(volumes["session_id"] == "ses-b") & (volumes["spikes"] == "censored")]
    assert list(mine["volume"]) == list(CENSORED["ses-b"])
    assert (volumes["none"] == "used").all()
    dropped = read_table(outputs["dropped"])
    told = {tuple(row) for row in dropped[["strategy", "session_id", "what"]].to_numpy()}
    assert told == {
        ("spikes", "ses-c", "run"),
        ("spikes", "ses-a", "volumes"),
        ("spikes", "ses-b", "parcel"),
        ("none", "ses-b", "parcel"),
    }
    reason = dropped.loc[dropped["what"] == "run", "reason"].item()
    assert "0.7 minutes in 20 volumes" in reason


def test_every_visit_is_measured_over_the_same_parcels_and_volumes(patient, tmp_path) -> None:
    outputs = _equalise(patient, tmp_path)
    labels = _labels()
    for place in (0, 1):
        paths = _connect(patient, outputs, place, tmp_path)
        denoised = read_table(paths["denoised"][0])
        assert len(denoised) == 170
        gone = [name for name in labels if denoised[name].isna().all()]
        assert gone == [labels[3]]
        strength = read_table(paths["strengths"][0]).set_index("label")
        kept = [name for name in labels if name not in gone]
        r = np.corrcoef(denoised[kept].to_numpy(float), rowvar=False)
        z = np.arctanh(r, where=~np.eye(len(r), dtype=bool), out=np.zeros_like(r))
        np.testing.assert_allclose(strength.loc[kept, "value"], z.sum(axis=1) / (len(r) - 1))
        assert strength.loc[gone, "n_edges"].tolist() == [0]
        assert (strength.loc[kept, "n_edges"] == len(r) - 1).all()
        record = read_json(sidecar_of(paths["matrices"][0]))
        assert record["VolumesRetained"] == 170
        assert 0 < record["Shrinkage"] < 1
        assert record["DegreesOfFreedomLeft"] + record["DegreesOfFreedomLost"] == 170
        assert read_json(sidecar_of(paths["matrices"][1]))["VolumesRetained"] == N_VOLUMES


def test_a_run_of_which_little_is_left_is_measured_flagged_and_not_compared(
    patient, tmp_path
) -> None:
    outputs = _equalise(patient, tmp_path)
    whole = _connect(patient, outputs, 0, tmp_path)
    short = _connect(patient, outputs, 2, tmp_path)
    tables = [read_table(paths["networks"][0]) for paths in (whole, short)]
    assert tables[0]["flags"].isna().all()
    assert set(tables[1]["flags"]) == {"too-little-data"}
    assert "0.7 minutes" in read_json(sidecar_of(short["networks"][0]))["Excluded"]
    flags = unusable_visits(tables, ["ses-a", "ses-c"])
    assert flags == ["too-little-data:ses-c"]
    changes = network_changes(*tables, months=6, confidence=0.95, known=not flags)
    assert changes["change"].isna().all()
    assert changes["baseline_value"].notna().all()
    # the strategy that censors nothing keeps the run
    others = [read_table(paths["networks"][1]) for paths in (whole, short)]
    assert unusable_visits(others, ["ses-a", "ses-c"]) == []
    assert network_changes(*others, months=6, confidence=0.95)["change"].notna().all()


def test_a_run_that_cannot_be_cleaned_gets_na_and_the_others_go_on(patient, tmp_path) -> None:
    broken = read_table(patient["confounds"][2])
    broken.loc[:, "framewise_displacement"] = 0.1
    broken.loc[50, "trans_x"] = np.nan
    write_table(patient["confounds"][2], broken)
    outputs = _equalise(patient, tmp_path)
    dropped = read_table(outputs["dropped"])
    mine = dropped[(dropped["session_id"] == "ses-c") & (dropped["what"] == "run")]
    assert list(mine["strategy"]) == ["spikes"]
    assert "1 missing values" in mine["reason"].item()
    paths = _connect(patient, outputs, 2, tmp_path)
    assert read_table(paths["matrices"][0]).drop(columns="Node").isna().all(axis=None)
    for name in ("networks", "strengths"):
        table = read_table(paths[name][0])
        assert table["value"].isna().all()
        assert set(table["flags"]) == {"too-little-data"}
    assert read_table(paths["matrices"][1]).drop(columns="Node").notna().any(axis=None)


def test_a_constant_parcel_loses_its_edges_and_the_others_go_on(patient, tmp_path, caplog) -> None:
    series, labels = read_table(patient["series"][0]), _labels()
    series[labels[5]] = 500.0
    write_table(patient["series"][0], series)
    outputs = _equalise(patient, tmp_path)
    with caplog.at_level("INFO", logger="msimaging.steps.records"):
        paths = _connect(patient, outputs, 0, tmp_path)
    told = [record.getMessage() for record in caplog.records]
    # once for each strategy
    assert sum("a parcel's signal varies over time" in message for message in told) == 2
    matrix = read_table(paths["matrices"][1]).drop(columns="Node").to_numpy(float)
    there = [place for place in range(len(labels)) if place not in {3, 5}]
    assert np.isnan(matrix[5]).all()
    assert np.isfinite(matrix[there][:, there][~np.eye(len(there), dtype=bool)]).all()
    other = _connect(patient, outputs, 1, tmp_path)
    matrix = read_table(other["matrices"][1]).drop(columns="Node").to_numpy(float)
    assert np.isfinite(matrix[5, there]).all()


def test_more_regressors_than_volumes_leave_the_run_out_with_its_reason(patient, tmp_path) -> None:
    names = [f"noise{number}" for number in range(190)]
    noise = np.random.default_rng(0).normal(size=(N_VOLUMES, len(names)))
    for place, path in enumerate(patient["confounds"]):
        table = read_table(path)
        # only the first run's columns are independent
        columns = noise if place == 0 else noise[:, :1].repeat(len(names), axis=1)
        write_table(path, pd.concat([table, pd.DataFrame(columns, columns=names)], axis=1))
    own = {"spikes": {"columns": ["trans_x", *names]}}
    outputs = _equalise(patient, tmp_path, own_strategies=own)
    dropped = read_table(outputs["dropped"])
    runs = dropped[dropped["what"] == "run"]
    assert list(runs["session_id"]) == ["ses-a"]
    assert "200 volumes for 19" in runs["reason"].item()


def test_order_of_the_visits_changes_nothing(patient, tmp_path) -> None:
    first = Path(_equalise(patient, tmp_path)["volumes"]).read_text().splitlines()
    backwards = {key: paths[::-1] for key, paths in patient.items()}
    again = tmp_path / "again"
    again.mkdir()
    second = Path(_equalise(backwards, again, sessions=SESSIONS[::-1])["volumes"])
    assert sorted(second.read_text().splitlines()) == sorted(first)
