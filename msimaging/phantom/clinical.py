"""Simulated clinical tables of a trial, with what was planted: outcomes, treatments, safety."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from msimaging.tables import write_json, write_table

TrialShape = Literal["early", "long"]
DAYS_PER_MONTH = 30.4375
#: Months of the visits of both shapes, and the number of patients.
SCHEDULES: Mapping[TrialShape, tuple[int, tuple[int, ...]]] = {
    "early": (5, (0, 1, 3, 6)),
    "long": (24, (0, 6, 12, 18, 24, 36, 48)),
}
#: Of the long trial: patients with more than two treatments, and who improved of either group.
MANY_TREATED, IMPROVED_MANY, IMPROVED_FEW = 16, 9, 1
DETECTION_LIMIT = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ClinicalTruth:
    """What was planted in the tables of a trial.

    Attributes
    ----------
    shape : {"early", "long"}
        Five patients at 0, 1, 3 and 6 months; or 24 over up to 48 months.
    edss_change : dict
        Last minus first EDSS of each patient.
    n_treatments : dict
        Treatments of each patient.
    last_month : dict
        Planned month of each patient's last visit.
    il10_slope : float
        Mean change of interleukin 10 a month [pg/mL].
    settings : dict
        ``trial outcomes models`` that fit these tables, for ``config.yaml``.
    """

    shape: TrialShape
    edss_change: dict[str, float]
    n_treatments: dict[str, int]
    last_month: dict[str, int]
    il10_slope: float
    settings: dict[str, Any] = field(default_factory=dict)


def simulate_clinical(
    bids_dir: Path | str, *, shape: TrialShape, seed: int = 0, il10_slope: float = 0.3
) -> ClinicalTruth:
    """Write participants, sessions and phenotype tables of a trial without images.

    Parameters
    ----------
    bids_dir : path
        Made when missing. Tables of a trial that is there already are replaced.
    shape : {"early", "long"}
        Five patients at 0, 1, 3 and 6 months, all with the same fall of EDSS; or 24 patients up to
        48 months with up to 9 treatments and drop-out, where 9 of 16 with more than two treatments
        improved and 1 of 8 others.
    seed : int
        Same seed, same bytes.
    il10_slope : float
        Planted change of interleukin 10 [pg/mL a month].

    Returns
    -------
    ClinicalTruth
        What models should find, and settings that ask for it.
    """
    root = Path(bids_dir)
    n_patients, months = SCHEDULES[shape]
    rng = np.random.default_rng((seed, n_patients))
    names = [f"sub-{number + 1:02d}" for number in range(n_patients)]
    treatments = _treatments(shape, names, rng)
    lasts = _last_months(names, months, treatments)
    changes = _edss_changes(shape, names, treatments)
    courses = [
        _course(name, _planned(months, lasts[name], rng), changes[name], il10_slope, rng)
        for name in names
    ]
    _write_description(root)
    _write_people(root, names, treatments, rng)
    for course in courses:
        _write_sessions(root, course)
    _write_phenotype(root, courses)
    _write_treatments(root, courses, treatments)
    _write_events(root, courses)
    return ClinicalTruth(
        shape=shape,
        edss_change=changes,
        n_treatments=treatments,
        last_month=lasts,
        il10_slope=il10_slope,
        settings=_settings(shape),
    )


def planned_visits(shape: TrialShape, *, seed: int = 0) -> dict[str, tuple[int, ...]]:
    """Return the months at which each patient of `simulate_clinical` is seen.

    Scans that `msimaging.phantom.simulate_trial` makes at these ``months``, or at some of them,
    belong to the visits of the tables. Simulate the scans first: the tables that come with them
    are replaced.

    Parameters
    ----------
    shape : {"early", "long"}
        As in `simulate_clinical`.
    seed : int
        As there.

    Returns
    -------
    dict
        Months by participant; those who leave have fewer.
    """
    n_patients, months = SCHEDULES[shape]
    names = [f"sub-{number + 1:02d}" for number in range(n_patients)]
    treatments = _treatments(shape, names, np.random.default_rng((seed, n_patients)))
    lasts = _last_months(names, months, treatments)
    return {name: tuple(m for m in months if m <= lasts[name]) for name in names}


def _treatments(
    shape: TrialShape, names: Sequence[str], rng: np.random.Generator
) -> dict[str, int]:
    if shape == "early":
        return dict.fromkeys(names, 1)
    many = rng.integers(3, 10, MANY_TREATED)
    few = rng.integers(1, 3, len(names) - MANY_TREATED)
    return {name: int(n) for name, n in zip(names, [*many, *few], strict=True)}


def _last_months(
    names: Sequence[str], months: Sequence[int], treatments: Mapping[str, int]
) -> dict[str, int]:
    """Let patients leave early; those with few treatments earliest, and nobody of a short trial."""
    if len(months) < 5:
        return dict.fromkeys(names, months[-1])
    places = {name: min(len(months) - 1, 2 + treatments[name] // 2) for name in names}
    return {name: months[place] for name, place in places.items()}


def _edss_changes(
    shape: TrialShape, names: Sequence[str], treatments: Mapping[str, int]
) -> dict[str, float]:
    if shape == "early":
        return dict.fromkeys(names, -1.0)
    many = [name for name in names if treatments[name] > 2]
    few = [name for name in names if treatments[name] <= 2]
    improved = {*many[:IMPROVED_MANY], *few[:IMPROVED_FEW]}
    worse = {many[-1], few[-1]}
    sizes = {name: -0.5 - 0.5 * (place % 3 == 0) for place, name in enumerate(sorted(improved))}
    return {name: sizes.get(name, 0.5 if name in worse else 0.0) for name in names}


@dataclass(frozen=True, slots=True)
class _Course:
    name: str
    dates: tuple[date, ...]
    months: tuple[int, ...]
    values: dict[str, list[float]]


def _planned(
    months: Sequence[int], last: int, rng: np.random.Generator
) -> tuple[tuple[int, ...], tuple[date, ...]]:
    """Draw the dates of a patient's visits: a few days off the plan, as visits are."""
    kept = tuple(month for month in months if month <= last)
    start = date(2022, 3, 1) + timedelta(days=int(rng.integers(0, 300)))
    days = [round(month * DAYS_PER_MONTH) + int(rng.integers(-4, 5)) for month in kept[1:]]
    return kept, (start, *(start + timedelta(days=day) for day in days))


