"""What a run was: command, versions, settings, inputs and outcome, in one file a run."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from msimaging.bids.layout import output
from msimaging.bids.ledger import Entry
from msimaging.bids.plan import Plan
from msimaging.provenance import file_digest, library_versions, version
from msimaging.settings import WORKFLOW, read_settings
from msimaging.study.run_log import read_run_log
from msimaging.tables import write_json

FOLDER = Path("runs")
_TABLES = ("config.yaml", "visits.tsv", "scans.tsv", "exclusions.tsv")
_STARTED = re.compile(r"^(?:local)?rule (\w+):", re.MULTILINE)


def record_run(
    study: Path,
    *,
    started: datetime,
    arguments: Sequence[str],
    command: Sequence[str],
    code: int,
    entries: Iterable[Entry],
) -> Path:
    """Write the record of a run that has ended.

    Parameters
    ----------
    study : Path
        Study folder.
    started : datetime
        With its time zone.
    arguments, command : sequence of str
        What the user called, and the call of Snakemake behind it.
    code : int
        Exit code.
    entries : iterable of Entry
        The ledger after the run.

    Returns
    -------
    Path
        ``STUDY/runs/<time>.json``. Digests of the scans are those that the steps recorded when
        they read them.
    """
    settings = read_settings(study / "config.yaml")
    jobs = Counter(_STARTED.findall(read_run_log(study)))
    for name in ("default", "all"):
        jobs.pop(name, None)
    content: dict[str, Any] = {
        "Started": started.isoformat(timespec="seconds"),
        "Ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "ExitCode": code,
        "Arguments": list(arguments),
        "Command": list(command),
        "Versions": _versions(),
        "Git": git_state(WORKFLOW),
        "Platform": platform.platform(),
        "Jobs": dict(sorted(jobs.items())),
        "States": dict(sorted(Counter(entry.state for entry in entries).items())),
        "Settings": settings,
        "TableDigests": {
            name: file_digest(study / name) for name in _TABLES if (study / name).exists()
        },
        "InputDigests": _input_digests(study, Plan.of_study(study, settings)),
    }
    path = study / FOLDER / f"{started.astimezone(UTC):%Y%m%dT%H%M%SZ}.json"
    write_json(path, content)
    return path


def _versions() -> dict[str, str]:
    return {
        "msimaging": version(),
        "python": platform.python_version(),
        "snakemake": metadata.version("snakemake"),
        **library_versions(),
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return commit and state of a clone.

    Parameters
    ----------
    folder : Path
        Root of the clone.

    Returns
    -------
    dict or None
        ``Commit``, and whether tracked files were changed since (``Modified``); None where the
        folder is no clone or there is no git.
    """
    try:
        answers = [
            subprocess.run(  # noqa: S603 - fixed arguments
                ["git", "-C", str(folder), *arguments],  # noqa: S607 - the git of the user
                capture_output=True,
                text=True,
                check=True,
                timeout=30,
            ).stdout.strip()
            for arguments in (
                ("rev-parse", "--show-toplevel"),
                ("rev-parse", "HEAD"),
                ("status", "--porcelain", "--untracked-files=no"),
            )
        ]
    except (OSError, subprocess.SubprocessError):
        return None
    top, commit, status = answers
    if Path(top).resolve() != folder.resolve():
        return None
    return {"Commit": commit, "Modified": bool(status)}


def _input_digests(study: Path, plan: Plan) -> dict[str, str]:
    """Gather the digests of the scans' files from the sidecars of what was made of them first."""
    task = plan.settings["functional"]["task"]
    digests: dict[str, str] = {}
    for modality, key in (("dwi", "dwi_sidecar"), ("bold", "bold_sidecar")):
        for visit in plan.visits_with("dwi" if modality == "dwi" else "bold"):
            path = output(key, sub=visit.participant_id, ses=visit.session_id, task=task)
            if (study / path).exists():
                record = json.loads((study / path).read_text(encoding="utf-8"))
                digests |= record.get("SourceDigests", {})
    return digests
