"""Several visits or pairs in one job: what is wrong with one costs the others nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msimaging.errors import InputError, MsimagingError


def one_by_one(parts: Iterable[Any], work: Callable[[Any], None]) -> None:
    """Do the same work for each part, and tell of all that failed at the end.

    Parameters
    ----------
    parts : iterable
        Visits or pairs.
    work : callable
        Takes one of them.

    Raises
    ------
    InputError
        With the findings of every part whose input cannot be used.
    MsimagingError
        With one line a failure, where some were of another kind.
    """
    failures: list[MsimagingError] = []
    for part in parts:
        try:
            work(part)
        except MsimagingError as failure:
            failures.append(failure)
    inputs = [failure for failure in failures if isinstance(failure, InputError)]
    if len(inputs) < len(failures):
        raise MsimagingError("\n".join(dict.fromkeys(map(str, failures))))
    if inputs:
        raise InputError(dict.fromkeys(one for failure in inputs for one in failure.findings))
