"""Figures on disk: every format from one drawing, and the caption beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from matplotlib.figure import Figure

from msimaging.figures.style import FileFormat, render
from msimaging.steps.records import describe
from msimaging.volumes import whole_file


def write_figure(
    paths: Sequence[Path | str],
    figure: Figure,
    *,
    caption: str,
    sources: Sequence[Path | str],
) -> None:
    """Write one figure in every format asked for.

    Parameters
    ----------
    paths : sequence of path
        One a format; the extension tells which.
    figure : Figure
        The drawing.
    caption : str
        Goes into the sidecar.
    sources : sequence of path
        Files that the figure shows.
    """
    known = {f".{name}": name for name in get_args(FileFormat)}
    for path in map(Path, paths):
        content = render(figure, known[path.suffix])
        with whole_file(path) as temporary:
            temporary.write_bytes(content)
    describe(paths[0], caption, sources=sources)
