"""What every step writes beside its result: sidecars with sources, and the log of the job."""

from __future__ import annotations

import logging
import os
import re
import resource
import socket
import sys
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msimaging.bids.derivatives import is_derivative, link_of
from msimaging.bids.job_records import BEGIN, END, FAILURE
from msimaging.bids.layout import DERIVATIVES
from msimaging.errors import Finding, MsimagingError
from msimaging.provenance import file_digest, version
from msimaging.tables import sidecar_of, write_json

#: Derivatives that are kept inside the raw dataset, such as lesion masks.
_DERIVED = re.compile(r"/(derivatives/[^/]+)$")
_LOGGER = logging.getLogger(__name__)
#: What Linux tells of this process.
_STATUS = Path("/proc/self/status")


def describe(
    path: Path | str,
    description: str,
    *,
    sources: Iterable[Path | str],
    columns: Mapping[str, str] | None = None,
    alongside: Iterable[Path | str] = (),
    **fields: Any,
) -> None:
    """Write the JSON sidecar of an output, with its digest and those of its sources.

    Parameters
    ----------
    path : path
        The image or table that is described; it has been written before.
    description : str
        One sentence.
    sources : iterable of path
        Files from which the output was computed; their digests are recorded.
    columns : mapping, optional
        From column names to descriptions, for tables.
    alongside : iterable of path, optional
        Other files of this result in the same folder, which share the sidecar.
    **fields
        Further BIDS fields, such as ``Units`` or ``Model``; None is left out.
    """
    content: dict[str, Any] = {"Description": description}
    content |= {key: value for key, value in fields.items() if value is not None}
    digests = {source_uri(source): file_digest(source) for source in sources}
    written = (Path(path), *map(Path, alongside))
    content["Digests"] = {file.name: file_digest(file) for file in written}
    content["Sources"] = list(digests)
    content["SourceDigests"] = digests
    content["GeneratedBy"] = [{"Name": "msimaging", "Version": version()}]
    for name, text in (columns or {}).items():
        content[name] = {"Description": text}
    write_json(sidecar_of(path), content)


def source_uri(path: Path | str) -> str:
    """Return the BIDS URI of a file: of these results, of other derivatives, or of the raw dataset.

    Parameters
    ----------
    path : path
        A file below the derivatives, or a scan's file.

    Returns
    -------
    str
        The path itself for files outside both, such as a user's atlas.

    Examples
    --------
    >>> source_uri("derivatives/msimaging/sub-1/dwi/x.nii.gz")
    'bids::sub-1/dwi/x.nii.gz'
    >>> source_uri("/data/trial/sub-1/ses-a/dwi/sub-1_ses-a_dwi.json")
    'bids:raw:sub-1/ses-a/dwi/sub-1_ses-a_dwi.json'
    >>> source_uri("/data/trial/derivatives/lesions/sub-1/ses-a/dwi/x_mask.nii.gz")
    'bids:raw:derivatives/lesions/sub-1/ses-a/dwi/x_mask.nii.gz'
    """
    text = str(path)
    _, inside, below = text.rpartition(f"{DERIVATIVES}/")
    if inside:
        return f"bids::{below}"
    above, folder, scan = text.partition("/sub-")
    if not folder:
        return text
    derived = _DERIVED.search(above)
    if derived:
        return f"bids:raw:{derived[1]}/sub-{scan}"
    return f"bids:{link_of(above) if is_derivative(above) else 'raw'}:sub-{scan}"


@contextmanager
def job_log(path: Path | str) -> Iterator[None]:
    """Write to a log where a job began, what it reports, and its end or why it failed.

    Parameters
    ----------
    path : path
        The rule's log.

    Raises
    ------
    SystemExit
        After an error that msimaging raises on purpose: people need its message, not a traceback.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=path, filemode="w", level=logging.INFO, format="%(message)s")
    logging.captureWarnings(capture=True)
    warnings.simplefilter("once")
    started = time.perf_counter()
    _LOGGER.info("%s%s", BEGIN, _where())
    try:
        yield
    except MsimagingError as error:
        for line in str(error).splitlines():
            _LOGGER.log(logging.ERROR, "%s%s", FAILURE, line)
            sys.stderr.write(f"{FAILURE}{line}\n")
        raise SystemExit(1) from error
    except BaseException as error:
        reason = f"{type(error).__name__}: {error}".replace("\n", " ")
        _LOGGER.exception("%s%s", FAILURE, reason)
        raise
    told = f"{time.perf_counter() - started:.1f} s, processor {time.process_time():.1f} s"
    _LOGGER.info("%s%s, peak memory %.0f MB", END, told, peak_memory())


def _where() -> str:
    number = os.environ.get("SLURM_JOB_ID")
    return f"{socket.gethostname()}{f', Slurm job {number}' if number else ''}"


def peak_memory() -> float:
    """Return the largest resident memory that this process has had, in MB."""
    # of this program alone: getrusage also counts what its parent held before it started it
    if _STATUS.exists():
        told = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
        if told:
            return int(told[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def report(findings: Iterable[Finding]) -> None:
    """Write warnings and notes about an input to the job's log.

    Parameters
    ----------
    findings : iterable of Finding
        What the checks noticed besides errors.
    """
    for finding in findings:
        _LOGGER.info("%s: %s", finding.severity, finding)