def _course(
    name: str,
    planned: tuple[tuple[int, ...], tuple[date, ...]],
    edss_change: float,
    il10_slope: float,
    rng: np.random.Generator,
) -> _Course:
    months, dates = planned
    time = np.array([(day - dates[0]).days for day in dates]) / DAYS_PER_MONTH
    n = len(months)
    own = {key: rng.normal() for key in ("edss", "walk", "hand", "words", "il10", "cells")}
    first = 6.0 + 0.5 * round(np.clip(own["edss"], -1, 2))
    # the change comes at the second visit and stays
    edss = [first, *[first + edss_change] * (n - 1)]
    walk = 12 + 2 * own["walk"] + 0.9 * np.array(edss) + 0.4 * rng.normal(size=n)
    # a retest is better by itself
    words = 40 + 6 * own["words"] + 2.0 * (np.arange(n) > 0) + 1.5 * rng.normal(size=n)
    il10 = 1.5 + 0.4 * own["il10"] + il10_slope * time + 0.3 * rng.normal(size=n)
    cells = 12 + 2 * own["cells"] - 1.2 * np.minimum(time, 6) + rng.normal(size=n)
    values = {
        "edss": edss,
        "t25fw": np.round(walk, 1).tolist(),
        "nhpt": np.round(24 + 3 * own["hand"] + 0.6 * rng.normal(size=n), 1).tolist(),
        "sdmt": np.round(words).tolist(),
        "il10": np.round(il10, 2).tolist(),
        "cd20": np.round(np.maximum(cells, 0.1), 1).tolist(),
    }
    return _Course(name, dates, months, values)


def _session(month: int) -> str:
    return "ses-baseline" if month == 0 else f"ses-month{month:02d}"


