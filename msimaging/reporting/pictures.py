"""Pictures and volumes inside a page: data addresses, inline drawings, size on the screen."""

from __future__ import annotations

import base64
import re

from markupsafe import Markup

from msimaging.reporting.content import FigureContent, VolumeContent

_PAGE_MM, _PAGE_REM = 180.0, 71.0  # a figure of two columns fills the page
_PNG_DPI, _PT_PER_INCH, _MM_PER_INCH = 300.0, 72.0, 25.4


def display_width(figure: FigureContent) -> str:
    """Return the width on the screen, in proportion to the width on paper.

    Parameters
    ----------
    figure : FigureContent
        PNG of 300 dpi, or SVG with its width in points.

    Returns
    -------
    str
        A length for a style sheet.
    """
    if figure.media_type == "image/png":
        inches = int.from_bytes(figure.picture[16:20], "big") / _PNG_DPI
    else:
        found = re.search(rb'<svg[^>]*\bwidth="([0-9.]+)pt"', figure.picture)
        inches = float(found.group(1)) / _PT_PER_INCH if found else _PAGE_MM / _MM_PER_INCH
    return f"min(100%, {inches * _MM_PER_INCH / _PAGE_MM * _PAGE_REM:.1f}rem)"


def picture_source(figure: FigureContent) -> str:
    """Return a picture as a data address.

    Parameters
    ----------
    figure : FigureContent
        SVG or PNG.

    Returns
    -------
    str
        For the ``src`` of an image.
    """
    return f"data:{figure.media_type};base64,{base64.b64encode(figure.picture).decode()}"


def inline_svg(figure: FigureContent) -> Markup:
    """Return an SVG of our own making as part of the page, so that its links work.

    Parameters
    ----------
    figure : FigureContent
        SVG from `figures.style.render`, which escapes every text in it.

    Returns
    -------
    Markup
        The ``svg`` element without the file's head, metadata and namespaces, which HTML knows
        without being told; so no outside address stands in the page.
    """
    text = figure.picture.decode("utf-8")
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    head, rest = text.split(">", 1)
    head = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", head)
    return Markup(f"{head}>{rest}")  # noqa: S704 drawn by ourselves, texts escaped by matplotlib


def volume_list(volumes: tuple[VolumeContent, ...]) -> list[dict[str, object]]:
    """Return the volumes as the viewer reads them.

    Parameters
    ----------
    volumes : tuple of VolumeContent
        Background first.

    Returns
    -------
    list of dict
        Plain values for JSON.
    """
    return [
        {
            "name": volume.name,
            "data": base64.b64encode(volume.nifti).decode(),
            "cal_min": volume.cal_min,
            "cal_max": volume.cal_max,
            "colormap": volume.colormap,
            "colormapNegative": volume.colormap_negative,
            "opacity": volume.opacity,
        }
        for volume in volumes
    ]
