import matplotlib as mpl
import pytest

from msimaging.figures.style import (
    MM_PER_INCH,
    FigureStyle,
    new_figure,
    rc_parameters,
    render,
    styled,
)


@styled
def _draw(*, style=None):
    figure = new_figure(85, 50)
    axes = figure.subplots()
    axes.plot([0, 1, 3], [2, 1, 5])
    axes.set_title("RD of the genu")
    return figure


@pytest.mark.parametrize("file_format", ["pdf", "svg", "png"])
def test_two_drawings_give_the_same_bytes(file_format, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    first = render(_draw(), file_format)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert render(_draw(), file_format) == first


def test_no_date_and_no_version_of_the_machine_in_the_bytes():
    assert b"CreationDate" not in render(_draw(), "pdf")
    assert b"dc:date" not in render(_draw(), "svg")
    assert b"Software" not in render(_draw(), "png")


def test_pdf_carries_its_fonts_and_svg_keeps_text():
    assert b"/FontFile2" in render(_draw(), "pdf")
    assert b"RD of the genu" in render(_draw(), "svg")


def test_png_has_the_width_of_the_column_at_300_dpi():
    png = render(_draw(), "png")
    width = int.from_bytes(png[16:20], "big")
    assert width == int(85 / MM_PER_INCH * 300)


def test_global_settings_are_left_alone():
    before = dict(mpl.rcParams)
    render(_draw(style=FigureStyle(font_size=11)), "png")
    assert dict(mpl.rcParams) == before


def test_the_style_reaches_the_text():
    figure = _draw(style=FigureStyle(font_size=11))
    assert figure.axes[0].title.get_fontsize() == 11
    assert rc_parameters(FigureStyle(dpi=150))["savefig.dpi"] == 150
