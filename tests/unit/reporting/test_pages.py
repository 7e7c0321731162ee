import html
import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest

from msimaging.reporting.content import FigureContent, SectionContent, TableContent, VolumeContent
from msimaging.reporting.names import page_name
from msimaging.reporting.pages import MOST_ROWS, change_table, report_pages
from msimaging.reporting.pictures import display_width, inline_svg


class _Reader(HTMLParser):
    """Collects scripts, addresses and text of a page as a browser would."""

    def __init__(self):
        super().__init__()
        self.scripts, self.addresses, self.text, self.tags = 0, [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.scripts += tag == "script"
        self.addresses += [v for k, v in attributes if k in {"src", "href", "xlink:href"} and v]

    def handle_data(self, data):
        self.text.append(data)


def _pages(content):
    return dict(report_pages(content))


def _read(page):
    reader = _Reader()
    reader.feed(page)
    return reader


def test_every_page_is_there_and_every_link_leads_to_one(content):
    pages = _pages(content)
    assert {
        "index.html",
        "quality.html",
        "methods.html",
        "ledger.html",
        "patient-sub-01.html",
    } < set(pages)
    assert len(pages) == 4 + 3
    for page in pages.values():
        for address in _read(page).addresses:
            assert address.startswith(("data:", "#")) or address in pages


def test_nothing_outside_is_named(content):
    for page in _pages(content).values():
        assert not re.search(r"https?:|//[a-z]+\.", page)


def test_hostile_names_are_text(content, hostile):
    plain = _pages(
        replace(
            content,
            patients=content.patients[:1],
            patient_table=content.patient_table[:1],
            scans=content.scans[:1],
            ledger=pd.DataFrame(),
        )
    )
    for name, page in _pages(content).items():
        assert "<script>alert" not in page
        if name in {"index.html", "ledger.html", "quality.html"}:
            assert hostile in "".join(_read(page).text)
            assert _read(page).scripts == _read(plain[name]).scripts


def test_quotes_in_comments_survive_as_text(content):
    pages = _pages(content)
    assert 'moved "a lot" & <b>slept</b>' in "".join(_read(pages["ledger.html"]).text)
    assert "b" not in _read(pages["ledger.html"]).tags
    value = re.search(r'name="comment" value="([^"]*)"', pages["quality.html"]).group(1)
    assert html.unescape(value) == 'moved "a lot" & <b>slept</b>'


def test_identifying_fields_are_on_no_page(content):
    text = "".join(_pages(content).values())
    for word in ("Jane Roe", "PatientName", "19700101", "InstitutionName", "Clinic"):
        assert word not in text


def test_masked_columns_are_on_no_page_of_single_patients(content):
    shown = _pages(content)["patient-sub-01.html"]
    masked = _pages(replace(content, masked_columns=("arm",)))
    assert "verum" in shown
    assert "verum" not in "".join(masked.values())
    assert "Masked for blind rating: arm" in masked["quality.html"]


def test_verdicts_are_told_in_words(content):
    text = "".join(_read(_pages(content)["patient-sub-01.html"]).text)
    assert "RD: of 3, 1 detectable and reliable, 1 within the noise, 1 not judged." in text
    assert change_table(content.patients[0].changes).table["verdict"].tolist() == [
        "detectable and reliable",
        "within the noise",
        "not judged",
    ]


def test_what_every_row_shares_goes_into_the_caption(content):
    table = change_table(content.patients[0].changes)
    assert table.caption == "Of all rows: modality: dwi; atlas: whitematter; measure: rd."
    assert list(table.table.columns) == ["label", "verdict", "change", "baseline_value"]


def test_patient_ids_in_tables_lead_to_their_pages(content):
    addresses = _read(_pages(content)["quality.html"]).addresses
    assert addresses.count("patient-sub-10.html") == 2


def test_the_viewer_is_one_file_and_only_where_it_is_used(content):
    volume = VolumeContent(name="FA", nifti=b"\x1f\x8b", cal_min=0, cal_max=0.8)
    seen = replace(content.patients[0], volumes=(volume,))
    with_viewer = replace(content, patients=(seen, *content.patients[1:]), viewer="/* niivue */")
    pages = _pages(with_viewer)
    assert pages["niivue.js"] == "/* niivue */"
    assert '<script src="niivue.js">' in pages["patient-sub-01.html"]
    assert "niivue.js" not in pages["patient-sub-10.html"]
    without = _pages(replace(with_viewer, viewer=""))
    assert "niivue.js" not in without
    assert "canvas" not in _read(without["patient-sub-01.html"]).tags


@pytest.mark.parametrize(
    ("first", "second"), [("a_b", "a b"), ("a/../b", "a..b"), ("<", "_3c_"), ("A", "a")]
)
def test_page_names_are_safe_and_different(first, second):
    assert page_name(first) != page_name(second)
    assert re.fullmatch(r"patient-[A-Za-z0-9_-]+\.html", page_name(first))


def test_a_cut_table_says_so(content):
    long = TableContent(title="Long", table=pd.DataFrame({"x": range(MOST_ROWS + 5)}))
    page = _pages(replace(content, cohort=(SectionContent(title="L", tables=(long,)),)))
    assert f"The first {MOST_ROWS} of {MOST_ROWS + 5} rows" in page["index.html"]


def test_pictures_wait_until_they_are_seen(content):
    page = _pages(content)["patient-sub-01.html"]
    assert page.count("<img") == page.count('loading="lazy"') == 3


def test_widths_on_screen_follow_widths_on_paper():
    svg = FigureContent(
        title="", caption="", picture=b'<svg a="1" width="510.24pt">', media_type="image/svg+xml"
    )
    assert display_width(svg) == "min(100%, 71.0rem)"
    assert inline_svg(replace(svg, picture=b'<?xml?><svg width="1pt"/>')) == '<svg width="1pt"/>'
