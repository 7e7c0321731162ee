"""What ran and with which settings, in the form from which the methods section is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from msimaging.bids.shells import FURTHER_MODELS
from msimaging.reporting.methods import StepRecord


def step_records(ledger: pd.DataFrame, settings: Mapping[str, Any]) -> list[StepRecord]:
    """Tell from the ledger which steps ran.

    Parameters
    ----------
    ledger : DataFrame
        ``ledger.tsv``.
    settings : mapping
        Complete settings.

    Returns
    -------
    list of StepRecord
        In the order of the analysis.
    """
    used = _settings_by_step(settings)
    switched_off = _switched_off(settings["diffusion"], settings["functional"])
    done = ledger[ledger["state"] == "done"]["step"].value_counts()
    failed = ledger[ledger["state"] == "failed"]["step"].value_counts()
    kept = _reasons(ledger)
    records = []
    for step, step_settings in used.items():
        sources = _SAME_JOB.get(step, (step,))
        if step in _WAYS_IN and not any(step in counts for counts in (done, failed)):
            continue
        n_done = 0 if step in switched_off else sum(int(done.get(source, 0)) for source in sources)
        records.append(
            StepRecord(
                name=step,
                ran=n_done > 0,
                reason=_why_not(step, n_done, switched_off, kept.get(step, "")),
                settings=step_settings,
                n_done=n_done,
                n_failed=sum(int(failed.get(source, 0)) for source in sources),
            )
        )
    return records


def _switched_off(diffusion: Mapping[str, Any], functional: Mapping[str, Any]) -> set[str]:
    """Return the corrections that the settings do not ask for."""
    switches = {
        "denoise_dwi": diffusion["denoise"] != "none",
        "remove_gibbs": diffusion["unring"] != "none",
        "replace_slices": diffusion["outliers"],
        "correct_dwi_motion": diffusion["motion"],
        "correct_distortion": diffusion["distortion"] != "none",
        "correct_bias": diffusion["bias"],
        "correct_bold_distortion": functional["distortion"] != "none",
        "register_over_t1w": functional["anatomical"] != "none",
        **{model.rule: diffusion[name] for name, model in FURTHER_MODELS.items()},
    }
    return {step for step, wanted in switches.items() if not wanted}


def _reasons(ledger: pd.DataFrame) -> dict[str, str]:
    """Return why steps of single scans were left out, as the ledger says of the first of them."""
    if "reason" not in ledger:
        return {}
    absent = ledger[(ledger["state"] == "absent") & ledger["reason"].fillna("").ne("")]
    return dict(absent.drop_duplicates("step")[["step", "reason"]].itertuples(index=False))


def _why_not(step: str, n_done: int, switched_off: set[str], kept: str) -> str:
    if n_done:
        return ""
    if step in switched_off:
        return "not asked for"
    return kept or "no scan or pair of visits for it"


#: Steps that only some studies need (scans preprocessed elsewhere, later visits, lesions): where
#: they did not run, nothing is missing.
_WAYS_IN = frozenset(
    {
        "import_dwi",
        "import_bold",
        "map_seeds",
        "adopt_bold_space",
        "register_over_t1w",
        "join_dwi_space",
        "warp_dwi_visit",
        "split_tissue",
        "change_lesions",
    }
)
#: Steps of the methods section that are done within another step's job.
_SAME_JOB = {
    "check_gradients": ("preprocess_dwi", "import_dwi"),
    "denoise_dwi": ("preprocess_dwi",),
    "remove_gibbs": ("preprocess_dwi",),
    "replace_slices": ("preprocess_dwi",),
    "correct_bias": ("preprocess_dwi",),
    "bootstrap_tensor": ("measure_diffusion",),
    "normalise_maps": ("measure_diffusion",),
    "clean_time_series": ("connect_parcels",),
    "equalise_visits": ("connect_parcels",),
    "judge_reliability": ("change_diffusion",),
    "run_workflow": ("test_changes",),
}


def _settings_by_step(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    diffusion, functional = settings["diffusion"], settings["functional"]
    regions = ", ".join(settings["atlases"]["diffusion"])
    parcels = ", ".join(settings["atlases"]["functional"])
    resolution = {"working_resolution": settings["spatial"]["working_resolution"]}
    return {
        "check_gradients": {},
        "preprocess_dwi": {},
        "import_dwi": {},
        "denoise_dwi": {},
        "remove_gibbs": {},
        "replace_slices": {},
        "correct_dwi_motion": {},
        "correct_distortion": {
            "method": "field from b=0 images of opposite phase encoding, in the same resampling"
        },
        "correct_bias": {},
        "fit_tensor": {"fit": diffusion["fit"]},
        **{model.rule: {"highest": f"{model.highest:g}"} for model in FURTHER_MODELS.values()},
        "measure_diffusion": {"atlas": regions, "space": _measured_in(settings["spatial"])},
        "bootstrap_tensor": {"samples": diffusion["bootstrap_samples"]},
        "preprocess_bold": {},
        "correct_bold_distortion": {"method": "field from images of opposite phase encoding"},
        "import_bold": {},
        "extract_parcels": {
            "atlas": parcels,
            "min_coverage": f"{functional['min_coverage']:.0%}",
        },
        "clean_time_series": {
            "strategy": functional["strategy"],
            "high_pass": functional["high_pass"] or 0,
            "low_pass": functional["low_pass"] or "the highest",
        },
        "equalise_visits": {
            key: functional[key] for key in ("matching", "min_minutes", "min_volumes")
        },
        "connect_parcels": {
            "kinds": ", ".join(f"{k} ({e} covariance)" for k, e in functional["kinds"].items())
        },
        "connect_group": {"reference": functional["tangent_reference"]},
        "map_seeds": {"seeds": ", ".join(seed["name"] for seed in functional["seeds"])},
        "build_dwi_space": resolution,
        "build_bold_space": resolution,
        "register_over_t1w": {},
        "adopt_bold_space": {},
        "join_dwi_space": {},
        "warp_dwi_visit": {},
        "split_tissue": {"rim": f"{settings['spatial']['lesion_rim_mm']:g}"},
        "change_lesions": {},
        "normalise_maps": {"resolution": settings["spatial"]["map_resolution"]},
        "change_diffusion": {},
        "change_connectivity": {},
        "judge_reliability": {},
        "test_changes": {
            "confidence": f"{settings['statistics']['confidence']:.0%}",
            "adjustment": settings["statistics"]["adjustment"],
        },
        "run_workflow": {},
    }


def _measured_in(spatial: Mapping[str, Any]) -> str:
    if spatial["measure_in"] == "native":
        return (
            "native space: regions were carried to each visit, so that no visit's maps were "
            "resampled for them"
        )
    return (
        "the common space: the maps of every visit were read once, trilinearly, at the voxels of "
        f"the template's {spatial['map_resolution']} mm grid"
    )
