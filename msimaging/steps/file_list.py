"""The list of all that a job for a whole patient has written, which stands for its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

import pandas as pd

from msimaging.bids.job_records import files_written
from msimaging.provenance import file_digest
from msimaging.steps.records import describe
from msimaging.tables import write_table


def write_list(parts: Iterable[Mapping[str, Any]], path: str, text: str) -> None:
    """Write the names and digests of all files of a job.

    Snakemake takes a small file of the same content for unchanged, however new it is: with the
    digests the list is another one as soon as any file that it stands for is.

    Parameters
    ----------
    parts : iterable of mapping
        Visits and pairs; names of what is written begin with ``out_``.
    path : str
        Table with a row a file; what waits for the files waits for it.
    text : str
        What the files are, in one sentence.
    """
    files = [file for part in parts for file in files_written(part)]
    rows = [{"file": PurePosixPath(file).name, "digest": file_digest(file)} for file in files]
    write_table(path, pd.DataFrame(rows, columns=["file", "digest"]))
    columns = {"file": "Name of the file.", "digest": "SHA-256 of its content."}
    describe(path, text, sources=[], columns=columns)
