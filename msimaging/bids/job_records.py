"""What a job leaves of itself: words of log and sidecar, and which files of an entry are its own.

Every step needs these few; whoever plans jobs is not imported here, so that a change of the plan
does not count as a change of every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Begins the first line of a log; Snakemake leaves an empty one of a job that was never started.
BEGIN = "began on "
#: Begins the one line of a log that tells why a step failed.
FAILURE = "FAILED because: "
#: Begins the last line of the log of a job that came to its end.
END = "done in "
#: Begins what the sidecar of a transform says where it leads over no T1w.
DIRECTLY = "none: "


def files_written(part: Mapping[str, Any]) -> list[str]:
    """Return the files of a visit or pair whose names in its entry begin with ``out_``."""
    found: list[str] = []
    for name, files in part.items():
        if name.startswith("out_"):
            several = files.values() if isinstance(files, Mapping) else files
            found += [files] if isinstance(files, str) else several
    return found


def connected_files(visit: Mapping[str, Any]) -> list[str]:
    """Return what the connectivity of a visit becomes, of an entry of `connected_visits`."""
    names = ("denoised", "variances", "strengths", "networks", "matrices")
    return [path for name in names for path in visit[name]]
