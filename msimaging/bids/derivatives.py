"""Find what fMRIPrep and QSIPrep have preprocessed, and which files of theirs belong together.

Names are those of fMRIPrep 20.2 LTS and later and of QSIPrep 0.6 and later (``space-T1w``, then
``space-ACPC``). Of every run all spaces in which it can enter are listed, the preferred one first.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from msimaging.bids.index import IMAGE_EXTENSIONS, IndexedVisit, MetadataFiles, walk_visits
from msimaging.bids.names import BidsName, natural_key, parse_name
from msimaging.bids.scans import Scan
from msimaging.bids.visits import MODALITIES, Modality, Visits
from msimaging.errors import ConfigError, Finding

#: Pipelines by their names in lower case: how they write themselves, and what they preprocess.
PIPELINES: Mapping[str, tuple[str, Modality]] = {
    "fmriprep": ("fMRIPrep", "bold"),
    "qsiprep": ("QSIPrep", "dwi"),
}
#: Spaces of the MNI152 family, in which atlases can be laid on a run as it is.
TEMPLATE_FAMILY = "MNI152"
_PREFERRED_TEMPLATE = "MNI152NLin2009cAsym"
#: Spaces of the patient, from which a run takes the way of a raw one to the template.
_OWN_SPACES = ("T1w", "anat", "ACPC", "", "boldref", "func")
#: Entities that name the grid on which an image lies.
_GRID = ("space", "cohort", "res", "den")
#: Entities that a raw scan does not have.
_ADDED = (*_GRID, "desc", "hash")
_MASK = (("brain", "mask"),)
_CONFOUNDS = (("confounds", "timeseries"), ("confounds", "regressors"), (None, "confounds"))


def index_derivatives(folder: Path, bids_dir: Path) -> tuple[IndexedVisit, ...]:
    """List the visits that a pipeline has preprocessed.

    Parameters
    ----------
    folder : Path
        The pipeline's output, with ``dataset_description.json``.
    bids_dir : Path
        The raw dataset; paths below it are given relative to it, others from the root.

    Returns
    -------
    tuple of IndexedVisit
        With the scans of the pipeline's modality only.

    Raises
    ------
    ConfigError
        When the folder is not the output of a pipeline that is known.
    """
    pipeline, modality = _pipeline_of(folder)
    metadata = MetadataFiles(folder)
    inside = folder.is_relative_to(bids_dir)
    root = folder.relative_to(bids_dir).as_posix() if inside else str(folder)
    prefix = "" if root == "." else f"{root}/"

    def scans_of(session: Path) -> dict[str, tuple[Scan, ...]]:
        images = metadata.images(session, modality)
        found = [(path, name) for path, name in images if _can_enter(name)]
        found.sort(key=lambda item: _preference(item[1]))
        scans = (_scan(path, name, metadata, prefix) for path, name in found)
        return {modality: tuple(replace(scan, pipeline=pipeline) for scan in scans)}

    visits = walk_visits(folder, scans_of)
    if not any(scan for visit in visits for scan in visit.scans[modality]):
        rule = f"the output of {pipeline} must hold images desc-preproc_{modality} of patients"
        raise ConfigError([_fault(folder, rule, f"none in {len(visits)} visits")])
    return visits


def _pipeline_of(folder: Path) -> tuple[str, Modality]:
    rule = (
        "a folder of derivatives must say in dataset_description.json that it is of "
        + " or ".join(name for name, _ in PIPELINES.values())
    )
    path = folder / "dataset_description.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ConfigError([_fault(folder, rule, str(error))]) from error
    made_by = content.get("GeneratedBy") or [content.get("PipelineDescription") or {}]
    for maker in made_by:
        name = str(maker.get("Name", ""))
        if name.lower() in PIPELINES:
            shown, modality = PIPELINES[name.lower()]
            return f"{shown} {maker.get('Version', '')}".strip(), modality
    names = ", ".join(str(maker.get("Name")) for maker in made_by)
    raise ConfigError([_fault(folder, rule, names)])


@cache
def is_derivative(folder: str) -> bool:
    """Tell whether a folder says of itself that it is a dataset of derivatives."""
    try:
        text = Path(folder, "dataset_description.json").read_text(encoding="utf-8-sig")
        content = json.loads(text)
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("DatasetType") == "derivative"


def link_of(folder: str) -> str:
    """Return the name under which a dataset of derivatives is linked, from that of its folder.

    Examples
    --------
    >>> link_of("/data/bids/derivatives/fmriprep-20.2.7")
    'fmriprep2027'
    """
    return "".join(filter(str.isalnum, Path(folder).name)) or "derivatives"


def _fault(folder: Path, rule: str, found: str) -> Finding:
    remedy = "Give the folder in which the pipeline wrote its sub- folders."
    return Finding(where=str(folder), rule=rule, found=found, remedy=remedy)


def _can_enter(name: BidsName) -> bool:
    """Tell whether an image is a whole preprocessed run in a space that leads to the template."""
    space = name.entities.get("space", "")
    known = space.startswith(TEMPLATE_FAMILY) or space in _OWN_SPACES
    return name.entities.get("desc") == "preproc" and known and "echo" not in name.entities


def _preference(name: BidsName) -> tuple[object, ...]:
    """Sort runs as they are, and of each run the template's space first, at its own resolution."""
    run = [f"{key}-{label}" for key, label in name.entities.items() if key not in _GRID]
    space, res = name.entities.get("space", ""), name.entities.get("res", "")
    own = _OWN_SPACES.index(space) if space in _OWN_SPACES else -1
    return natural_key("_".join(run)), own, space != _PREFERRED_TEMPLATE, space, natural_key(res)


