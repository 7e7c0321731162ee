"""One thread for ITK, so that sums are added in one order on every machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import SimpleITK as sitk  # the name its own manual uses


@contextmanager
def one_thread() -> Iterator[None]:
    """Hold ITK to one thread; what it was set to before comes back at the end.

    Yields
    ------
    None
        The global default is set: some filters (N4's spline fit) ignore their own number.
    """
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
