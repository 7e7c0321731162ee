"""Step: every outcome of every visit in one long table, and the safety of the trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from msimaging.bids.clinical import read_table_list
from msimaging.bids.visits import read_visits
from msimaging.errors import raise_on_errors
from msimaging.statistics.safety import GRADES, tally_adverse_events
from msimaging.steps.outcome_tables import ClinicalData, declarations_of, read_clinical
from msimaging.steps.records import describe, report
from msimaging.tables import write_table

OUTCOME_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "participant_id": "Patient.",
        "session_id": "Visit; the baseline's for what is known once of a patient.",
        "months": "Months since the patient's first visit, from the dates where there are any.",
        "measure": "Outcome as declared.",
        "type": "continuous, count, ordinal, edss or proportion.",
        "value": "The number; half of the assay's limit where it was below.",
        "units": "Unit of the value.",
        "limit": "below or above, where the assay could not measure.",
        "source": "Table below the BIDS folder.",
    }
)
PATIENT_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "participant_id": "Patient.",
        "arm": "Arm of the trial.",
        "n_treatments": "Number of treatments.",
        "concomitant": "Drugs besides the treatment.",
        "months_followed": "Month of the last visit with an outcome.",
        "n_visits": "Visits with an outcome.",
    }
)
TREATMENT_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "participant_id": "Patient.",
        "months": "Months since the patient's first visit.",
        "treatment": "What was given.",
        "role": "study, or concomitant.",
    }
)
EVENT_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "participant_id": "Patient.",
        "months": "Months since the patient's first visit.",
        "term": "Adverse event.",
        "grade": "Grade, 1 to 5.",
        "serious": "As the table says.",
        "related": "As the table says.",
    }
)
SAFETY_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "term": "Adverse event; any for all together.",
        "n_events": "Reports.",
        "n_patients": "Patients who had it.",
        "n_enrolled": "Patients of the trial.",
        "share": "Patients who had it, as a share of all.",
        "ci_low": "Lower limit of the share (Wilson).",
        "ci_high": "Upper limit of the share (Wilson): what 0 of n leaves open.",
        **{f"worst_grade_{grade}": f"Patients whose worst grade was {grade}." for grade in GRADES},
    }
)
#: Columns of participants.tsv that are never copied.
_IDENTIFYING = frozenset({"name", "birth_date", "birthdate", "address", "phone", "email"})


def collect_outcomes(
    *,
    study: str,
    settings: Mapping[str, Any],
    tables: Sequence[str],
    out_outcomes: str,
    out_patients: str,
    out_treatments: str,
    out_events: str,
    out_safety: str,
) -> None:
    """Read the clinical tables and write them in the forms that models and report use.

    Parameters
    ----------
    study : str
        Study folder.
    settings : mapping
        Complete settings.
    tables : sequence of str
        Files that are read, for the record.
    out_outcomes, out_patients, out_treatments, out_events, out_safety : str
        Tables of the cohort.

    Raises
    ------
    InputError
        With every fault of every table.
    """
    folder = Path(study)
    visits = read_visits(folder / "visits.tsv")
    data = read_clinical(folder / settings["bids_dir"], read_table_list(folder), visits, settings)
    report(raise_on_errors(data.findings))
    patients = patients_of(data, settings, visits.patients)
    enrolled = [str(name) for name in patients["participant_id"]]
    level = settings["statistics"]["confidence"]
    written = (
        (out_outcomes, _outcomes(data, settings), OUTCOME_COLUMNS, "One row for each outcome."),
        (out_patients, patients, PATIENT_COLUMNS, "One row for each patient of the trial."),
        (
            out_treatments,
            pd.DataFrame(data.treatments, columns=list(TREATMENT_COLUMNS)),
            TREATMENT_COLUMNS,
            "Treatments, those under study and others.",
        ),
        (
            out_events,
            pd.DataFrame(data.events, columns=list(EVENT_COLUMNS)),
            EVENT_COLUMNS,
            "Listing of adverse events.",
        ),
        (
            out_safety,
            safety_table(data.events, enrolled, level=level),
            SAFETY_COLUMNS,
            "Adverse events by patient and worst grade; patients without any are counted.",
        ),
    )
    for path, table, columns, text in written:
        write_table(path, table)
        describe(path, text, sources=tables, columns=columns)


def _outcomes(data: ClinicalData, settings: Mapping[str, Any]) -> pd.DataFrame:
    declared = declarations_of(settings)
    rows = [
        {
            **asdict(value),
            "type": declared[value.measure].type,
            "units": declared[value.measure].units,
        }
        for value in data.values
    ]
    table = pd.DataFrame(rows, columns=list(OUTCOME_COLUMNS))
    return table.sort_values(["participant_id", "measure", "months"], kind="stable")


def patients_of(
    data: ClinicalData, settings: Mapping[str, Any], listed: Sequence[str]
) -> pd.DataFrame:
    """Return one row per patient: arm, number of treatments, other drugs, follow-up.

    Parameters
    ----------
    data : ClinicalData
        What the tables hold.
    settings : mapping
        Complete settings.
    listed : sequence of str
        Patients of ``visits.tsv``.

    Returns
    -------
    DataFrame
        `PATIENT_COLUMNS` and the columns of ``participants.tsv``.
    """
    trial = settings["trial"]
    given = Counter(
        row["participant_id"] for row in data.treatments if row.get("role") != "concomitant"
    )
    last: dict[str, float] = {}
    visits: dict[str, set[str]] = {}
    for value in data.values:
        name = value.participant_id
        last[name] = float(np.nanmax([last.get(name, 0.0), value.months]))
        visits.setdefault(name, set()).add(value.session_id)
    rows = []
    for name in dict.fromkeys([*data.people, *listed]):
        person = data.people.get(name, {})
        drugs = [
            str(row.get("treatment", ""))
            for row in data.treatments
            if row["participant_id"] == name and row.get("role") == "concomitant"
        ]
        drugs += [person.get(trial["concomitant"] or "", "")]
        own = {key: value for key, value in person.items() if key.lower() not in _IDENTIFYING}
        rows.append(
            {
                **own,
                "participant_id": name,
                "arm": person.get(trial["arm"] or "", ""),
                "n_treatments": person.get(trial["n_treatments"] or "", "")
                or (given[name] if data.treatments else ""),
                "concomitant": ", ".join(dict.fromkeys(filter(None, drugs))),
                "months_followed": last.get(name, np.nan),
                "n_visits": len(visits.get(name, ())),
            }
        )
    table = pd.DataFrame(rows)
    others = [name for name in table.columns if name not in PATIENT_COLUMNS]
    return table[[*PATIENT_COLUMNS, *others]]


def safety_table(
    events: Sequence[Mapping[str, Any]], enrolled: Sequence[str], *, level: float
) -> pd.DataFrame:
    """Tally adverse events over all patients of the trial.

    Parameters
    ----------
    events : sequence of mapping
        ``participant_id term grade``.
    enrolled : sequence of str
        All patients.
    level : float
        Of the intervals.

    Returns
    -------
    DataFrame
        `SAFETY_COLUMNS`, all events together first; empty where none was reported.
    """
    if not events:
        return pd.DataFrame(columns=list(SAFETY_COLUMNS))
    tallies = tally_adverse_events(
        [row["participant_id"] for row in events],
        [row["term"] for row in events],
        [int(row["grade"]) for row in events],
        enrolled=enrolled,
        level=level,
    )
    rows = [
        {
            "term": tally.term,
            "n_events": tally.n_events,
            "n_patients": tally.patients.k,
            "n_enrolled": tally.patients.n,
            "share": tally.patients.estimate,
            "ci_low": tally.patients.ci_low,
            "ci_high": tally.patients.ci_high,
            **{f"worst_grade_{g}": n for g, n in tally.patients_by_worst_grade.items()},
        }
        for tally in tallies
    ]
    return pd.DataFrame(rows, columns=list(SAFETY_COLUMNS))
