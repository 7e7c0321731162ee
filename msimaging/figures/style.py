"""One style for every figure: column widths, fonts, colours, and bytes that do not change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from io import BytesIO
from typing import Any, Literal, ParamSpec

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

FileFormat = Literal["pdf", "svg", "png"]
MM_PER_INCH = 25.4
P = ParamSpec("P")

# Okabe and Ito 2008: told apart with every common form of colour blindness
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE = "#F0E442", "#0072B2", "#D55E00", "#CC79A7"
GREY, PALE = "#767676", "#E3E3E3"
NETWORK_COLOURS = (
    *(BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, YELLOW),
    *("#332288", "#999933", "#882255", "#117733", "#AA4499", "#661100", "#888888"),
)

_METADATA: dict[FileFormat, dict[str, str | None]] = {
    "pdf": {"CreationDate": None, "ModDate": None, "Producer": None, "Creator": "msimaging"},
    "svg": {"Date": None, "Creator": "msimaging"},
    "png": {"Software": None},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureStyle:
    """What a journal or a study sets about its figures.

    Attributes
    ----------
    single_width_mm, double_width_mm : float
        Widths of one and of two journal columns [mm].
    font : str
        First choice; DejaVu Sans, which matplotlib carries, stands in when it is absent.
    font_size : float
        Text [points].
    dpi : int
        Resolution of PNG and of pictures inside PDF and SVG.
    baseline, follow_up, improved, worsened, reference : str
        Colours with one meaning in all figures.
    scalar_map, diverging_map : str
        Colour maps of scalar maps and of changes (symmetric about zero).
    """

    single_width_mm: float = 85.0
    double_width_mm: float = 180.0
    font: str = "DejaVu Sans"
    font_size: float = 7.0
    dpi: int = 300
    baseline: str = BLUE
    follow_up: str = VERMILION
    improved: str = GREEN
    worsened: str = PURPLE
    reference: str = GREY
    scalar_map: str = "gray"
    diverging_map: str = "RdBu_r"


DEFAULT_STYLE = FigureStyle()


def rc_parameters(style: FigureStyle) -> dict[str, Any]:
    """Return the matplotlib settings of a style.

    Parameters
    ----------
    style : FigureStyle
        Wanted appearance.

    Returns
    -------
    dict
        For `matplotlib.rc_context`.
    """
    small = style.font_size - 1
    lines = {"axes.linewidth": 0.6, "lines.linewidth": 1.0, "patch.linewidth": 0.6}
    ticks = {f"{a}tick.{key}": v for a in "xy" for key, v in _tick_settings(small).items()}
    return {
        **mpl.rcParamsDefault,
        **lines,
        **ticks,
        "backend": mpl.rcParams["backend"],
        "font.family": ["sans-serif"],
        "font.sans-serif": [style.font, "DejaVu Sans", "Arial", "Helvetica"],
        "font.size": style.font_size,
        "axes.titlesize": style.font_size,
        "axes.labelsize": style.font_size,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.fontsize": small,
        "legend.frameon": False,
        "figure.dpi": style.dpi,
        "savefig.dpi": style.dpi,
        "image.interpolation": "nearest",
        "pdf.fonttype": 42,
        "svg.fonttype": "none",
        "svg.hashsalt": "msimaging",
    }


def _tick_settings(size: float) -> dict[str, Any]:
    return {"labelsize": size, "major.width": 0.6, "major.size": 2.5}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Let a drawing function work under its ``style`` argument, leaving global settings alone.

    Parameters
    ----------
    draw : callable
        Returns a `Figure`; its keyword ``style`` is read when given.

    Returns
    -------
    callable
        Draws, then fixes the layout so that saving twice gives the same picture.
    """

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> Figure:
        style = kwargs.get("style", DEFAULT_STYLE)
        settings = rc_parameters(style if isinstance(style, FigureStyle) else DEFAULT_STYLE)
        with mpl.rc_context(settings):
            figure = draw(*args, **kwargs)
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
        return figure

    return inside


def new_figure(width_mm: float, height_mm: float, *, layout: str | None = "constrained") -> Figure:
    """Return an empty figure of a size in millimetres, unknown to pyplot.

    Parameters
    ----------
    width_mm, height_mm : float
        Size on paper [mm].
    layout : str or None
        Matplotlib layout engine; None where axes are placed by hand.

    Returns
    -------
    Figure
        With an Agg canvas.
    """
    size = (width_mm / MM_PER_INCH, height_mm / MM_PER_INCH)
    figure = Figure(figsize=size, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def render(figure: Figure, file_format: FileFormat, *, style: FigureStyle = DEFAULT_STYLE) -> bytes:
    """Return a figure as a file's bytes; the same figure gives the same bytes.

    Parameters
    ----------
    figure : Figure
        From a drawing function.
    file_format : {"pdf", "svg", "png"}
        PDF carries its fonts, SVG its text as text.
    style : FigureStyle
        Resolution.

    Returns
    -------
    bytes
        Without any date in them.
    """
    stream = BytesIO()
    with mpl.rc_context(rc_parameters(style)):
        figure.savefig(stream, format=file_format, dpi=style.dpi, metadata=_METADATA[file_format])
    return stream.getvalue()
