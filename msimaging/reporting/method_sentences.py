"""What each step does, in one sentence of a methods section; braces take the step's settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodSentence:
    """One step in words.

    Attributes
    ----------
    chapter : str
        Heading under which the step is told.
    name : str
        The step as a noun, for the list of what did not run.
    text : str
        The sentence; ``{setting}`` is replaced by the step's setting.
    references : tuple of str
        Keys of `references.REFERENCES`.
    """

    chapter: str
    name: str
    text: str
    references: tuple[str, ...] = ()


CHAPTERS = (
    "Data",
    "Diffusion MRI",
    "Resting-state fMRI",
    "Spatial processing",
    "Change of single patients",
    "Statistics",
    "Software",
)


def _sentence(chapter: int, name: str, text: str, *references: str) -> MethodSentence:
    return MethodSentence(chapter=CHAPTERS[chapter], name=name, text=text, references=references)


SENTENCES = {
    "check_gradients": _sentence(
        1,
        "check of the gradient table",
        "Gradient tables were checked against the images before use.",
    ),
    "denoise_dwi": _sentence(
        1,
        "denoising",
        "Diffusion-weighted images were denoised by Marchenko-Pastur principal components.",
        "veraart2016",
    ),
    "remove_gibbs": _sentence(
        1,
        "removal of Gibbs ringing",
        "Gibbs ringing was removed by local subvoxel shifts.",
        "kellner2016",
    ),
    "replace_slices": _sentence(
        1,
        "replacement of dropped slices",
        "Slices that had lost signal were replaced by what the other volumes foretold and had no "
        "weight in the tensor fit.",
        "andersson2016",
    ),
    "correct_dwi_motion": _sentence(
        1,
        "correction of head motion and eddy currents",
        "Head motion and eddy currents were corrected and the b-vectors turned accordingly.",
        "leemans2009",
    ),
    "correct_distortion": _sentence(
        1,
        "correction of susceptibility distortion",
        "Susceptibility distortion was corrected ({method}).",
    ),
    "correct_bias": _sentence(
        1, "correction of the bias field", "The bias field was corrected by N4.", "tustison2010"
    ),
    "preprocess_dwi": _sentence(
        1,
        "preparation of diffusion images",
        "Diffusion-weighted images were read with their gradients and a brain mask was made.",
    ),
    "import_dwi": _sentence(
        1,
        "diffusion series preprocessed by QSIPrep",
        "Series that QSIPrep had preprocessed entered after that step, with its gradients and "
        "brain mask.",
        "cieslak2021",
    ),
    "fit_tensor": _sentence(
        1,
        "tensor fit",
        "The diffusion tensor was fitted in every voxel of the mask with DIPY (method {fit}); "
        "fractional anisotropy and mean, axial and radial diffusivity were taken from it.",
        "basser1994",
        "garyfallidis2014",
    ),
    "fit_free_water": _sentence(
        1,
        "free-water elimination",
        "Free water was told from tissue by a two-compartment fit to the shells up to "
        "{highest} s/mm2 with DIPY; its fraction and the tensor measures of the tissue beside it "
        "are given too.",
        "hoy2014",
        "henriques2017",
    ),
    "fit_kurtosis": _sentence(
        1,
        "diffusion kurtosis",
        "Mean, axial and radial kurtosis were fitted to the shells up to {highest} s/mm2 with "
        "DIPY.",
        "jensen2005",
    ),
    "measure_diffusion": _sentence(
        1,
        "region means of tensor measures",
        "Tensor measures were averaged over the regions of {atlas} in {space}.",
    ),
    "bootstrap_tensor": _sentence(
        1,
        "wild bootstrap of the tensor",
        "Standard errors of tensor measures come from a wild bootstrap of {samples} resamples.",
        "whitcher2008",
    ),
    "correct_slice_timing": _sentence(
        2, "slice-timing correction", "Slice timing was corrected to the middle of each volume."
    ),
    "correct_bold_motion": _sentence(
        2,
        "BOLD motion correction",
        "BOLD volumes were aligned rigidly; framewise displacement was computed after Power.",
        "power2012",
    ),
    "preprocess_bold": _sentence(
        2,
        "preparation of BOLD images",
        "BOLD images were prepared: steady state, head motion, mask and confounds.",
        "power2012",
    ),
    "correct_bold_distortion": _sentence(
        2,
        "correction of susceptibility distortion of resting runs",
        "Susceptibility distortion of resting runs was corrected in the same resampling as head "
        "motion ({method}), in all visits of a patient or in none.",
        "andersson2003",
    ),
    "import_bold": _sentence(
        2,
        "runs preprocessed by fMRIPrep",
        "Runs that fMRIPrep had preprocessed entered after that step, with its brain mask and "
        "confounds.",
        "esteban2019",
    ),
    "extract_parcels": _sentence(
        2,
        "parcel time series",
        "Time series were averaged over the parcels of {atlas}; parcels covered less than "
        "{min_coverage} are missing.",
        "abraham2014",
    ),
    "clean_time_series": _sentence(
        2,
        "regression of confounds",
        "Confounds were regressed out (strategy {strategy}) with a pass band from {high_pass} "
        "to {low_pass} Hz.",
    ),
    "equalise_visits": _sentence(
        2,
        "equal amounts of data",
        "All visits of a patient were cut to the same number of clean volumes ({matching} "
        "matching) and to the parcels that every visit covers; runs with less than {min_minutes} "
        "minutes or {min_volumes} volumes of clean data were left out of statistics.",
    ),
    "connect_parcels": _sentence(
        2,
        "connectivity",
        "Connectivity between parcels was estimated with nilearn ({kinds}); correlations were "
        "Fisher z-transformed for comparison.",
        "abraham2014",
    ),
    "map_seeds": _sentence(
        2,
        "seed maps",
        "Cleaned signals of {seeds} were correlated with those of every voxel and Fisher's z "
        "carried to the template in one resampling.",
    ),
    "connect_group": _sentence(
        2,
        "tangent-space connectivity",
        "Tangent-space connectivity was taken against the mean covariance of the {reference}.",
        "varoquaux2010",
    ),
    "build_dwi_space": _sentence(
        3,
        "within-patient space of diffusion images",
        "All visits of a patient were aligned to a midpoint space in which none is the reference, "
        "then to the MNI template by an affine and a symmetric diffeomorphic transform; composed "
        "transforms were applied in one resampling.",
        "reuter2012",
        "lowekamp2013",
        "avants2008",
    ),
    "build_bold_space": _sentence(
        3,
        "within-patient space of BOLD images",
        "BOLD images took the same way: midpoint of the visits, template, one resampling.",
        "reuter2012",
    ),
    "register_over_t1w": _sentence(
        3,
        "registration over the T1-weighted image",
        "The way of BOLD images to the template led over one T1-weighted image of the patient, the "
        "same for all visits: their mean was registered to the boundary of its white matter with "
        "six parameters, and it to the template by an affine and a symmetric diffeomorphic "
        "transform.",
        "greve2009",
        "avants2008",
    ),
    "adopt_bold_space": _sentence(
        3,
        "runs already in template space",
        "Runs that fMRIPrep had brought to a space of the MNI152 family were read there, without "
        "further registration.",
        "esteban2019",
    ),
    "join_dwi_space": _sentence(
        3,
        "later visits in a frozen space",
        "Visits after the second were registered to the space of the first two, which stayed as it "
        "was.",
    ),
    "warp_dwi_visit": _sentence(
        3,
        "warp of each visit to the mean of all",
        "Each visit was then bent to the mean of all visits of its patient (diffeomorphic demons "
        "on FA, lesions filled), composed with the other transforms into one resampling.",
        "vercauteren2009",
    ),
    "split_tissue": _sentence(
        3,
        "tissue around lesions",
        "Lesions of all visits were carried to the midpoint space; measures are given for lesions, "
        "a rim of {rim} mm, and normal-appearing tissue, which lies outside the lesions of every "
        "visit. Lesions were left out of the registration to the template.",
    ),
    "normalise_maps": _sentence(
        3,
        "maps in template space",
        "Scalar maps were resampled once to the template's space; tensors were turned by the "
        "finite strain, main directions so that they are preserved along the tissue.",
        "alexander2001",
    ),
    "change_lesions": _sentence(
        4,
        "fate of lesions",
        "Lesions were followed by overlap in the midpoint space as new, enlarged, shrunken, gone, "
        "merged or split.",
    ),
    "change_diffusion": _sentence(
        4,
        "change of tensor measures",
        "Change is follow-up minus baseline, with a standard error from the wild bootstrap of both "
        "visits; it is called detectable when its interval excludes zero.",
        "whitcher2008",
    ),
    "change_connectivity": _sentence(
        4,
        "change of connectivity",
        "Change of connectivity is the difference of Fisher z values: of edges, of their means "
        "within and between networks, and of the mean over the edges of each parcel (its "
        "strength), with variances that account for autocorrelation and for edges that share "
        "a parcel.",
        "afyouni2019",
    ),
    "judge_reliability": _sentence(
        4,
        "comparison with rescans",
        "A change is called reliable when it exceeds the smallest detectable change, 2.77 times "
        "the standard deviation between sessions of unchanged people.",
        "veenith2013",
    ),
    "test_changes": _sentence(
        5,
        "tests of the cohort",
        "Mean changes are given with {confidence} confidence intervals and tested by flipping the "
        "signs of the patients' changes; p-values were adjusted within each family ({adjustment}).",
        "winkler2014",
    ),
    "test_networks": _sentence(
        5, "network-based statistic", "Edges were tested as networks.", "zalesky2010"
    ),
    "fit_models": _sentence(
        5, "longitudinal models", "Longitudinal models were fitted as listed: {models}."
    ),
    "run_workflow": _sentence(6, "workflow", "Steps were run by Snakemake.", "molder2021"),
}

BY_SETTING = {
    ("adjustment", "bh"): "benjamini1995",
    ("adjustment", "holm"): "holm1979",
    ("adjustment", "max-t"): "westfall1993",
    ("atlas", "dosenbach160"): "dosenbach2010",
    ("strategy", "acompcor"): "behzadi2007",
    ("strategy", "acompcor+gsr"): "behzadi2007",
}
