"""A word to the user at the end of a run, by a command of the user's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: A mail or a web hook that takes longer is given up.
_PATIENCE = 60.0


def notify(settings: Mapping[str, Any], summary: str, *, study: Path, code: int) -> str:
    """Give the summary of a run to the command of the settings.

    Parameters
    ----------
    settings : mapping
        Section ``notify`` of the settings.
    summary : str
        Goes to the command's standard input.
    study : Path
        Told as ``MSIMAGING_STUDY``.
    code : int
        Exit code of the run, told as ``MSIMAGING_EXIT_CODE``.

    Returns
    -------
    str
        Why the command failed, empty when it did not; the result of the run stays what it is.
    """
    command = settings["command"]
    if not command or (settings["when"] == "problems" and code == 0):
        return ""
    environment = {**os.environ, "MSIMAGING_STUDY": str(study), "MSIMAGING_EXIT_CODE": str(code)}
    try:
        done = subprocess.run(  # noqa: S602 - the user's own shell line, from the user's settings
            command,
            shell=True,
            input=summary,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the notify command failed: {error}"
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        return " ".join([f"the notify command ended with {done.returncode}", *last])
    return ""
