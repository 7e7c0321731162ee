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

from msimaging.bids.layout import DERIVATIVES, TEMPLATES, output
from msimaging.bids.plan import TENSOR_MEASURES, TENSOR_PARAMS, Plan
from msimaging.bids.visits import Modality

_CONNECTED = ("bold_volumes", "")
_DRAWN_DWI, _DRAWN_BOLD = ("patient_pictures", "dwi"), ("patient_pictures", "bold")
#: From outputs to the one of the same job that stands for them, with its modality.
_STANDS_FOR: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        **dict.fromkeys(
            (
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
        "tensor_map": ("tensor", ""),
        **dict.fromkeys(
            ("tensor_regions", "tensor_map_template", "tensor_template"), ("direction_template", "")
        ),
        **dict.fromkeys(("tensor_region_change", "tensor_map_change"), ("direction_change", "")),
        **dict.fromkeys(("time_series", "coverage"), ("bold_confounds", "")),
        "strength_change": ("connectivity_change", ""),
    }
)
#: Matrices of the whole group have a job of their own, which names them; weights have another.
_NAMED = ("_stat-tangent_", "_model-tensor_param-weight_")


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


def dwi_files(plan: Plan, sub: str, ses: str) -> dict[str, Any]:
    """Return the files of one diffusion series that jobs of its visit read and write."""
    visit = {"sub": sub, "ses": ses}
    names = ("bval", "bvec", "mask", "weights", "series_quality")
    return {
        "image": output("dwi", **visit),
        **{name: output(f"dwi_{name}", **visit) for name in names},
        "maps": {param: output("tensor_map", param=param, **visit) for param in TENSOR_PARAMS},
        "measured": {p: output("tensor_map", param=p, **visit) for p in TENSOR_MEASURES},
        "regions": [
            output("tensor_regions", atlas=atlas, **visit) for atlas in plan.diffusion_atlases
        ],
        "template_maps": [
            output("tensor_map_template", param=param, **visit) for param in TENSOR_MEASURES
        ],
        "template_tensor": output("tensor_template", **visit),
        "to_template": output("dwi_to_template", sub=sub),
        "from_template": output("dwi_from_template", sub=sub),
    }


