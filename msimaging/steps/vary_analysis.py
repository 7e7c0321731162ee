"""Step: the primary result under other defensible choices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import pandas as pd

from msimaging.statistics.specifications import specification_curve
from msimaging.statistics.trial_data import ModelSettings
from msimaging.steps.fit_model import trial_data
from msimaging.steps.records import describe
from msimaging.tables import read_table, write_table

SPECIFICATION_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "measure": "What was measured.",
        "atlas": "Atlas of the regions.",
        "strategy": "Strategy of denoising.",
        "fit": "Tensor fit.",
        "summary": "How regions became one number.",
        "follow_up": "Session that is compared with baseline.",
        "scale": "Change in units, or in per cent of baseline.",
        "patients": "All, or without those whose change carries a flag.",
        "n": "Patients.",
        "estimate": "Hedges g of the change.",
        "ci_low": "Lower limit.",
        "ci_high": "Upper limit.",
        "p": "Sign-flip test, not corrected.",
        "p_floor": "Smallest p-value that the test could have given.",
        "prespecified": "Whether this is the analysis of the settings.",
    }
)


def vary_analysis(
    *,
    name: str,
    settings: Mapping[str, Any],
    outcomes: str,
    patients: str,
    measures: str,
    changes: str,
    specifications: str,
    fit: str,
    fits: Sequence[str],
    out_table: str,
) -> None:
    """Repeat the primary paired model over the choices that the data offer.

    Parameters
    ----------
    name : str
        The model.
    settings : mapping
        Of the model, as for `fit_model`.
    outcomes, patients, measures, changes : str
        Tables of the cohort.
    specifications : str
        Changes of network means under every strategy of denoising.
    fit : str
        Tensor fit behind the changes.
    fits : sequence of str
        Table of changes under other fits, or nothing.
    out_table : str
        ``specification_curve.tsv``.
    """
    data = trial_data(
        settings,
        outcomes=read_table(outcomes),
        patients=read_table(patients),
        measures=read_table(measures),
        changes=read_table(changes),
        motion=pd.DataFrame(),
    )
    model = ModelSettings.of(name, settings["model"])
    others = read_table(fits[0]) if fits else pd.DataFrame(columns=["fit", "measure"])
    table = specification_curve(model, data, read_table(specifications), fit=fit, fits=others)
    write_table(out_table, table)
    describe(
        out_table,
        f"The result of model {name} under every choice that the data offer.",
        sources=[outcomes, measures, changes, specifications, *fits],
        columns=SPECIFICATION_COLUMNS,
    )
