"""What a model of the trial works on: settings of the model, values, patients, what it returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.statistics.inputs import Alternative
from msimaging.statistics.outcomes import OutcomeDeclaration

ModelKind = Literal[
    "paired",
    "slopes",
    "mixed",
    "friedman",
    "ancova",
    "association",
    "time-to-event",
    "responders",
    "nbs",
    "tfnbs",
]
Family = Literal["primary", "secondary", "exploratory"]
#: Drugs that deplete B cells, and what they are called in tables.
B_CELL_DRUGS = (
    "rituximab",
    "ocrelizumab",
    "ofatumumab",
    "ublituximab",
    "obinutuzumab",
    "inebilizumab",
    "alemtuzumab",
    "cladribine",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """One model as it is declared; the names are those of the settings."""

    name: str
    kind: ModelKind
    outcome: str
    family: Family = "exploratory"
    with_: str = ""
    atlas: str = ""
    labels: tuple[str, ...] = ()
    with_atlas: str = ""
    with_labels: tuple[str, ...] = ()
    summary: Literal["none", "mean", "median"] = "none"
    baseline: str = ""
    follow_up: str = "all"
    covariates: tuple[str, ...] = ()
    group: str = ""
    more_than: float | None = None
    knot: float | None = None
    random_slope: bool | None = None
    bootstrap: int | None = None
    rule: str = ""
    components: tuple[str, ...] = ()
    confirmation_weeks: float | None = None
    reference: Literal["fixed", "roving"] = "fixed"
    event: Literal["worsening", "improvement"] = "worsening"
    alternative: Alternative = "two-sided"
    method: Literal["pearson", "spearman"] = "spearman"
    adjustment: Literal["family", "max-t"] = "family"
    threshold: tuple[float, ...] = ()
    flips: int | None = None

    @classmethod
    def of(cls, name: str, given: Mapping[str, Any]) -> ModelSettings:
        """Return the settings of one section, with what it leaves out."""
        lists = {"labels", "with_labels", "covariates", "components", "threshold"}
        fields: dict[str, Any] = {
            ("with_" if key == "with" else key): tuple(value) if key in lists else value
            for key, value in given.items()
        }
        return cls(name=name, **fields)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EdgeChange:
    """Change of every edge of one patient between two visits.

    Attributes
    ----------
    participant_id, baseline, follow_up, atlas : str
        Whose, between which sessions, and of which parcels.
    months : float
        Between both; NaN where it is not known.
    labels : tuple of str
        Parcels.
    matrix : ndarray, shape (P, P)
        Fisher z, follow-up minus baseline; NaN where a visit lacks the edge.
    """

    participant_id: str
    baseline: str
    follow_up: str
    atlas: str
    months: float
    labels: tuple[str, ...]
    matrix: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrialData:
    """Everything that models may ask for.

    Attributes
    ----------
    values : DataFrame
        ``participant_id session_id months atlas label measure value``, clinical outcomes (atlas
        and label empty) and imaging measures alike.
    changes : DataFrame
        Imaging changes: ``participant_id baseline follow_up atlas label measure baseline_value
        follow_up_value change``.
    patients : DataFrame
        One row per patient: ``participant_id arm n_treatments concomitant`` and the columns of
        ``participants.tsv``.
    motion : DataFrame
        ``participant_id session_id modality fd_mean``.
    edges : tuple of EdgeChange
        Of network-based statistics; empty where no model asks for them.
    declared : mapping
        Outcomes by name.
    control : str
        Name of the control arm; empty where there is none.
    entry_criterion : str
        "worsening" where patients had to worsen before entry.
    placebo_rate, placebo_source
        Share improved under placebo elsewhere, and where.
    level : float
        Of the intervals.
    seed : int
        Of everything random.
    """

    values: pd.DataFrame
    changes: pd.DataFrame
    patients: pd.DataFrame
    motion: pd.DataFrame
    declared: Mapping[str, OutcomeDeclaration]
    edges: tuple[EdgeChange, ...] = ()
    control: str = ""
    entry_criterion: str = "none"
    placebo_rate: float | None = None
    placebo_source: str = ""
    level: float = 0.95
    seed: int = 0

    def is_clinical(self, measure: str) -> bool:
        """Return whether a measure is a declared outcome."""
        return measure in self.declared

    @property
    def controlled(self) -> bool:
        """Return whether some patients are of a control arm."""
        return bool(self.control) and bool((self.patients["arm"] == self.control).any())


@dataclass(slots=True, kw_only=True)
class ModelResult:
    """Rows of the tables that a model writes.

    Attributes
    ----------
    rows : list of dict
        Of ``results.tsv``.
    tests : list of dict
        Labelled alternatives beside each row.
    patients : list of dict
        What each patient contributed, why not, and the result without this patient.
    notes : list of dict
        Sentences that belong beside the numbers.
    counts : list of dict
        Responders by group and rule, and points of survival curves.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    tests: list[dict[str, Any]] = field(default_factory=list)
    patients: list[dict[str, Any]] = field(default_factory=list)
    notes: list[dict[str, Any]] = field(default_factory=list)
    counts: list[dict[str, Any]] = field(default_factory=list)

    def note(self, topic: str, sentence: str) -> None:
        """Add a sentence once."""
        entry = {"topic": topic, "sentence": sentence}
        if entry not in self.notes:
            self.notes.append(entry)

    def add(self, other: ModelResult) -> None:
        """Add what another part found."""
        self.rows += other.rows
        self.tests += other.tests
        self.patients += other.patients
        self.counts += other.counts
        for entry in other.notes:
            self.note(entry["topic"], entry["sentence"])


def group_of(settings: ModelSettings, data: TrialData) -> pd.Series[Any]:
    """Return each patient's group by participant: an arm, a number, or more than a number.

    Parameters
    ----------
    settings : ModelSettings
        With ``group`` and ``more_than``.
    data : TrialData
        Of the trial.

    Returns
    -------
    Series
        Indexed by participant; missing where a patient has none.
    """
    column = data.patients.set_index("participant_id")[settings.group]
    if settings.more_than is None:
        return column
    numbers = pd.to_numeric(column, errors="coerce")
    named = np.where(
        numbers > settings.more_than,
        f"more than {settings.more_than:g} {settings.group}",
        f"up to {settings.more_than:g} {settings.group}",
    )
    return pd.Series(named, index=column.index).where(numbers.notna())
