"""What Snakemake's record of the last run tells beyond the logs of the jobs."""

from __future__ import annotations

import re
from pathlib import Path

RUN_LOG = Path("logs") / "run.log"
#: What submitting commands say when they refuse; Snakemake's Slurm plugin keeps it to itself.
_REFUSED = re.compile(r"^(?:sbatch: error|qsub|bsub): .*", re.MULTILINE)
_ERROR = re.compile(r"\w+(?:Error|Exception)\b")


def read_run_log(study: Path) -> str:
    """Return the record of the last run, empty before the first.

    Parameters
    ----------
    study : Path
        Study folder.
    """
    path = study / RUN_LOG
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def refusals(record: str) -> list[str]:
    """Return what a cluster said to submissions that it refused, each once.

    Parameters
    ----------
    record : str
        From `read_run_log`.
    """
    return list(dict.fromkeys(_REFUSED.findall(record)))


def last_words(record: str) -> list[str]:
    """Return the error with which Snakemake ended, empty when it did not.

    Parameters
    ----------
    record : str
        From `read_run_log`.

    Returns
    -------
    list of str
        Its name and what follows, at most four lines.
    """
    lines = [line for line in record.splitlines() if line.strip()]
    starts = [number for number, line in enumerate(lines) if _ERROR.match(line)]
    return lines[starts[-1] :][:4] if starts else []