def _write_description(root: Path) -> None:
    content = {"Name": "Simulated trial", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    write_json(root / "dataset_description.json", content | {"License": "CC0"})


def _write_people(
    root: Path, names: Sequence[str], treatments: Mapping[str, int], rng: np.random.Generator
) -> None:
    rows = [
        {
            "participant_id": name,
            "age": int(rng.integers(25, 59)),
            "sex": str(rng.choice(["F", "F", "M"])),
            "n_treatments": treatments[name],
            "concomitant": "rituximab" if place % 2 == 0 else "",
        }
        for place, name in enumerate(names)
    ]
    write_table(root / "participants.tsv", pd.DataFrame(rows))


def _write_sessions(root: Path, course: _Course) -> None:
    table = pd.DataFrame(
        {
            "session_id": [_session(month) for month in course.months],
            "acq_time": [f"{day:%Y-%m-%d}T09:00:00" for day in course.dates],
            "edss": course.values["edss"],
            "t25fw": course.values["t25fw"],
            "nhpt": course.values["nhpt"],
        }
    )
    path = root / course.name / f"{course.name}_sessions.tsv"
    write_table(path, table)
    units = {"Description": "Timed 25-foot walk", "Units": "s"}
    write_json(path.with_suffix(".json"), {"t25fw": units})


def _write_phenotype(root: Path, courses: Sequence[_Course]) -> None:
    """Write the form with a session column, one value below the limit of the assay among them."""
    blood, words = [], []
    for course in courses:
        for place, month in enumerate(course.months):
            key = {"participant_id": course.name, "session_id": _session(month)}
            il10 = course.values["il10"][place]
            shown = f"<{DETECTION_LIMIT:g}" if il10 < DETECTION_LIMIT else f"{il10:g}"
            blood.append({**key, "il10": shown, "cd20": course.values["cd20"][place]})
            words.append({**key, "sdmt": course.values["sdmt"][place]})
    # a visit at which no blood was taken
    blood[-1] |= {"il10": "", "cd20": np.nan}
    write_table(root / "phenotype" / "blood.tsv", pd.DataFrame(blood))
    units = {"il10": {"Units": "pg/mL"}, "cd20": {"Units": "%"}}
    write_json(root / "phenotype" / "blood.json", units)
    write_table(root / "phenotype" / "sdmt.tsv", pd.DataFrame(words))


def _write_treatments(
    root: Path, courses: Sequence[_Course], treatments: Mapping[str, int]
) -> None:
    rows = [
        {
            "participant_id": course.name,
            "date": f"{course.dates[0] + timedelta(days=7 + 120 * number):%Y-%m-%d}",
            "treatment": "stem cells",
            "role": "study",
        }
        for course in courses
        for number in range(treatments[course.name])
    ]
    rows += [
        {
            "participant_id": course.name,
            "date": f"{course.dates[0] - timedelta(days=200):%Y-%m-%d}",
            "treatment": "rituximab",
            "role": "concomitant",
        }
        for course in courses[::2]
    ]
    write_table(root / "phenotype" / "treatments.tsv", pd.DataFrame(rows))


def _write_events(root: Path, courses: Sequence[_Course]) -> None:
    reports = [(0, 8, "headache", 1), (1, 9, "headache", 2), (1, 40, "fever", 1)]
    rows = [
        {
            "participant_id": courses[patient].name,
            "date": f"{courses[patient].dates[0] + timedelta(days=day):%Y-%m-%d}",
            "term": term,
            "grade": grade,
            "serious": "no",
            "related": "possibly",
        }
        for patient, day, term, grade in reports
    ]
    write_table(root / "phenotype" / "adverse_events.tsv", pd.DataFrame(rows))


_OUTCOMES: dict[str, Any] = {
    "edss": {"type": "edss"},
    "t25fw": {"type": "continuous", "units": "s", "better": "lower", "minimum": 0},
    "nhpt": {"type": "continuous", "units": "s", "better": "lower", "minimum": 0},
    "sdmt": {
        "type": "count",
        "better": "higher",
        "maximum": 110,
        "retest": {"sd": 10.0, "reliability": 0.9, "practice": 2.0},
    },
    "il10": {
        "type": "continuous",
        "units": "pg/mL",
        "better": "higher",
        "lower_limit": DETECTION_LIMIT,
    },
    "cd20": {"type": "proportion", "units": "%"},
}


def _settings(shape: TrialShape) -> dict[str, Any]:
    """Return settings that ask of these tables what trials of this shape were asked."""
    trial: dict[str, Any] = {"concomitant": "concomitant", "n_treatments": "n_treatments"}
    end = "ses-month06" if shape == "early" else "last"
    models: dict[str, Any] = {
        "disability": {
            "kind": "paired",
            "family": "primary",
            "outcome": "edss",
            "follow_up": end,
        },
        "walking": {
            "kind": "paired",
            "family": "secondary",
            "outcome": "t25fw",
            "follow_up": end,
        },
        "b-cells": {
            "kind": "paired",
            "family": "secondary",
            "outcome": "cd20",
            "follow_up": end,
        },
        "il10-course": {"kind": "slopes", "family": "secondary", "outcome": "il10"},
        "sdmt-visits": {"kind": "friedman", "outcome": "sdmt"},
        "sdmt-reliable": {"kind": "responders", "outcome": "sdmt", "follow_up": end},
    }
    if shape == "long":
        trial |= {
            "entry_criterion": "worsening",
            "placebo_rate": 0.37,
            "placebo_source": "10 of 27 of a saline arm, on EDSS-Plus",
        }
        more = {"group": "n_treatments", "more_than": 2}
        models |= {
            "dose": {"kind": "responders", "outcome": "edss", "rule": "any", **more},
            "responders": {"kind": "responders", "outcome": "edss", "rule": "any"},
            "plus": {
                "kind": "responders",
                "outcome": "edss-plus",
                "components": ["edss", "t25fw", "nhpt"],
            },
            "il10-mixed": {"kind": "mixed", "outcome": "il10"},
            "worsening": {"kind": "time-to-event", "outcome": "edss", **more},
            "dose-response": {
                "kind": "association",
                "outcome": "t25fw",
                "with": "n_treatments",
                "follow_up": "last",
            },
        }
    return {"trial": trial, "outcomes": _OUTCOMES, "models": models}
