"""Which results a run would compute again, asked of the workflow itself."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from msimaging.bids.plan import Plan
from msimaging.errors import ComputationError
from msimaging.settings import read_settings
from msimaging.study.integrity import find_damage
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
    ``run`` would act on, whatever the reason (edited scans and settings, new visits, new code), and
    so is what was deleted, altered or left by a killed run since.

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
    plan = Plan.of_study(study, read_settings(study / "config.yaml"))
    planned = {file.path: file.reason for file in planned_files(study) if file.outdated}
    return planned | {damage.path: str(damage) for damage in find_damage(study, plan)}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFile:
    """One result of a study, as the workflow plans it.

    Attributes
    ----------
    path, rule : str
        Below the study folder, and what makes it.
    log : str
        Log of the job that made it; the same for all results of a job, empty before it has run.
    inputs : tuple of str
        What it was made from; empty before.
    status : str
        In Snakemake's words.
    pending : bool
        Whether a run would make it.
    """

    path: str
    rule: str
    log: str
    inputs: tuple[str, ...]
    status: str
    pending: bool

    @property
    def outdated(self) -> bool:
        """Return whether it is there and a run would replace it."""
        return self.pending and self.status != "missing"

    @property
    def reason(self) -> str:
        """Return why a run would replace it, in words for people."""
        return _REASONS.get(self.status, self.status)


def planned_files(study: Path) -> list[PlannedFile]:
    """List every result of a study as the workflow plans it.

    Parameters
    ----------
    study : Path
        Study folder.

    Returns
    -------
    list of PlannedFile
        Every file that a rule names.

    Raises
    ------
    ComputationError
        As `outdated_results`.
    """
    command = snakemake_command(study, RunOptions(cores=1, extra=("--detailed-summary",)))
    done = subprocess.run(  # noqa: S603 - the command is our own, no shell reads it
        command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        message = f"no plan can be made: {lines[-1] if lines else 'Snakemake says nothing'}"
        raise ComputationError(message)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return [
        PlannedFile(
            path=row[0],
            rule=row[2],
            log="" if row[3] == "-" else row[3],
            inputs=tuple(name for name in row[4].split(",") if name not in {"", "-"}),
            status=row[6],
            pending=row[7] == "update pending",
        )
        for row in rows
        if len(row) == 8 and row[0] != "output_file"
    ]