def _scan(path: Path, name: BidsName, metadata: MetadataFiles, prefix: str) -> Scan:
    scan = metadata.of(path)
    siblings = [(parse_name(other), other) for other in metadata.names_in(path.parent)]
    parsed = [(other, text) for other, text in siblings if other is not None]
    folder = f"{Path(scan.path).parent.as_posix()}/"
    mask = _companion(name, parsed, _MASK, IMAGE_EXTENSIONS, grid=True)
    confounds = _companion(name, parsed, _CONFOUNDS, (".tsv",), grid=False)
    return replace(
        scan,
        path=prefix + scan.path,
        bval=scan.bval and prefix + scan.bval,
        bvec=scan.bvec and prefix + scan.bvec,
        sidecars=tuple(prefix + sidecar for sidecar in scan.sidecars),
        mask=mask and prefix + folder + mask,
        confounds=confounds and prefix + folder + confounds,
    )


def _companion(
    image: BidsName,
    others: Iterable[tuple[BidsName, str]],
    marks: Sequence[tuple[str | None, str]],
    extensions: Sequence[str],
    *,
    grid: bool,
) -> str | None:
    """Return the file that belongs to an image, by the entities that both have."""
    fitting = [
        (marks.index(mark), -len(other.entities), text)
        for other, text in others
        if (mark := (other.entities.get("desc"), other.suffix)) in marks
        and other.extension in extensions
        and _belongs(other, image, grid=grid)
    ]
    return min(fitting)[2] if fitting else None


def _belongs(other: BidsName, image: BidsName, *, grid: bool) -> bool:
    own = {key: label for key, label in other.entities.items() if key != "desc"}
    if grid and any(own.get(key) != image.entities.get(key) for key in _GRID):
        return False
    return all(image.entities.get(key) == label for key, label in own.items())


