"""Step: one model of the trial, as its section of the settings declares it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from msimaging.functional.motion import framewise_displacement
from msimaging.statistics.trial_data import EdgeChange, ModelSettings, TrialData
from msimaging.statistics.trial_models import fit_trial_model
from msimaging.steps.outcome_tables import declarations_of
from msimaging.steps.parcel_tables import read_matrix
from msimaging.steps.records import describe
from msimaging.steps.test_changes import RESULT_COLUMNS
from msimaging.tables import read_table, write_table

TEST_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "model": "Model, as in results.tsv.",
        "family": "Family of the model.",
        "atlas": "Atlas that defines the labels.",
        "label": "Region or pair of networks.",
        "measure": "What was measured.",
        "n": "Patients.",
        "test": "A labelled alternative beside the test of results.tsv; never instead of it.",
        "statistic": "Its statistic.",
        "p": "Its p-value, not corrected.",
        "p_floor": "Smallest p-value that it could have given.",
        "remark": "Estimate and interval, or what the test assumes.",
    }
)
PATIENT_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "model": "Model, as in results.tsv.",
        "atlas": "Atlas that defines the labels.",
        "label": "Region or pair of networks.",
        "measure": "What was measured.",
        "participant_id": "Patient.",
        "used": "Whether the patient is in the result.",
        "reason": "Why not.",
        "baseline_value": "Value at baseline.",
        "follow_up_value": "Value at follow-up.",
        "value": "The patient's change or slope.",
        "estimate_without": "Estimate of the others, without this patient.",
        "p_without": "p-value of the others, without this patient.",
    }
)
NOTE_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "model": "Name of the model in the settings.",
        "topic": "What the sentence is about.",
        "sentence": "What must be read beside the numbers.",
    }
)
COUNT_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "model": "Name of the model in the settings.",
        "table": "responders, or survival.",
        "measure": "Outcome.",
        "rule": "Rule by which a change counts.",
        "group": "Group of patients.",
        "outcome": "improved, stable, worsened, or without the event.",
        "months": "Month of the survival curve.",
        "k": "Patients with the outcome.",
        "n": "Patients of the group, or at risk.",
        "share": "Share with the outcome.",
        "ci_low": "Lower limit of the share.",
        "ci_high": "Upper limit of the share.",
    }
)


def fit_model(
    *,
    name: str,
    settings: Mapping[str, Any],
    outcomes: str,
    patients: str,
    measures: str,
    changes: str,
    motion: Sequence[str],
    motion_rows: Sequence[Mapping[str, Any]],
    edges: Sequence[str],
    edge_rows: Sequence[Mapping[str, Any]],
    out_results: str,
    out_tests: str,
    out_patients: str,
    out_notes: str,
    out_counts: str,
) -> None:
    """Fit one model and write its row of results and everything that belongs beside it.

    Parameters
    ----------
    name : str
        Section of ``models``.
    settings : mapping
        ``model trial outcomes confidence seed``: what this model depends on and nothing else.
    outcomes, patients, measures, changes : str
        Tables of the cohort.
    motion : sequence of str
        Quality tables (dwi) and motion parameters (bold) of all visits, where motion is a
        covariate.
    motion_rows : sequence of mapping
        ``participant_id session_id modality`` of each.
    edges : sequence of str
        Change of every edge of each patient, where the model works on edges.
    edge_rows : sequence of mapping
        ``participant_id baseline follow_up months atlas`` of each.
    out_results, out_tests, out_patients, out_notes, out_counts : str
        Tables of the model.
    """
    data = trial_data(
        settings,
        outcomes=read_table(outcomes),
        patients=read_table(patients),
        measures=read_table(measures),
        changes=read_table(changes),
        motion=_motion(motion, motion_rows),
        edges=_edges(edges, edge_rows),
    )
    found = fit_trial_model(ModelSettings.of(name, settings["model"]), data)
    notes = [{"model": name, **note} for note in found.notes]
    sources = [outcomes, patients, measures, changes, *motion, *edges]
    for path, rows, columns, text in (
        (out_results, found.rows, RESULT_COLUMNS, "Results of one model, before correction."),
        (out_tests, found.tests, TEST_COLUMNS, "Labelled alternatives beside the results."),
        (out_patients, found.patients, PATIENT_COLUMNS, "What each patient contributed."),
        (out_notes, notes, NOTE_COLUMNS, "Sentences that belong beside the results."),
        (out_counts, found.counts, COUNT_COLUMNS, "Responders, or points of survival curves."),
    ):
        write_table(path, pd.DataFrame(rows, columns=list(columns)))
        describe(path, text, sources=sources, columns=columns, Model=dict(settings["model"]))


def trial_data(
    settings: Mapping[str, Any],
    *,
    outcomes: pd.DataFrame,
    patients: pd.DataFrame,
    measures: pd.DataFrame,
    changes: pd.DataFrame,
    motion: pd.DataFrame,
    edges: Sequence[EdgeChange] = (),
) -> TrialData:
    """Put the tables of the cohort into the form that models take.

    Parameters
    ----------
    settings : mapping
        ``trial outcomes confidence seed``.
    outcomes, patients, measures, changes, motion : DataFrame
        As read.
    edges : sequence of EdgeChange
        Of network-based statistics.

    Returns
    -------
    TrialData
        Patients and values sorted, so that the order of rows in the tables changes nothing.
    """
    trial = settings["trial"]
    # visits of clinical tables know the months since the first visit of any kind
    calendar = outcomes.drop_duplicates(["participant_id", "session_id"])
    known = calendar.set_index(["participant_id", "session_id"])["months"]
    imaging = measures.copy()
    if len(imaging):
        keys = pd.MultiIndex.from_frame(imaging[["participant_id", "session_id"]])
        imaging["months"] = (
            known.reindex(keys)
            .fillna(pd.Series(imaging["months"].to_numpy(dtype=float), index=keys))
            .to_numpy()
        )
    values = pd.concat(
        [outcomes.assign(atlas="", label="", modality=""), imaging.assign(limit="")]
        if len(imaging)
        else [outcomes.assign(atlas="", label="", modality="")],
        ignore_index=True,
    )
    order = ["participant_id", "months", "atlas", "label", "measure"]
    return TrialData(
        values=values.sort_values(order, kind="stable").reset_index(drop=True),
        changes=changes.sort_values(["participant_id", "atlas", "label", "measure", "months"])
        if len(changes)
        else changes,
        patients=patients.sort_values("participant_id").reset_index(drop=True),
        motion=motion,
        edges=tuple(edges),
        declared=declarations_of({"outcomes": settings["outcomes"]}),
        control=trial["control"] or "",
        entry_criterion=trial["entry_criterion"],
        placebo_rate=trial["placebo_rate"],
        placebo_source=trial["placebo_source"],
        level=settings["confidence"],
        seed=settings["seed"],
    )


def _edges(paths: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[EdgeChange]:
    found = []
    for path, row in zip(paths, rows, strict=True):
        matrix, labels = read_matrix(path)
        months = row["months"]
        found.append(
            EdgeChange(
                participant_id=row["participant_id"],
                baseline=row["baseline"],
                follow_up=row["follow_up"],
                atlas=row["atlas"],
                months=np.nan if months is None else float(months),
                labels=labels,
                matrix=matrix,
            )
        )
    return found


def _motion(paths: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    found = []
    for path, row in zip(paths, rows, strict=True):
        table = read_table(path)
        if row["modality"] == "dwi":
            fd = table.set_index("metric")["value"].get("fd_mean", np.nan)
        else:
            steady = table[~table["non_steady_state"].astype(bool)]
            parameters = steady.drop(columns="non_steady_state").to_numpy(dtype=float)
            fd = np.nanmean(framewise_displacement(parameters))
        found.append({**row, "fd_mean": float(fd)})
    columns = ["participant_id", "session_id", "modality", "fd_mean"]
    return pd.DataFrame(found, columns=columns)
