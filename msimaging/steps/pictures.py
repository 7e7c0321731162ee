"""Figures on disk: every format from one drawing, its data and its caption beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, get_args

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from msimaging.figures.style import DEFAULT_STYLE, FigureStyle, FileFormat, render
from msimaging.steps.records import describe
from msimaging.tables import write_table
from msimaging.volumes import whole_file

_PICTURES = {f".{name}": name for name in get_args(FileFormat)}
_MARKS = re.compile(r"([\\*`|]|_(?=\W|$))")
#: Resolution of pictures that are looked at on a screen only.
SCREEN_DPI = 130
#: Colours of such a picture: a page with few is a third as large and looks the same.
_COLOURS = 96
#: Digits of the numbers beside a figure: more than an eye can see in it.
_DIGITS = 6


def figure_style(settings: Mapping[str, Any]) -> FigureStyle:
    """Return the style that a study's settings ask for.

    Parameters
    ----------
    settings : mapping
        ``figures.style`` of the settings.

    Returns
    -------
    FigureStyle
        Widths, font, resolution, colour maps.
    """
    return FigureStyle(**settings)


def save_figure(
    figure: Figure,
    paths: Sequence[Path | str],
    *,
    data: pd.DataFrame,
    caption: str,
    sources: Sequence[Path | str],
    style: FigureStyle = DEFAULT_STYLE,
) -> None:
    """Write one figure in every format asked for, with its data, its caption and a sidecar.

    Parameters
    ----------
    figure : Figure
        The drawing.
    paths : sequence of path
        What the rule declares: ``.pdf``, ``.svg`` and ``.png`` become pictures, ``.tsv`` the data
        and ``.rst`` the caption.
    data : DataFrame
        The numbers that are drawn, one row a mark or a panel.
    caption : str
        Plain text; goes into the sidecar too.
    sources : sequence of path
        Files that the figure shows.
    style : FigureStyle
        Resolution.
    """
    for path in map(Path, paths):
        if path.suffix == ".tsv":
            write_table(path, _rounded(data))
            continue
        if path.suffix == ".rst":
            content = f"{_as_restructured_text(caption)}\n".encode()
        else:
            content = render(figure, _PICTURES[path.suffix], style=style)
        with whole_file(path) as temporary:
            temporary.write_bytes(content)
    describe(paths[0], caption, sources=sources, alongside=paths[1:])


def save_picture(
    figure: Figure, path: Path | str, *, caption: str, sources: Sequence[Path | str]
) -> None:
    """Write a picture for the pages of the report only: small, with its caption as a sidecar.

    Parameters
    ----------
    figure : Figure
        The drawing.
    path : path
        PNG.
    caption : str
        Plain text.
    sources : sequence of path
        Files that the picture shows.
    """
    drawn = render(figure, "png", style=FigureStyle(dpi=SCREEN_DPI))
    with whole_file(path) as temporary:
        temporary.write_bytes(with_few_colours(drawn))
    describe(path, caption, sources=sources)


def with_few_colours(picture: bytes) -> bytes:
    """Make a PNG small enough for a page.

    Parameters
    ----------
    picture : bytes
        PNG; one that has a palette is returned as it is.

    Returns
    -------
    bytes
        PNG of the same size with a palette.
    """
    drawn = Image.open(BytesIO(picture))
    if drawn.mode == "P":
        return picture
    stream = BytesIO()
    drawn.convert("RGB").quantize(_COLOURS).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _as_restructured_text(text: str) -> str:
    """Escape what reStructuredText would take for markup."""
    return _MARKS.sub(r"\\\1", text)


def _rounded(data: pd.DataFrame) -> pd.DataFrame:
    floating = [name for name in data.columns if pd.api.types.is_float_dtype(data[name])]
    short = {name: data[name].map(lambda value: float(f"{value:.{_DIGITS}g}")) for name in floating}
    return data.assign(**short)