def with_raw_sidecars(scan: Scan, raw: Iterable[Scan]) -> Scan:
    """Put the sidecars of the raw scans behind a preprocessed one in front of its own.

    What a scanner told (its software, the echo time) is not in a pipeline's sidecar, and
    visits are compared by it. A pipeline may have joined several scans: all are taken.

    Parameters
    ----------
    scan : Scan
        Preprocessed.
    raw : iterable of Scan
        Raw scans of the same kind and visit.

    Returns
    -------
    Scan
        With more sidecars, or as it was.
    """
    name = parse_name(scan.path)
    entities = {} if name is None else dict(name.entities)
    own = {key: label for key, label in entities.items() if key not in _ADDED}
    sidecars: dict[str, None] = {}
    for candidate in raw:
        other = parse_name(candidate.path)
        if other and all(other.entities.get(key) == label for key, label in own.items()):
            sidecars |= dict.fromkeys(candidate.sidecars)
    return replace(scan, sidecars=(*sidecars, *scan.sidecars))


def best_of_each_run(scans: Sequence[Scan]) -> list[Scan]:
    """Keep of every run the preferred space.

    Parameters
    ----------
    scans : sequence of Scan
        Preprocessed, the preferred first.

    Returns
    -------
    list of Scan
        One a run.
    """
    best: dict[tuple[tuple[str, str], ...], Scan] = {}
    for scan in scans:
        name = parse_name(scan.path)
        entities = {} if name is None else name.entities
        run = tuple((key, label) for key, label in entities.items() if key not in _GRID)
        best.setdefault(run, scan)
    return list(best.values())


def in_template_space(scan: Scan) -> bool:
    """Tell whether a scan was already brought to a template of the MNI152 family."""
    return bool(scan.pipeline) and _space(scan).startswith(TEMPLATE_FAMILY)


def _space(scan: Scan) -> str:
    name = parse_name(scan.path)
    return "" if name is None else name.entities.get("space", "")


def stage(scan: Scan) -> str:
    """Return in words at which stage a scan enters; visits are compared at one stage only.

    Parameters
    ----------
    scan : Scan
        Raw or preprocessed.

    Returns
    -------
    str
        ``raw scan`` or pipeline, version and space.
    """
    if not scan.pipeline:
        return "raw scan"
    space = _space(scan)
    return f"{scan.pipeline}, {f'space {space}' if space else 'native space'}"


def mixed_stages(
    visits: Visits, scans: Mapping[str, Scan], modality: Modality
) -> Iterator[tuple[str, Finding]]:
    """Find patients whose visits enter at different stages.

    Parameters
    ----------
    visits : Visits
        Of the study.
    scans : mapping
        Files of each scan.
    modality : {"dwi", "bold"}
        Which scans.

    Yields
    ------
    participant_id : str
        The patient.
    finding : Finding
        What differs.
    """
    for patient, rows in visits.having(modality).by_patient().items():
        entered = {
            visit.session_id: stage(scans[path])
            for visit in rows
            if (path := str(visit.scan(modality))) in scans
        }
        if len(set(entered.values())) > 1:
            yield (
                patient,
                Finding(
                    where=f"{patient} {modality}",
                    rule="all visits of a patient enter at the same stage: raw, or preprocessed by "
                    "one version of one pipeline, in one space",
                    found="; ".join(f"{session} {text}" for session, text in entered.items()),
                    remedy="Name raw scans in visits.tsv for all visits of the patient, or "
                    "preprocess the others alike and index again.",
                ),
            )


def unlike_stages(visits: Visits, scans: Mapping[str, Scan]) -> Iterator[Finding]:
    """Find modalities of which some patients enter at another stage than others.

    Parameters
    ----------
    visits : Visits
        Of the study.
    scans : mapping
        Files of each scan.

    Yields
    ------
    Finding
        A warning for each such modality: changes are within patients, results over them.
    """
    for modality in MODALITIES:
        paths = (str(visit.scan(modality)) for visit in visits.having(modality).rows)
        stages = Counter(stage(scans[path]) for path in paths if path in scans)
        if len(stages) > 1:
            yield Finding(
                severity="warning",
                where=modality,
                rule="all patients of a study should enter at the same stage",
                found="; ".join(f"{count} visits {text}" for text, count in stages.items()),
                remedy="Preprocess all patients alike: the results average over them.",
            )
