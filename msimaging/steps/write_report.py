"""Step: the HTML report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msimaging.volumes import whole_file


def write_report(
    *, study: str, settings: Mapping[str, Any], figures: Sequence[str], out_page: str
) -> None:
    """Write the report.

    Parameters
    ----------
    study : str
        Study folder.
    settings : mapping
        Complete settings.
    figures : sequence of str
        Figures in the order of the plan.
    out_page : str
        ``index.html``.
    """
    with whole_file(out_page) as temporary:
        temporary.write_text("<!doctype html><title>msimaging</title>", encoding="utf-8")
