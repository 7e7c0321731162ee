"""Files that jobs write beside the one by which the workflow knows them.

A rule's outputs have its wildcards: a job for a whole patient cannot name a file of each visit. And
each file that is named costs time and memory in the planning of large studies. The workflow waits
for one file of such a job; the others are listed here, for the job itself, for those who read them,
and for whoever looks after every file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from msimaging.bids.drawn_files import (
    drawn_bold_pairs,
    drawn_bold_scans,
    drawn_dwi_pairs,
    drawn_dwi_scans,
)
from msimaging.bids.job_records import connected_files, files_written
from msimaging.bids.layout import DERIVATIVES, TEMPLATES, output
from msimaging.bids.plan import TENSOR_MEASURES, TENSOR_PARAMS, Plan
from msimaging.bids.visits import MODALITIES, Modality, VisitPair

_SERIES_OF_DWI = ("bval", "bvec", "mask", "weights", "series_quality", "reference", "confounds")
_SERIES_OF_BOLD = ("sidecar", "mask", "motion", "reference")
_SPACE = ("midpoint", "template", "to_template")
_CONNECTED = ("bold_connected", "")
_DRAWN_DWI, _DRAWN_BOLD = ("patient_pictures", "dwi"), ("patient_pictures", "bold")
#: From outputs to the one of the same job that stands for them, with its modality.
_STANDS_FOR: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        # the first pattern that fits is taken: weights are no map of the tensor
        **{f"dwi_{name}": ("dwi", "") for name in (*_SERIES_OF_DWI, "sidecar", "orientation")},
        **{f"bold_{name}": ("bold", "") for name in _SERIES_OF_BOLD},
        **{f"dwi_{name}": ("dwi_from_template", "") for name in _SPACE},
        **{f"bold_{name}": ("bold_from_template", "") for name in _SPACE},
        **dict.fromkeys(
            (
                "bold_volumes",
                "bold_dropped",
                "denoised",
                "connectivity",
                "connectivity_variance",
                "strength",
                "network_means",
                "denoised_by_strategy",
                "connectivity_by_strategy",
                "network_means_by_strategy",
            ),
            _CONNECTED,
        ),
        **dict.fromkeys(
            ("patient_maps_figure", "patient_change_figure", "comparison_picture"), _DRAWN_DWI
        ),
        **dict.fromkeys(("bold_quality", "bold_tsnr", "patient_connectivity_figure"), _DRAWN_BOLD),
        "scan_picture": ("patient_pictures", ""),
        **dict.fromkeys(("tensor_map", "dwi_quality"), ("tensor", "")),
        **dict.fromkeys(
            ("tensor_regions", "tensor_map_template", "tensor_template", "direction_template"),
            ("dwi_measured", ""),
        ),
        **dict.fromkeys(
            ("tensor_region_change", "tensor_map_change", "direction_change"), ("dwi_changed", "")
        ),
        **dict.fromkeys(
            (
                "connectivity_change",
                "connectivity_change_error",
                "network_change",
                "strength_change",
            ),
            ("bold_changed", ""),
        ),
        **dict.fromkeys(("bold_confounds", "time_series", "coverage"), ("bold_extracted", "")),
    }
)
#: Matrices of the whole group have a job of their own, which names them.
_NAMED = ("_stat-tangent_",)


def stand_in(path: str) -> str:
    """Return the output by which the workflow knows a file.

    Parameters
    ----------
    path : str
        An output below the study folder.

    Returns
    -------
    str
        The path itself, unless a job for a whole patient writes it beside another.
    """
    if any(part in path for part in _NAMED):
        return path
    for pattern, key, modality in _patterns():
        found = pattern.fullmatch(path)
        if found:
            return output(key, **{"modality": modality, **found.groupdict()})
    return path


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str, str], ...]:
    return tuple(
        (_pattern(f"{DERIVATIVES}/{TEMPLATES[companion]}"), key, modality)
        for companion, (key, modality) in _STANDS_FOR.items()
    )


def _pattern(template: str) -> re.Pattern[str]:
    """Return the expression of an output's paths; a wildcard has one value throughout."""
    parts, seen = [], set()
    for text in re.split(r"(\{\w+\})", template):
        name = text[1:-1]
        if not text.startswith("{"):
            parts.append(re.escape(text))
        elif name in seen:
            parts.append(f"(?P={name})")
        else:
            parts.append(f"(?P<{name}>[^/_]+)")
            seen.add(name)
    return re.compile("".join(parts))


def dwi_series_files(_plan: Plan, sub: str, ses: str) -> dict[str, str]:
    """Return the files that are written beside a preprocessed diffusion series."""
    names = (*_SERIES_OF_DWI, "orientation")
    return {name: output(f"dwi_{name}", sub=sub, ses=ses) for name in names}


