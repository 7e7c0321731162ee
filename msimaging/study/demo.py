"""The demo: a simulated trial with known truth, and what the pipeline recovered of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from msimaging.atlases.library import load_atlas
from msimaging.bids.layout import output
from msimaging.phantom.trial import simulate_trial
from msimaging.phantom.truth import TrialTruth, true_region_values
from msimaging.settings import read_settings
from msimaging.study.creation import create_study
from msimaging.tables import read_table, write_table


def simulate_study(study: Path, *, n_patients: int, progress: Callable[[str], None]) -> TrialTruth:
    """Simulate the dataset below a study folder and index it.

    Parameters
    ----------
    study : Path
        Study folder; the dataset is written to ``bids`` in it.
    n_patients : int
        Patients, two visits each.
    progress : callable
        Told one line before each visit.

    Returns
    -------
    TrialTruth
        What was planted.
    """
    truth = simulate_trial(study / "bids", n_patients=n_patients, progress=progress)
    create_study(study / "bids", study)
    return truth


def compare_with_truth(study: Path, truth: TrialTruth) -> str:
    """Compare the recovered changes with the planted ones.

    Parameters
    ----------
    study : Path
        A finished demo. ``cohort/truth.tsv`` is written there.
    truth : TrialTruth
        What was planted.

    Returns
    -------
    str
        A table for people.
    """
    changes = read_table(study / output("changes"))
    rows = [*_tensor_rows(study, changes, truth), *_network_rows(changes, truth)]
    table = pd.DataFrame(rows)
    write_table((study / output("changes")).with_name("truth.tsv"), table)
    shown = table.to_string(index=False, float_format=lambda value: f"{value:.2f}")
    return f"\nrecovered against planted (means over patients)\n{shown}\n"


def _tensor_rows(
    study: Path, changes: pd.DataFrame, truth: TrialTruth
) -> list[dict[str, str | float]]:
    atlas_name = read_settings(study / "config.yaml")["atlases"]["diffusion"][0]
    true = true_region_values(truth, load_atlas(atlas_name))
    rows: list[dict[str, str | float]] = []
    for measure in ("rd", "ad", "fa", "md"):
        planted = _true_percent(true, measure)
        found = changes[(changes["measure"] == measure) & (changes["atlas"] == atlas_name)]
        recovered = found.groupby("label", sort=False)["percent_change"].mean()
        reliable = found.groupby("label", sort=False)["reliable"].mean()
        touched = planted.index[planted.abs() > _TOUCHED]
        for where, labels in (
            (truth.tract, [name for name in touched if name.startswith("CC")] or list(touched)),
            ("untouched regions", [name for name in planted.index if name not in touched]),
        ):
            if labels:
                rows.append(
                    {
                        "measure": f"{measure.upper()} [%]",
                        "where": where,
                        "planted": float(planted[labels].mean()),
                        "recovered": float(recovered[labels].mean()),
                        "worst": float((recovered[labels] - planted[labels]).abs().max()),
                        "called reliable": float(reliable[labels].astype(float).mean()),
                    }
                )
    return rows


#: A region whose true value moves by more than this, in per cent, was touched by the planting.
_TOUCHED = 0.5


def _true_percent(true: pd.DataFrame, measure: str) -> pd.Series[float]:
    """Return the mean true change of each region, in per cent of the visits' mean."""
    values = true.pivot_table(
        index=["participant_id", "name"], columns="session_id", values=measure, sort=False
    )
    first, last = values.iloc[:, 0], values.iloc[:, -1]
    percent = 200 * (last - first) / (last + first)
    return percent.groupby(level="name", sort=False).mean()


def _network_rows(changes: pd.DataFrame, truth: TrialTruth) -> list[dict[str, str | float]]:
    found = changes[(changes["modality"] == "bold")].copy()
    means = found.groupby("label", sort=False)["change"].mean()
    planted_label = f"{truth.network}-{truth.network}"
    others = means.drop(planted_label)
    detected = found.groupby("label", sort=False)["detectable"].mean()
    return [
        {
            "measure": "Fisher z",
            "where": f"within {truth.network}",
            "planted": truth.coupling_change,
            "recovered": float(means[planted_label]),
            "worst": float(abs(means[planted_label] - truth.coupling_change)),
            "called reliable": np.nan,
        },
        {
            "measure": "Fisher z",
            "where": "all other networks",
            "planted": 0.0,
            "recovered": float(others.mean()),
            "worst": float(others.abs().max()),
            "called reliable": np.nan,
        },
        {
            "measure": "share detectable",
            "where": "all other networks",
            "planted": 0.05,
            "recovered": float(detected.drop(planted_label).astype(float).mean()),
            "worst": np.nan,
            "called reliable": np.nan,
        },
    ]
