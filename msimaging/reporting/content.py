"""What a report shows, as plain data: tables, pictures, volumes, texts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd

from msimaging.reporting.methods import MethodsText

MediaType = Literal["image/svg+xml", "image/png"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureContent:
    """One picture with its words.

    Attributes
    ----------
    title, caption : str
        Plain text.
    picture : bytes
        SVG or PNG.
    media_type : {"image/png", "image/svg+xml"}
        Kind of `picture`.
    inline : bool
        Put an SVG of our own making into the page itself, so that the links in it work.
    """

    title: str
    caption: str
    picture: bytes
    media_type: MediaType = "image/png"
    inline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableContent:
    """One table with its words.

    Attributes
    ----------
    title, caption : str
        Plain text.
    table : DataFrame
        Shown as it is; patients' ids become links, missing becomes n/a.
    """

    title: str
    table: pd.DataFrame
    caption: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SectionContent:
    """A part of a page under one heading.

    Attributes
    ----------
    title : str
        Heading.
    paragraphs : tuple of str
        Plain text.
    figures : tuple of FigureContent
        Pictures, in order.
    tables : tuple of TableContent
        Tables, below the pictures.
    """

    title: str
    paragraphs: tuple[str, ...] = ()
    figures: tuple[FigureContent, ...] = ()
    tables: tuple[TableContent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonContent:
    """Two visits pictured alike (same slices, same window), to flicker between.

    Attributes
    ----------
    title : str
        What is compared ("FA").
    baseline, follow_up : FigureContent
        Pictures of one size; their titles name the visits.
    difference : FigureContent or None
        Picture of the change, of the same size.
    """

    title: str
    baseline: FigureContent
    follow_up: FigureContent
    difference: FigureContent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeContent:
    """One volume for the interactive viewer.

    Attributes
    ----------
    name : str
        Shown beside its switch.
    nifti : bytes
        A ``.nii.gz`` file; small integers with a slope keep the page small.
    cal_min, cal_max : float
        Display window.
    colormap, colormap_negative : str
        NiiVue colour maps; the negative one only for changes.
    opacity : float
        From 0 (hidden at first) to 1.
    """

    name: str
    nifti: bytes
    cal_min: float
    cal_max: float
    colormap: str = "gray"
    colormap_negative: str = ""
    opacity: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientContent:
    """One patient's page.

    Attributes
    ----------
    participant_id : str
        Id of the dataset.
    facts : mapping of str to str
        Few words on the patient (visits, months, arm).
    changes : DataFrame
        The patient's rows of ``changes.tsv``.
    comparisons : tuple of ComparisonContent
        Visits side by side.
    volumes : tuple of VolumeContent
        For the viewer; the first is the background.
    sections : tuple of SectionContent
        Whatever else is shown.
    """

    participant_id: str
    facts: Mapping[str, str] = field(default_factory=dict)
    changes: pd.DataFrame = field(default_factory=pd.DataFrame)
    comparisons: tuple[ComparisonContent, ...] = ()
    volumes: tuple[VolumeContent, ...] = ()
    sections: tuple[SectionContent, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanContent:
    """One scan that can be rated.

    Attributes
    ----------
    participant_id, session_id, modality : str
        Which scan.
    rating : {"", "accept", "doubtful", "exclude"}
        Rating given before.
    comment : str
        Comment given before.
    flags : str
        What the pipeline noticed.
    pictures : iterable of FigureContent
        By which the scan is judged; read once, when its page is written.
    numbers : DataFrame
        ``number value units description``.
    """

    participant_id: str
    session_id: str
    modality: str
    rating: Literal["", "accept", "doubtful", "exclude"] = ""
    comment: str = ""
    flags: str = ""
    pictures: Iterable[FigureContent] = ()
    numbers: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportContent:
    """Everything in a report.

    Attributes
    ----------
    title : str
        Name of the study.
    banner : str
        A warning above every page ("Exploratory and uncontrolled: ..."); empty for none.
    version : str
        Version of msimaging.
    patients : iterable of PatientContent
        A page each, in the order of `patient_table`; read once, one after the other.
    patient_table : DataFrame
        One row per patient on the cohort page; ``participant_id`` and any other columns.
    cohort : tuple of SectionContent
        The cohort page.
    quality : tuple of SectionContent
        The quality page.
    scans : tuple of ScanContent
        Rating form of the quality page.
    methods : MethodsText
        The methods page.
    ledger : DataFrame
        ``step participant_id session_id state reason``.
    masked_columns : tuple of str
        Columns (for example "arm") kept out of every table and fact of single patients.
    blind : bool
        Show the scans under codes and hold back every other page.
    viewer : str
        Source of NiiVue (`viewer.niivue_source`); empty leaves the pictures only.
    """

    title: str
    banner: str = ""
    version: str = ""
    patients: Iterable[PatientContent] = ()
    patient_table: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=["participant_id"])
    )
    cohort: tuple[SectionContent, ...] = ()
    quality: tuple[SectionContent, ...] = ()
    scans: tuple[ScanContent, ...] = ()
    methods: MethodsText = field(default_factory=MethodsText)
    ledger: pd.DataFrame = field(default_factory=pd.DataFrame)
    masked_columns: tuple[str, ...] = ()
    blind: bool = False
    viewer: str = ""
