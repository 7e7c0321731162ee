"""Numbers of every volume of a scan as traces below each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from msimaging.figures.style import DEFAULT_STYLE, FigureStyle, new_figure, styled


@styled
def draw_traces(
    traces: Mapping[str, NDArray[np.float64]],
    *,
    xlabel: str,
    spacing: float = 1.0,
    style: FigureStyle = DEFAULT_STYLE,
) -> Figure:
    """Draw one panel per trace on a common axis; an empty one says that it is not known.

    Parameters
    ----------
    traces : mapping of str to NDArray (T,)
        Values by their label.
    xlabel : str
        Of the common axis.
    spacing : float
        Distance of two volumes on that axis.
    style : FigureStyle
        Appearance.

    Returns
    -------
    Figure
        Two columns wide.
    """
    figure = new_figure(style.double_width_mm, 10 + 20 * len(traces))
    panels = figure.subplots(len(traces), 1, sharex=True, squeeze=False).ravel()
    for axes, (label, values) in zip(panels, traces.items(), strict=True):
        places = np.arange(len(values)) * spacing
        axes.set_ylabel(label)
        axes.set_xlim(0, max(len(values) - 1, 1) * spacing)
        if np.isfinite(values).any():
            axes.plot(places, values, color=style.baseline, lw=0.8)
            axes.set_ylim(min(0.0, float(np.nanmin(values))), None)
        else:
            words = "not known: the step behind it did not run"
            axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center")
            axes.set_yticks([])
    panels[-1].set_xlabel(xlabel)
    return figure


def caption_traces(traces: Mapping[str, NDArray[np.float64]], *, of: str) -> str:
    """Return a caption with mean and largest value of each trace.

    Parameters
    ----------
    traces : mapping of str to NDArray (T,)
        What was drawn.
    of : str
        The scan in words.

    Returns
    -------
    str
        Plain text.
    """
    told = [
        f"{label} mean {np.nanmean(values):.3g}, largest {np.nanmax(values):.3g}"
        if np.isfinite(values).any()
        else f"{label} not known"
        for label, values in traces.items()
    ]
    return f"Volume by volume of the {of}: {'; '.join(told)}."