def dwi_change_files(plan: Plan, sub: str, pair: str) -> dict[str, Any]:
    """Return the files that the change of the tensor measures is made from, and its own."""
    found = plan.pair("dwi", sub, pair)
    both = [visit.session_id for visit in (found.baseline, found.follow_up)]
    named = {"sub": sub, "pair": pair}
    return {
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


def bold_change_files(plan: Plan, sub: str, pair: str) -> dict[str, Any]:
    """Return the strengths of parcels at both visits, baseline first, and their changes."""
    task, atlases = plan.settings["functional"]["task"], plan.functional_atlases
    found = plan.pair("bold", sub, pair)
    both = [visit.session_id for visit in (found.baseline, found.follow_up)]
    return {
        "strengths": [
            output("strength", sub=sub, ses=ses, task=task, atlas=atlas)
            for atlas in atlases
            for ses in both
        ],
        "out_strengths": [
            output("strength_change", sub=sub, pair=pair, task=task, atlas=atlas)
            for atlas in atlases
        ],
    }


def bold_files(plan: Plan, sub: str, ses: str) -> dict[str, Any]:
    """Return the files of one resting run that the jobs of its visit read and write."""
    task, atlases = plan.settings["functional"]["task"], plan.functional_atlases
    visit = {"sub": sub, "ses": ses, "task": task}
    names = ("sidecar", "mask", "motion")
    return {
        **{name: output(f"bold_{name}", **visit) for name in names},
        "midpoint": plan.pose("bold", sub, ses, task=task),
        "to_template": output("bold_to_template", sub=sub, task=task),
        "poses": [plan.pose("bold", sub, other, task=task) for other in plan.sessions("bold", sub)],
        "series": [output("time_series", atlas=atlas, **visit) for atlas in atlases],
        "coverage": [output("coverage", atlas=atlas, **visit) for atlas in atlases],
    }


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


def drawn_dwi_scans(plan: Plan, sub: str) -> list[dict[str, Any]]:
    """Return what the pictures of each diffusion scan show, and their files."""
    keys = {
        "bval": "dwi_bval",
        "bvec": "dwi_bvec",
        "confounds": "dwi_confounds",
        "reference": "dwi_reference",
        "mask": "dwi_mask",
    }
    scans = []
    for ses in plan.sessions("dwi", sub):
        files: dict[str, Any] = {name: output(key, sub=sub, ses=ses) for name, key in keys.items()}
        files["residual"] = output("tensor_map", sub=sub, ses=ses, param="residual")
        files["out_pictures"] = plan.scan_pictures("dwi", sub=sub, ses=ses)
        scans.append(files)
    return scans


def drawn_dwi_pairs(plan: Plan, sub: str) -> list[dict[str, Any]]:
    """Return what the figures of each pair of visits show, and their files."""
    measures = plan.settings["figures"]["measures"]
    pairs = []
    for pair in plan.pairs_of("dwi", sub):
        named = {"sub": sub, "pair": pair.name}
        both = [visit.session_id for visit in (pair.baseline, pair.follow_up)]
        pairs.append(
            {
                "visits": [ses.removeprefix("ses-") for ses in both],
                "maps": [
                    output("tensor_map_template", sub=sub, ses=ses, param=param)
                    for param in measures
                    for ses in both
                ],
                "changes": [output("tensor_map_change", param=p, **named) for p in measures],
                "out_maps": plan.figure_files("patient_maps_figure", **named),
                "out_changes": plan.figure_files("patient_change_figure", **named),
                "out_compared": plan.comparison_pictures(**named),
            }
        )
    return pairs


def drawn_bold_scans(plan: Plan, sub: str) -> list[dict[str, Any]]:
    """Return what the pictures and quality numbers of each run come from, and their files."""
    task = plan.settings["functional"]["task"]
    first = plan.functional_atlases[0]
    keys = {
        "image": "bold",
        "reference": "bold_reference",
        "mask": "bold_mask",
        "confounds": "bold_confounds",
        "denoised": "denoised",
        "coverage": "coverage",
        "matrix": "connectivity",
        "to_template": "bold_to_template",
        "out_quality": "bold_quality",
        "out_tsnr": "bold_tsnr",
    }
    scans = []
    for ses in plan.sessions("bold", sub):
        fixed = {"sub": sub, "ses": ses, "task": task, "atlas": first}
        fixed["stat"] = "pearsoncorrelation"
        files: dict[str, Any] = {name: output(key, **fixed) for name, key in keys.items()}
        files["session"] = ses
        files["midpoint"] = plan.pose("bold", sub, ses, task=task)
        files["out_pictures"] = plan.scan_pictures("bold", sub=sub, ses=ses)
        scans.append(files)
    return scans


def drawn_bold_pairs(plan: Plan, sub: str) -> list[dict[str, Any]]:
    """Return what the figure of each pair of visits and atlas shows, and its files."""
    task = plan.settings["functional"]["task"]
    figures = []
    for pair in plan.pairs_of("bold", sub):
        both = [visit.session_id for visit in (pair.baseline, pair.follow_up)]
        for atlas in plan.functional_atlases:
            named = {"sub": sub, "pair": pair.name, "atlas": atlas}
            figures.append(
                {
                    "visits": [ses.removeprefix("ses-") for ses in both],
                    "atlas": atlas,
                    "matrices": [
                        output(
                            "connectivity",
                            sub=sub,
                            ses=ses,
                            task=task,
                            atlas=atlas,
                            stat="pearsoncorrelation",
                        )
                        for ses in both
                    ],
                    "change": output("connectivity_change", task=task, **named),
                    "error": output("connectivity_change_error", task=task, **named),
                    "out_figures": plan.figure_files("patient_connectivity_figure", **named),
                }
            )
    return figures


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
    yield from _of_functional(plan)
    yield from _of_diffusion(plan)
    for modality in ("dwi", "bold"):
        for sub in plan.patients_with(modality):
            for drawn in drawn_of(plan, modality, sub):
                yield from files_drawn(drawn)


def _of_functional(plan: Plan) -> Iterator[str]:
    for sub in plan.patients_with("bold"):
        for visit in connected_visits(plan, sub):
            for name in ("series", "coverages", "denoised", "variances", "strengths"):
                yield from visit[name]
            yield from (*visit["networks"], *visit["matrices"])
        for pair in plan.pairs_of("bold", sub):
            yield from files_drawn(bold_change_files(plan, sub, pair.name))


def _of_diffusion(plan: Plan) -> Iterator[str]:
    for sub in plan.patients_with("dwi"):
        for ses in plan.sessions("dwi", sub):
            files = dwi_files(plan, sub, ses)
            yield from (*files["maps"].values(), *files["regions"], *files["template_maps"])
            yield files["template_tensor"]
        for pair in plan.pairs_of("dwi", sub):
            yield from files_drawn(dwi_change_files(plan, sub, pair.name))


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
    task = plan.settings["functional"]["task"]
    of_dwi = ("bval", "bvec", "mask", "weights", "series_quality", "reference", "confounds")
    for visit in plan.visits_with("dwi"):
        named = {"sub": visit.participant_id, "ses": visit.session_id}
        for name in of_dwi:
            yield output("dwi", **named), output(f"dwi_{name}", **named)
    for visit in plan.visits_with("bold"):
        named = {"sub": visit.participant_id, "ses": visit.session_id, "task": task}
        for name in ("sidecar", "mask", "motion", "reference"):
            yield output("bold", **named), output(f"bold_{name}", **named)
    for path in companions(plan):
        yield stand_in(path), path


def drawn_of(plan: Plan, modality: Modality, sub: str) -> list[dict[str, Any]]:
    """Return all that the pictures of a patient show, and their files."""
    if modality == "dwi":
        return drawn_dwi_scans(plan, sub) + drawn_dwi_pairs(plan, sub)
    return drawn_bold_scans(plan, sub) + drawn_bold_pairs(plan, sub)


def files_drawn(drawn: Mapping[str, Any]) -> list[str]:
    """Return the files of an entry that begin with ``out_`` in its names."""
    found: list[str] = []
    for name, files in drawn.items():
        if name.startswith("out_"):
            several = files.values() if isinstance(files, Mapping) else files
            found += [files] if isinstance(files, str) else several
    return found
