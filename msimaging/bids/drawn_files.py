"""What the pictures of a patient's scans and pairs of visits show, and their files."""

from __future__ import annotations

from typing import Any

from msimaging.bids.layout import output
from msimaging.bids.plan import Plan


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
        both = pair.sessions
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
        both = pair.sessions
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