def bold_series_files(plan: Plan, sub: str, ses: str) -> dict[str, str]:
    """Return the files that are written beside a preprocessed resting run."""
    task = plan.settings["functional"]["task"]
    return {name: output(f"bold_{name}", sub=sub, ses=ses, task=task) for name in _SERIES_OF_BOLD}


def space_files(plan: Plan, modality: Modality, sub: str) -> dict[str, str]:
    """Return the files of a patient's space that are written beside the way from the template."""
    task = plan.settings["functional"]["task"]
    return {name: output(f"{modality}_{name}", sub=sub, task=task) for name in _SPACE}


def fit_files(plan: Plan, sub: str, ses: str) -> dict[str, Any]:
    """Return the files that a tensor is fitted to, and what is written beside it."""
    visit = {"sub": sub, "ses": ses}
    return {
        **dwi_series_files(plan, sub, ses),
        "quality": output("dwi_quality", **visit),
        "maps": {param: output("tensor_map", param=param, **visit) for param in TENSOR_PARAMS},
    }


def measured_visits(plan: Plan, sub: str) -> list[dict[str, Any]]:
    """Return what the tensor measures of each visit are read from, and their files."""
    space = {name: output(f"dwi_{name}", sub=sub) for name in ("to_template", "from_template")}
    visits = []
    for ses in plan.sessions("dwi", sub):
        visit = {"sub": sub, "ses": ses}
        files: dict[str, Any] = {"session": ses, "image": output("dwi", **visit), **space}
        files |= {name: output(f"dwi_{name}", **visit) for name in ("bval", "bvec", "mask")}
        files["tensor"] = output("tensor", **visit)
        files["maps"] = {p: output("tensor_map", param=p, **visit) for p in TENSOR_MEASURES}
        files["further"] = plan.model_maps(sub, ses)
        files["midpoint"] = plan.pose("dwi", sub, ses)
        files["warps"] = plan.warps(sub, ses)
        files["lesions"] = plan.lesion_masks("dwi", sub, [ses])
        files["out_tables"] = [
            output("tensor_regions", atlas=atlas, **visit) for atlas in plan.diffusion_atlases
        ]
        files["out_maps"] = [
            output("tensor_map_template", param=param, **visit) for param in TENSOR_MEASURES
        ]
        files["out_tensor"] = output("tensor_template", **visit)
        files["out_direction"] = output("direction_template", **visit)
        visits.append(files)
    return visits


def dwi_changes(plan: Plan, sub: str) -> list[dict[str, Any]]:
    """Return what the change of each pair of visits is made from, and its files."""
    return [_dwi_change(plan, pair) for pair in plan.pairs_of("dwi", sub)]


def _dwi_change(plan: Plan, pair: VisitPair) -> dict[str, Any]:
    sub, both = pair.participant_id, pair.sessions
    named = {"sub": sub, "pair": pair.name}
    return {
        "scans": plan.raw_of_pair("dwi", sub, pair.name),
        "months": pair.months,
        "directions": [output("direction_template", sub=sub, ses=ses) for ses in both],
        "out_direction": output("direction_change", **named),
        "tables": [
            output("tensor_regions", sub=sub, ses=ses, atlas=atlas)
            for atlas in plan.diffusion_atlases
            for ses in both
        ],
        "maps": [
            output("tensor_map_template", sub=sub, ses=ses, param=param)
            for param in TENSOR_MEASURES
            for ses in both
        ],
        "out_tables": [
            output("tensor_region_change", atlas=atlas, **named) for atlas in plan.diffusion_atlases
        ],
        "out_maps": [
            output("tensor_map_change", param=param, **named) for param in TENSOR_MEASURES
        ],
    }


def bold_changes(plan: Plan, sub: str) -> list[dict[str, Any]]:
    """Return what the change of connectivity of each pair of visits is made from, and its files."""
    task, atlases = plan.settings["functional"]["task"], plan.functional_atlases
    keys = {
        "matrices": "connectivity",
        "variances": "connectivity_variance",
        "networks": "network_means",
        "strengths": "strength",
    }
    written = {
        "out_matrices": "connectivity_change",
        "out_errors": "connectivity_change_error",
        "out_tables": "network_change",
        "out_strengths": "strength_change",
    }
    changes = []
    for pair in plan.pairs_of("bold", sub):
        both = pair.sessions
        fixed = {"sub": sub, "task": task, "stat": "pearsoncorrelation", "pair": pair.name}
        change: dict[str, Any] = {"sessions": list(both), "months": pair.months}
        change["scans"] = plan.raw_of_pair("bold", sub, pair.name)
        for name, key in keys.items():
            change[name] = [output(key, ses=s, atlas=a, **fixed) for a in atlases for s in both]
        for name, key in written.items():
            change[name] = [output(key, atlas=atlas, **fixed) for atlas in atlases]
        changes.append(change)
    return changes


