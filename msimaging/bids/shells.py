"""Shells of a diffusion series, and the further models they allow. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msimaging.bids.scans import Scan
from msimaging.bids.visits import Visits
from msimaging.errors import Finding

#: Grouping of b-values [s/mm2]; `diffusion.table_rules.shells` groups alike (a test holds that).
_B0, _WIDTH, _LEAST_STEP = 50.0, 0.05, 20.0
_SPREAD = 1.05
_LEAST_SHELLS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class FurtherModel:
    """A model beside the tensor that only series of several shells allow.

    Attributes
    ----------
    name : str
        In sentences.
    rule, output : str
        Rule of the workflow and key of its maps.
    measures : mapping
        From the measure in tables to the ``param`` of its map.
    highest : float
        Shells up to this b-value count [s/mm2].
    """

    name: str
    rule: str
    output: str
    measures: Mapping[str, str]
    highest: float


#: By their setting in the diffusion section.
FURTHER_MODELS: Mapping[str, FurtherModel] = MappingProxyType(
    {
        "free_water": FurtherModel(
            name="free-water elimination",
            rule="fit_free_water",
            output="free_water_map",
            measures={"fw": "fw", "fwfa": "fa", "fwmd": "md", "fwad": "ad", "fwrd": "rd"},
            highest=2000.0,
        ),
        "kurtosis": FurtherModel(
            name="diffusion kurtosis",
            rule="fit_kurtosis",
            output="kurtosis_map",
            measures={"mk": "mk", "ak": "ak", "rk": "rk"},
            highest=3000.0,
        ),
    }
)


def shells_of(path: Path) -> tuple[int, ...]:
    """Read the shells of a diffusion series from its b-values.

    Parameters
    ----------
    path : Path
        ``.bval`` file.

    Returns
    -------
    tuple of int
        b-values [s/mm2] rounded to 10, ascending, 0 first where there are b=0s; empty where the
        file cannot be read (the check tells why).
    """
    try:
        bvals = sorted(float(word) for word in path.read_text(encoding="utf-8").split())
    except (OSError, ValueError):
        return ()
    weighted = [b for b in bvals if b > _B0]
    groups: list[list[float]] = []
    for before, b in zip([-1.0, *weighted], weighted, strict=False):
        if not groups or b - before > max(_WIDTH * b, _LEAST_STEP):
            groups.append([])
        groups[-1].append(b)
    found = [int(round(_median(group), -1)) for group in groups]
    return tuple([0, *found] if len(weighted) < len(bvals) else found)


def why_without_model(setting: str, asked: object, by_session: Mapping[str, Scan]) -> str:
    """Tell why a further model is not fitted to a patient's series.

    Parameters
    ----------
    setting : str
        Key of `FURTHER_MODELS`.
    asked : {False, True, "auto"}
        Its value.
    by_session : mapping
        From each session of the patient to its diffusion series.

    Returns
    -------
    str
        Empty when it is fitted: in all visits or in none, so that they stay comparable.
    """
    if asked is False:
        return "switched off in the settings"
    model = FURTHER_MODELS[setting]
    lacking = [ses for ses, scan in by_session.items() if not _allows(scan, model)]
    if asked is True or not lacking:
        return ""
    found = "; ".join(f"{ses} has {_told(by_session[ses])}" for ses in lacking)
    rule = f"{model.name} needs b = 0 and two shells up to {model.highest:g} s/mm2"
    return f"{found}: {rule}, at every visit of a patient"


def refused_models(
    visits: Visits, scans: Mapping[str, Scan], diffusion: Mapping[str, Any]
) -> Iterator[Finding]:
    """Find series whose shells do not allow a model that the settings ask for in every scan.

    Parameters
    ----------
    visits : Visits
        Of the study.
    scans : mapping
        Files of each scan.
    diffusion : mapping
        Settings of the diffusion section.

    Yields
    ------
    Finding
        One a series and model.
    """
    for setting, model in FURTHER_MODELS.items():
        if diffusion[setting] is not True:
            continue
        for visit in visits.having("dwi").rows:
            scan = scans.get(str(visit.scan("dwi")))
            if scan is not None and not _allows(scan, model):
                yield Finding(
                    where=scan.path,
                    rule=f"{model.name} needs b = 0 and two shells up to {model.highest:g} s/mm2",
                    found=_told(scan),
                    remedy=f"Set {setting} to false or auto in the diffusion section of config.yaml"
                    " (auto fits it to patients all of whose visits have the shells).",
                )


def _allows(scan: Scan, model: FurtherModel) -> bool:
    within = [b for b in scan.shells if 0 < b <= _SPREAD * model.highest]
    return 0 in scan.shells and len(within) >= _LEAST_SHELLS


def _told(scan: Scan) -> str:
    if not scan.shells:
        return "unknown b-values (run msimaging index again)"
    return f"b = {', '.join(map(str, scan.shells))} s/mm2"


def _median(values: list[float]) -> float:
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2
