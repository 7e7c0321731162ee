"""The one table of output names. No other module builds a path of the derivatives.

Names follow BIDS with the entities of BEP016 (diffusion maps), BEP012 and BEP017 (functional
derivatives, matrices). Braces are wildcards; ``{sub}`` and ``{ses}`` hold their prefixes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from types import MappingProxyType

DERIVATIVES = "derivatives/msimaging"
#: The template that nilearn ships: MNI ICBM152 2009a, nonlinear, symmetric.
TEMPLATE = "MNI152NLin2009aSym"
#: What lies beside the pictures of a figure: its data and its caption, in this order.
FIGURE_BESIDE = ("tsv", "rst")
#: Formats that a browser shows, best first; the schema of the settings asks for one of them.
BROWSER_FORMATS = ("png", "svg")

_DWI = "{sub}/{ses}/dwi/{sub}_{ses}"
_FUNC = "{sub}/{ses}/func/{sub}_{ses}_task-{task}"
_PATIENT_DWI = "{sub}/dwi/{sub}"
_PATIENT_FUNC = "{sub}/func/{sub}_task-{task}"

TEMPLATES: MappingProxyType[str, str] = MappingProxyType(
    {
        # diffusion, one visit
        "dwi": f"{_DWI}_desc-preproc_dwi.nii.gz",
        "dwi_bval": f"{_DWI}_desc-preproc_dwi.bval",
        "dwi_bvec": f"{_DWI}_desc-preproc_dwi.bvec",
        "dwi_sidecar": f"{_DWI}_desc-preproc_dwi.json",
        "dwi_reference": f"{_DWI}_dwiref.nii.gz",
        "dwi_mask": f"{_DWI}_desc-brain_mask.nii.gz",
        "dwi_weights": f"{_DWI}_model-tensor_param-weight_dwimap.nii.gz",
        # quality of the series alone; dwi_quality holds it together with that of the tensor fit,
        # and its sidecar the same numbers one key each, as MRIQC names them
        "dwi_series_quality": f"{_DWI}_desc-preproc_stats.tsv",
        "dwi_quality": f"{_DWI}_desc-quality_stats.tsv",
        "dwi_orientation": f"{_DWI}_desc-orientation_stats.tsv",
        "dwi_confounds": f"{_DWI}_desc-confounds_timeseries.tsv",
        "tensor": f"{_DWI}_model-tensor_param-diffusivity_dwimap.nii.gz",
        "tensor_map": f"{_DWI}_model-tensor_param-{{param}}_dwimap.nii.gz",
        # further models of multi-shell series
        "free_water_map": f"{_DWI}_model-freewater_param-{{param}}_dwimap.nii.gz",
        "kurtosis_map": f"{_DWI}_model-kurtosis_param-{{param}}_dwimap.nii.gz",
        "tensor_map_template": (
            f"{_DWI}_space-{TEMPLATE}_model-tensor_param-{{param}}_dwimap.nii.gz"
        ),
        "tensor_template": (
            f"{_DWI}_space-{TEMPLATE}_model-tensor_param-diffusivity_dwimap.nii.gz"
        ),
        "direction_template": (
            f"{_DWI}_space-{TEMPLATE}_model-tensor_param-direction_dwimap.nii.gz"
        ),
        "tensor_regions": f"{_DWI}_space-{TEMPLATE}_model-tensor_atlas-{{atlas}}_stats.tsv",
        "tensor_regions_by_fit": (
            f"{_DWI}_space-{TEMPLATE}_model-tensor_atlas-{{atlas}}_desc-fits_stats.tsv"
        ),
        # diffusion, one patient
        "dwi_midpoint": f"{_PATIENT_DWI}_from-subject_to-dwi_mode-image_xfm.tsv",
        "dwi_pose": f"{_DWI}_from-subject_to-dwi_mode-image_xfm.tsv",
        "dwi_warp_to_visit": f"{_DWI}_from-subject_to-dwi_mode-image_xfm.h5",
        "dwi_warp_from_visit": f"{_DWI}_from-dwi_to-subject_mode-image_xfm.h5",
        "dwi_log_jacobian": f"{_DWI}_space-subject_model-demons_param-logjacobian_dwimap.nii.gz",
        "lesion_tissue": f"{_PATIENT_DWI}_space-subject_desc-lesion_dseg.nii.gz",
        "lesion_change": f"{_PATIENT_DWI}_stat-lesionchange_desc-{{pair}}_stats.tsv",
        "dwi_template": f"{_PATIENT_DWI}_space-subject_model-tensor_param-fa_dwimap.nii.gz",
        "dwi_from_template": f"{_PATIENT_DWI}_from-{TEMPLATE}_to-subject_mode-image_xfm.h5",
        "dwi_to_template": f"{_PATIENT_DWI}_from-subject_to-{TEMPLATE}_mode-image_xfm.h5",
        "tensor_map_change": (
            f"{_PATIENT_DWI}_space-{TEMPLATE}_model-tensor_param-{{param}}"
            "_stat-change_desc-{pair}_dwimap.nii.gz"
        ),
        "direction_change": (
            f"{_PATIENT_DWI}_space-{TEMPLATE}_model-tensor_param-direction"
            "_stat-change_desc-{pair}_dwimap.nii.gz"
        ),
        "tensor_region_change": (
            f"{_PATIENT_DWI}_space-{TEMPLATE}_model-tensor_atlas-{{atlas}}"
            "_stat-change_desc-{pair}_stats.tsv"
        ),
        # lists of all that a job for a whole patient has written, with digests
        "dwi_measured": f"{_PATIENT_DWI}_desc-measured_stats.tsv",
        "dwi_changed": f"{_PATIENT_DWI}_desc-changed_stats.tsv",
        "bold_extracted": f"{_PATIENT_FUNC}_desc-extracted_stats.tsv",
        "bold_connected": f"{_PATIENT_FUNC}_desc-connected_stats.tsv",
        "bold_changed": f"{_PATIENT_FUNC}_desc-changed_stats.tsv",
        # function, one visit
        "bold": f"{_FUNC}_desc-preproc_bold.nii.gz",
        "bold_sidecar": f"{_FUNC}_desc-preproc_bold.json",
        "bold_reference": f"{_FUNC}_desc-hmc_boldref.nii.gz",
        "bold_mask": f"{_FUNC}_desc-brain_mask.nii.gz",
        "bold_motion": f"{_FUNC}_desc-motion_timeseries.tsv",
        "bold_confounds": f"{_FUNC}_desc-confounds_timeseries.tsv",
        "bold_quality": f"{_FUNC}_desc-quality_stats.tsv",
        "bold_alff": f"{_FUNC}_stat-alff_boldmap.nii.gz",
        "bold_falff": f"{_FUNC}_stat-falff_boldmap.nii.gz",
        "bold_reho": f"{_FUNC}_stat-reho_boldmap.nii.gz",
        "seed_map": f"{_FUNC}_space-{TEMPLATE}_label-{{seed}}_stat-fisherz_boldmap.nii.gz",
        "bold_tsnr": f"{_FUNC}_stat-tsnr_boldmap.nii.gz",
        "time_series": f"{_FUNC}_space-{TEMPLATE}_atlas-{{atlas}}_stat-mean_timeseries.tsv",
        "denoised": (
            f"{_FUNC}_space-{TEMPLATE}_atlas-{{atlas}}_stat-mean_desc-denoised_timeseries.tsv"
        ),
        "coverage": f"{_FUNC}_space-{TEMPLATE}_atlas-{{atlas}}_stat-coverage_stats.tsv",
        "connectivity": f"{_FUNC}_space-{TEMPLATE}_atlas-{{atlas}}_stat-{{stat}}_relmat.tsv",
        "connectivity_variance": (
            f"{_FUNC}_space-{TEMPLATE}_atlas-{{atlas}}_stat-pearsoncorrelation"
            "_desc-variance_relmat.tsv"
        ),
        "network_means": f"{_FUNC}_space-{TEMPLATE}_atlas-{{atlas}}_stat-networkmean_stats.tsv",
        "strength": f"{_FUNC}_space-{TEMPLATE}_atlas-{{atlas}}_stat-strength_stats.tsv",
        # the same under the strategies besides the primary one
        "denoised_by_strategy": (
            f"{_FUNC}_space-{TEMPLATE}_atlas-{{atlas}}_stat-mean_desc-{{strategy}}_timeseries.tsv"
        ),
        "connectivity_by_strategy": (
            f"{_FUNC}_space-{TEMPLATE}_atlas-{{atlas}}_stat-{{stat}}_desc-{{strategy}}_relmat.tsv"
        ),
        "network_means_by_strategy": (
            f"{_FUNC}_space-{TEMPLATE}_atlas-{{atlas}}_stat-networkmean_desc-{{strategy}}_stats.tsv"
        ),
        # function, one patient
        "bold_midpoint": f"{_PATIENT_FUNC}_from-subject_to-boldref_mode-image_xfm.tsv",
        "bold_pose": f"{_FUNC}_from-subject_to-boldref_mode-image_xfm.tsv",
        "bold_template": f"{_PATIENT_FUNC}_space-subject_boldref.nii.gz",
        "bold_from_template": f"{_PATIENT_FUNC}_from-{TEMPLATE}_to-subject_mode-image_xfm.h5",
        "bold_to_template": f"{_PATIENT_FUNC}_from-subject_to-{TEMPLATE}_mode-image_xfm.h5",
        "bold_dropped": f"{_PATIENT_FUNC}_desc-dropped_stats.tsv",
        "bold_volumes": f"{_PATIENT_FUNC}_desc-volumes_stats.tsv",
        "connectivity_change": (
            f"{_PATIENT_FUNC}_space-{TEMPLATE}_atlas-{{atlas}}_stat-change_desc-{{pair}}_relmat.tsv"
        ),
        "connectivity_change_error": (
            f"{_PATIENT_FUNC}_space-{TEMPLATE}_atlas-{{atlas}}"
            "_stat-changestandarderror_desc-{pair}_relmat.tsv"
        ),
        "seed_change": (
            f"{_PATIENT_FUNC}_space-{TEMPLATE}_label-{{seed}}_stat-change_desc-{{pair}}"
            "_boldmap.nii.gz"
        ),
        "network_change": (
            f"{_PATIENT_FUNC}_space-{TEMPLATE}_atlas-{{atlas}}_stat-change_desc-{{pair}}_stats.tsv"
        ),
        "strength_change": (
            f"{_PATIENT_FUNC}_space-{TEMPLATE}_atlas-{{atlas}}_stat-strengthchange_desc-{{pair}}"
            "_stats.tsv"
        ),
        # cohort
        "measures": "cohort/measures.tsv",
        "changes": "cohort/changes.tsv",
        "repeatability": "cohort/repeatability.tsv",
        "specifications": "cohort/specifications.tsv",
        "fits": "cohort/fits.tsv",
        "qcfc": "cohort/qcfc.tsv",
        "results": "cohort/results.tsv",
        "ledger": "cohort/ledger.tsv",
        "outcomes": "cohort/outcomes.tsv",
        "patients": "cohort/patients.tsv",
        "treatments": "cohort/treatments.tsv",
        "adverse_events": "cohort/adverse_events.tsv",
        "safety": "cohort/safety.tsv",
        "model_part": "cohort/models/{model}_{part}.tsv",
        "model_tests": "cohort/tests.tsv",
        "model_patients": "cohort/contributions.tsv",
        "model_notes": "cohort/notes.tsv",
        "model_counts": "cohort/responders.tsv",
        "next_trial": "cohort/next_trial.tsv",
        "power_curves": "cohort/power_curves.tsv",
        "specification_curve": "cohort/specification_curve.tsv",
        "dataset_description": "dataset_description.json",
        "participants": "participants.tsv",
        # pictures and pages
        "patient_maps_figure": "figures/{sub}/dwi/{sub}_desc-{pair}_maps.{ext}",
        "patient_change_figure": "figures/{sub}/dwi/{sub}_stat-change_desc-{pair}_maps.{ext}",
        "patient_connectivity_figure": (
            "figures/{sub}/bold/{sub}_atlas-{atlas}_desc-{pair}_connectivity.{ext}"
        ),
        "region_slopes_figure": "figures/param-{param}_atlas-{atlas}_desc-slopes_regions.{ext}",
        "forest_figure": "figures/param-{param}_atlas-{atlas}_desc-forest_regions.{ext}",
        "agreement_figure": "figures/param-{param}_atlas-{atlas}_desc-agreement_regions.{ext}",
        "glass_change_figure": "figures/param-{param}_desc-glass_maps.{ext}",
        "network_blocks_figure": "figures/atlas-{atlas}_desc-blocks_connectivity.{ext}",
        "glass_connectome_figure": "figures/atlas-{atlas}_desc-glass_connectivity.{ext}",
        # looked at on a screen only, by raters
        "scan_picture": "figures/{sub}/{modality}/{sub}_{ses}_desc-{picture}_{modality}.png",
        "comparison_picture": "figures/{sub}/dwi/{sub}_param-{param}_desc-{pair}_{view}.png",
        "patient_pictures": "figures/{sub}/{sub}_{modality}_pictures.tsv",
        "patient_figures": "figures/{sub}/{modality}",
        "quality": "cohort/quality.tsv",
        "quality_tests": "cohort/quality_tests.tsv",
        "detection_figure": "figures/desc-detection_rates.{ext}",
        "cohort_connectivity_figure": "figures/atlas-{atlas}_desc-mean_connectivity.{ext}",
        "trial_figure": "figures/desc-{figure}_trial.{ext}",
        "responders_figure": "figures/desc-{model}_responders.{ext}",
        "report": "report/index.html",
    }
)


def output(key: str, **wildcards: str) -> str:
    """Return the path of an output below the study folder.

    Parameters
    ----------
    key : str
        Name of the output in `TEMPLATES`.
    **wildcards : str
        Values for some or all of the wildcards; the others stay in braces.

    Returns
    -------
    str
        Path with ``/`` between its parts.

    Raises
    ------
    KeyError
        When there is no such output.

    Examples
    --------
    >>> output("tensor_map", sub="sub-01", ses="ses-month06", param="fa")
    'derivatives/msimaging/sub-01/ses-month06/dwi/sub-01_ses-month06_model-tensor_param-fa_dwimap.nii.gz'
    """
    text = TEMPLATES[key]
    for name, value in wildcards.items():
        text = text.replace(f"{{{name}}}", value)
    return f"{DERIVATIVES}/{text}"


def log(rule: str, *wildcards: str) -> str:
    """Return the path of a rule's log below the study folder.

    Parameters
    ----------
    rule : str
        Name of the rule.
    *wildcards : str
        Names of its wildcards, in the order in which they stand in the file name.

    Returns
    -------
    str
        With wildcards in braces.
    """
    name = "_".join([f"{{{wildcard}}}" for wildcard in wildcards] or ["cohort"])
    return str(PurePosixPath("logs") / rule / f"{name}.log")


def benchmark(rule: str, *wildcards: str) -> str:
    """Return the path of a rule's benchmark record below the study folder."""
    return log(rule, *wildcards).replace("logs/", "benchmarks/", 1).replace(".log", ".tsv")


def shown_in_reports(files: Sequence[str]) -> list[str]:
    """Return the one file of each figure that reports show: a browser shows no PDF in a page.

    Parameters
    ----------
    files : sequence of str
        Figures in several formats, perhaps with their data and captions.

    Returns
    -------
    list of str
        The PNG of each figure, else its SVG, in the order in which the figures come.
    """
    found: dict[str, str] = {}
    for path in files:
        name, _, extension = path.rpartition(".")
        if extension in BROWSER_FORMATS and (name not in found or extension == BROWSER_FORMATS[0]):
            found[name] = path
    return list(found.values())
