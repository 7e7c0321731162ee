"""What can be known to be wrong with the clinical side of a study before any computing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msimaging.bids.clinical import find_tables
from msimaging.bids.trial_plan import TrialPlan
from msimaging.bids.visits import Visits
from msimaging.errors import Finding
from msimaging.steps.model_checks import check_models
from msimaging.steps.outcome_tables import columns_found, read_clinical


def clinical_findings(
    study: Path, root: Path, visits: Visits, settings: Mapping[str, Any]
) -> list[Finding]:
    """Read the clinical tables and hold the models against what there is.

    Parameters
    ----------
    study, root : Path
        Study folder and root of the dataset.
    visits : Visits
        Of ``visits.tsv``.
    settings : mapping
        Complete settings.

    Returns
    -------
    list of Finding
        Errors and warnings, all together.
    """
    trial = TrialPlan.of_study(study, settings)
    if not trial.wanted:
        return []
    clinical = read_clinical(root, trial.tables, visits, settings)
    return [*clinical.findings, *check_models(settings, clinical, visits)]


def without_data(
    study: Path, root: Path, visits: Visits, settings: Mapping[str, Any]
) -> Iterable[Finding]:
    """Tell a study in which there is nothing to work on: no scan, and no declared outcome.

    Parameters
    ----------
    study, root : Path
        Study folder and root of the dataset.
    visits : Visits
        Of ``visits.tsv``.
    settings : mapping
        Complete settings.

    Yields
    ------
    Finding
        At most one.
    """
    scanned = any(v.exclude is None and (v.dwi or v.bold) for v in visits.rows)
    if scanned or settings["outcomes"]:
        return
    columns = columns_found(root, find_tables(root)) if root.is_dir() else []
    declare = f" or declare outcomes in config.yaml (columns found: {', '.join(columns)})"
    yield Finding(
        where=str(study / "visits.tsv"),
        rule="a study must have at least one scan or one declared outcome",
        found="no dwi and no bold in any visit that is not excluded, and no outcomes",
        remedy="Name scans in the columns dwi and bold, run msimaging index again"
        f"{declare if columns else ''}.",
    )
