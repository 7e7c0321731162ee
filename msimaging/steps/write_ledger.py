"""Step: the ledger of what was done, what was left out, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from msimaging.bids.ledger import COLUMNS, read_ledger
from msimaging.bids.plan import Plan
from msimaging.steps.records import describe
from msimaging.tables import write_table


def write_ledger(*, study: str | Path, settings: Mapping[str, Any], out_table: str | Path) -> None:
    """Write the state of every step of a study.

    Parameters
    ----------
    study : path
        Study folder.
    settings : mapping
        Complete settings.
    out_table : path
        ``ledger.tsv``.
    """
    study = Path(study)
    entries = read_ledger(study, Plan.of_study(study, settings))
    # this table cannot tell of its own step, nor of the report that waits for it
    rows = [
        asdict(entry) for entry in entries if entry.step not in {"write_ledger", "write_report"}
    ]
    write_table(out_table, pd.DataFrame(rows, columns=list(COLUMNS)))
    describe(
        out_table,
        "What was done for each patient and visit, what was not, and why.",
        sources=[],
        columns={
            "step": "Rule, or modality for what never became a job.",
            "participant_id": "Patient; n/a for the cohort.",
            "session_id": "Visit or pair of visits.",
            "state": "done, stale, failed, pending, excluded, absent (not scanned) or unpaired.",
            "reason": "Why it is not done.",
        },
    )
