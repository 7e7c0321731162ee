"""Step: paired tests over patients, one row a region or pair of networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import pandas as pd

from msimaging.statistics.inference import (
    adjust_p_values,
    max_t_test,
    paired_effect,
    sign_flip_test,
)
from msimaging.statistics.trial_models import adjust_families
from msimaging.steps.changes import differing_in_all
from msimaging.steps.records import describe
from msimaging.tables import read_table, write_table

Adjustment = Literal["bh", "by", "holm", "bonferroni", "max-t"]
RESULT_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "model": "Comparison that was made.",
        "family": "Tests that are corrected together.",
        "modality": "dwi or bold.",
        "atlas": "Atlas that defines the labels.",
        "label": "Region or pair of networks.",
        "measure": "What was measured.",
        "n": "Patients with both visits.",
        "n_excluded": "Patients with the pair of visits but without a value.",
        "estimate": "Mean change, follow-up minus baseline.",
        "ci_low": "Lower limit of the mean change (Student's t).",
        "ci_high": "Upper limit of the mean change (Student's t).",
        "effect": "Standardised mean change.",
        "effect_name": "Which standardised effect.",
        "test": "Test behind p, with the number of sign flips.",
        "statistic": "Student's t of the changes; n/a where all changes are equal.",
        "p": "Two-sided p-value of the test.",
        "p_floor": "Smallest p-value that the test could have given with these n patients.",
        "p_adjusted": "p-value corrected within the family.",
        "adjustment": "Correction, and the number of tests in the family.",
        "flags": "What speaks against reading the row, separated by semicolons.",
    }
)
_GROUPS = ["baseline", "follow_up", "modality", "atlas", "measure"]
#: Two-sided level at which a test that cannot reach it is flagged.
_LEVEL = 0.05


def test_changes(
    *,
    changes: str,
    models: Sequence[str],
    families: Mapping[str, str],
    adjustment: Adjustment,
    confidence: float,
    seed: int,
    out_table: str,
) -> None:
    """Test the mean change of every region and network over patients; add the declared models.

    Parameters
    ----------
    changes : str
        ``changes.tsv``.
    models : sequence of str
        Results of the declared models, not yet corrected; they come first.
    families : mapping
        Correction of each family of models.
    adjustment : {"bh", "by", "holm", "bonferroni", "max-t"}
        Correction within one measure over the labels of one atlas.
    confidence : float
        Coverage of the intervals.
    seed : int
        Seed of random flips where there are too many patients to enumerate all.
    out_table : str
        ``results.tsv``.
    """
    table = read_table(changes)
    declared = [row for path in models for row in read_table(path).to_dict("records")]
    rows: list[dict[str, Any]] = adjust_families(declared, families)
    for keys, group in table.groupby(_GROUPS, sort=False, dropna=False):
        identity = dict(zip(_GROUPS, keys, strict=True))
        differences = group.pivot_table(
            index="participant_id", columns="label", values="change", sort=False, dropna=False
        )
        tested = family_results(
            differences, identity, adjustment=adjustment, confidence=confidence, seed=seed
        )
        confounded = [f"confounded:{field}" for field in differing_in_all(group["flags"])]
        for row in tested:
            row["flags"] = ";".join([row["flags"], *confounded])
        rows += tested
    write_table(out_table, pd.DataFrame(rows, columns=list(RESULT_COLUMNS)))
    describe(
        out_table,
        "Paired change over patients. Exploratory and uncontrolled where there is no control arm.",
        sources=[changes, *models],
        columns=RESULT_COLUMNS,
    )


def family_results(
    differences: pd.DataFrame,
    identity: Mapping[str, Any],
    *,
    adjustment: Adjustment,
    confidence: float,
    seed: int,
) -> list[dict[str, Any]]:
    """Test the columns of one family.

    Parameters
    ----------
    differences : DataFrame
        Patients x labels, follow-up minus baseline.
    identity : mapping
        ``baseline follow_up modality atlas measure`` of the family.
    adjustment, confidence, seed
        As in `test_changes`.

    Returns
    -------
    list of dict
        Rows of ``results.tsv``.
    """
    model = f"paired change {identity['baseline']} to {identity['follow_up']}"
    family = f"{identity['measure']} over the labels of {identity['atlas']}"
    rows = [
        {
            "model": model,
            "family": family,
            **{key: identity[key] for key in ("modality", "atlas", "measure")},
            "label": label,
            **_one_test(column.to_numpy(dtype=float), confidence, seed),
        }
        for label, column in differences.items()
    ]
    p = [row["p"] for row in rows]
    if adjustment == "max-t":
        adjusted = max_t_test(differences.to_numpy(dtype=float), seed=seed).p_adjusted
    else:
        adjusted = adjust_p_values(p, method=adjustment)
    for row, value in zip(rows, adjusted, strict=True):
        row["p_adjusted"] = value
        row["adjustment"] = f"{adjustment} over {int(np.isfinite(p).sum())} tests"
    return rows


def _one_test(differences: np.ndarray, confidence: float, seed: int) -> dict[str, Any]:
    if not np.isfinite(differences).any():
        # a label that no scan covers is told, and must not end the tests of all others
        return {"n": 0, "n_excluded": differences.size, "p": np.nan, "flags": "no-values"}
    effect = paired_effect(np.zeros_like(differences), differences, level=confidence)
    flips = sign_flip_test(differences, seed=seed)
    flags = ["uncontrolled"]
    if not flips.p_floor <= _LEVEL:
        flags.append(f"p-cannot-reach-{_LEVEL}")
    return {
        "n": effect.n,
        "n_excluded": effect.n_missing,
        "estimate": effect.estimate,
        "ci_low": effect.ci_low,
        "ci_high": effect.ci_high,
        "effect": effect.hedges_g,
        "effect_name": "hedges_g",
        "test": f"{'exact' if flips.exact else 'random'} sign-flip, {flips.n_flips} flips",
        "statistic": effect.statistic,
        "p": flips.p,
        "p_floor": flips.p_floor,
        "flags": ";".join(flags),
    }