def extracted_visits(plan: Plan, sub: str) -> list[dict[str, Any]]:
    """Return what the signals of each resting run are read from, and their files."""
    task, atlases = plan.settings["functional"]["task"], plan.functional_atlases
    to_template = output("bold_to_template", sub=sub, task=task)
    visits = []
    for ses in plan.sessions("bold", sub):
        visit = {"sub": sub, "ses": ses, "task": task}
        files: dict[str, Any] = {"session": ses, "image": output("bold", **visit)}
        files |= {name: output(f"bold_{name}", **visit) for name in ("sidecar", "mask", "motion")}
        files["given_confounds"] = plan.raw("bold", sub, ses).get("confounds", [])
        files["midpoint"] = plan.pose("bold", sub, ses, task=task)
        files["to_template"] = to_template
        files["out_confounds"] = output("bold_confounds", **visit)
        files["out_series"] = [output("time_series", atlas=atlas, **visit) for atlas in atlases]
        files["out_coverage"] = [output("coverage", atlas=atlas, **visit) for atlas in atlases]
        visits.append(files)
    return visits


def connected_visits(plan: Plan, sub: str) -> list[dict[str, Any]]:
    """Return what the connectivity of each visit is made from, and what it becomes.

    Parameters
    ----------
    plan : Plan
        The study.
    sub : str
        Patient.

    Returns
    -------
    list of dict
        ``session series confounds coverages``, and ``denoised variances strengths networks
        matrices`` in the order that the step asks for.
    """
    task, atlases = plan.settings["functional"]["task"], plan.functional_atlases
    stats = plan.stats(tangent=False)
    by_strategy = {
        "denoised": plan.by_strategy("denoised", atlas=atlases),
        "networks": plan.by_strategy("network_means", atlas=atlases),
        "matrices": plan.by_strategy("connectivity", atlas=atlases, stat=stats),
    }
    by_atlas = {
        "series": "time_series",
        "coverages": "coverage",
        "variances": "connectivity_variance",
        "strengths": "strength",
    }
    visits = []
    for ses in plan.sessions("bold", sub):
        visit = {"sub": sub, "ses": ses, "task": task}
        files: dict[str, Any] = {"session": ses, "confounds": output("bold_confounds", **visit)}
        for name, key in by_atlas.items():
            files[name] = [output(key, atlas=atlas, **visit) for atlas in atlases]
        for name, patterns in by_strategy.items():
            files[name] = [_filled(pattern, sub, ses) for pattern in patterns]
        visits.append(files)
    return visits


def _filled(pattern: str, sub: str, ses: str) -> str:
    return pattern.replace("{sub}", sub).replace("{ses}", ses)


def companions(plan: Plan) -> Iterator[str]:
    """List every result of a study that no rule names.

    Parameters
    ----------
    plan : Plan
        The study.

    Yields
    ------
    str
        Below the study folder.
    """
    task = plan.settings["functional"]["task"]
    for sub in plan.patients_with("bold"):
        for ses in plan.sessions("bold", sub):
            yield from bold_series_files(plan, sub, ses).values()
        yield from (output(f"bold_{name}", sub=sub, task=task) for name in ("volumes", "dropped"))
        for visit in connected_visits(plan, sub):
            yield from connected_files(visit)
    for sub in plan.patients_with("dwi"):
        for ses in plan.sessions("dwi", sub):
            files = fit_files(plan, sub, ses)
            yield from (files[name] for name in (*_SERIES_OF_DWI, "quality"))
            yield from files["maps"].values()
    for modality in MODALITIES:
        for sub in plan.patients_with(modality):
            yield from space_files(plan, modality, sub).values()
            for one in written_one_by_one(plan, modality, sub):
                yield from files_written(one)


def siblings(plan: Plan) -> Iterator[tuple[str, str]]:
    """List what jobs read of other jobs without waiting for it.

    Parameters
    ----------
    plan : Plan
        The study.

    Yields
    ------
    known, path : str
        The output that is waited for, and a file that its job writes too.
    """
    for path in companions(plan):
        yield stand_in(path), path


def written_one_by_one(plan: Plan, modality: Modality, sub: str) -> list[dict[str, Any]]:
    """Return what the jobs for a whole patient read and write of each visit and each pair."""
    if modality == "dwi":
        return [
            *measured_visits(plan, sub),
            *dwi_changes(plan, sub),
            *drawn_dwi_scans(plan, sub),
            *drawn_dwi_pairs(plan, sub),
        ]
    return [
        *extracted_visits(plan, sub),
        *bold_changes(plan, sub),
        *drawn_bold_scans(plan, sub),
        *drawn_bold_pairs(plan, sub),
    ]
