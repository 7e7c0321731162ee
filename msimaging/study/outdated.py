"""Which results a run would compute again, asked of the workflow itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

from msimaging.errors import ComputationError
from msimaging.study.runner import RunOptions, snakemake_command

#: Snakemake's words for the state of a file, and what they mean to a person.
_REASONS = {
    "updated input files": "an input is newer",
    "set of input files changed": "it was made from other files",
    "params changed": "settings, code or visits changed",
    "rule implementation changed": "the rule changed",
    "ok": "results beside it or before it are missing or out of date",
}


def outdated_results(study: Path) -> dict[str, str]:
    """List the results that are there and that a run would compute again.

    The workflow is planned, nothing is run and no lock is taken: the answer is the one that
    ``run`` would act on, whatever the reason (edited scans and settings, new visits, new code).

    Parameters
    ----------
    study : Path
        Study folder.

    Returns
    -------
    dict
        From paths below the study folder to the reason.

    Raises
    ------
    ComputationError
        When no plan can be made, with the last line that Snakemake says.
    """
    return {
        path: _REASONS.get(status, status)
        for path, _, status, pending in planned_files(study)
        if pending and status != "missing"
    }


def planned_files(study: Path) -> list[tuple[str, str, str, bool]]:
    """List every result of a study as the workflow plans it.

    Parameters
    ----------
    study : Path
        Study folder.

    Returns
    -------
    list of (path, rule, status, pending)
        Paths below the study folder; ``status`` in Snakemake's words.

    Raises
    ------
    ComputationError
        As `outdated_results`.
    """
    command = snakemake_command(study, RunOptions(cores=1, extra=("--summary",)))
    done = subprocess.run(  # noqa: S603 - the command is our own, no shell reads it
        command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        message = f"no plan can be made: {lines[-1] if lines else 'Snakemake says nothing'}"
        raise ComputationError(message)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    table = [row for row in rows if len(row) == 6 and row[0] != "output_file"]
    return [(row[0], row[2], row[4], row[5] == "update pending") for row in table]
