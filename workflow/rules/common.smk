import gc
import os
from functools import cache
from inspect import signature
from pathlib import Path

from msimaging.bids.anatomical import anatomical_of
from msimaging.bids.companions import (
    bold_changes,
    bold_series_files,
    connected_visits,
    dwi_changes,
    fit_files,
    dwi_series_files,
    extracted_visits,
    measured_visits,
    space_files,
)
from msimaging.bids.drawn_files import (
    drawn_bold_pairs,
    drawn_bold_scans,
    drawn_dwi_pairs,
    drawn_dwi_scans,
)
from msimaging.bids.layout import benchmark, log, output, shown_in_reports
from msimaging.bids.ledger import left_out
from msimaging.bids.plan import TENSOR_MEASURES, TENSOR_PARAMS, Plan
from msimaging.bids.resources import (
    corrections_on,
    expected,
    request_memory,
    request_minutes,
    work_on,
)
from msimaging.bids.shells import FURTHER_MODELS
from msimaging.bids.ways_in import WaysIn
from msimaging.provenance import code_digest, settings_digest, version
from msimaging.settings import validated

# one thread per job gives the same bytes everywhere; jobs themselves run side by side
for _variable in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
):
    os.environ[_variable] = "1"
os.environ.setdefault("MPLBACKEND", "agg")
# a home folder may be read-only, full or slow: what libraries keep for later lies in the study
for _variable, _folder in (
    ("MPLCONFIGDIR", "matplotlib"),
    ("NUMBA_CACHE_DIR", "numba"),
    ("DIPY_HOME", "dipy"),
    ("NILEARN_DATA", "nilearn"),
    ("XDG_CACHE_HOME", "."),
):
    os.environ.setdefault(_variable, str(Path.cwd() / ".msimaging/cache" / _folder))

# planning makes millions of objects that stay: looking for garbage among them less often takes 15 %
# less time and 11 % more memory
gc.set_threshold(10_000_000, 50, 50)

# how scans came in and who is told change no result
SETTINGS = {
    name: section
    for name, section in validated(config).items()
    if name not in {"ingest", "notify"}
}
PLAN = Plan.of_study(Path.cwd(), SETTINGS)
WAYS_IN = WaysIn.of(PLAN)
TRIAL = PLAN.trial
TASK = SETTINGS["functional"]["task"]
MEASURES_DRAWN = SETTINGS["figures"]["measures"]
FIRST_ATLAS = (PLAN.functional_atlases or [""])[0]
FIGURE_STYLE = SETTINGS["figures"]["style"]


wildcard_constraints:
    sub="sub-[A-Za-z0-9]+",
    ses="ses-[A-Za-z0-9]+",
    atlas="[A-Za-z0-9]+",
    pair="[A-Za-z0-9]+",
    model="[A-Za-z][A-Za-z0-9-]*",
    figure="courses|swimmers|power|specifications",
    part="results|tests|contributions|notes|counts",
    param="|".join(TENSOR_PARAMS),


def with_signature(question):
    """Keep a function's parameters beside it: Snakemake inspects them again for each job."""
    question.__signature__ = signature(question)
    return question


def code(step):
    """Digest of the code behind a step: editing it re-runs the step's rule and no other."""
    return code_digest(f"msimaging.steps.{step}")


def later(question, *arguments, **keywords):
    """Input or params function: asked by the job concerned, and not by every job that starts.

    Each job on a cluster reads all rules again; lists of all visits would cost it seconds.
    """

    @with_signature
    def answer(wildcards):
        return question(*arguments, **keywords)

    return answer


@cache
def _expected(step, modality, sub, ses, pair):
    scans = PLAN.scans_behind(modality, sub=sub, ses=ses, pair=pair)
    switched_on = ()
    if step == "preprocess_dwi":
        switched_on = corrections_on(PLAN, sub)
    return expected(step, work_on(scans), corrections=switched_on)


def _whose(wildcards):
    """Patient, visit and pair of a job, empty where it has none."""
    return (wildcards.get(name, "") for name in ("sub", "ses", "pair"))


def memory(step, modality=None):
    """Resource function: memory by the sizes of a job's scans, doubled at each attempt."""

    @with_signature
    def mem_mb(wildcards, attempt):
        peak, _ = _expected(step, modality, *_whose(wildcards))
        return request_memory(peak, attempt=attempt)

    return mem_mb


def minutes(step, modality=None):
    """Resource function: run time by the sizes of a job's scans, doubled at each attempt."""

    @with_signature
    def runtime(wildcards, attempt):
        _, seconds = _expected(step, modality, *_whose(wildcards))
        return request_minutes(seconds, attempt=attempt)

    return runtime


def made_by(*sections):
    """Version and digest of the settings that visits must share to be compared."""
    chosen = {
        name: SETTINGS[name] for name in (*sections, "atlases", "spatial", "seed")
    }
    return {"version": version(), "settings": settings_digest(chosen)}


@with_signature
def raw_dwi(wildcards):
    return PLAN.raw("dwi", wildcards.sub, wildcards.ses)


def why_distorted(modality):
    """Params function: why susceptibility distortion stays, empty where it is corrected."""
    return with_signature(lambda wildcards: PLAN.why_distorted(modality, wildcards.sub))


@with_signature
def further_of_patient(wildcards):
    """Input function: maps of the models that a patient's visits have beside the tensor."""
    sub = wildcards.sub
    visits = [PLAN.model_maps(sub, ses) for ses in PLAN.sessions("dwi", sub)]
    return [path for maps in visits for path in maps.values()]


@with_signature
def why_moving(wildcards):
    """Params function: why head motion stays in diffusion, empty where it is corrected."""
    return PLAN.why_moving(wildcards.sub)


@with_signature
def raw_bold(wildcards):
    return PLAN.raw("bold", wildcards.sub, wildcards.ses)


@with_signature
def given_confounds(wildcards):
    """Input function: the confounds that pipelines have computed, none for raw runs."""
    sub = wildcards.sub
    raw = [PLAN.raw("bold", sub, ses) for ses in PLAN.sessions("bold", sub)]
    return [path for files in raw for path in files.get("confounds", [])]


def pipeline_of(modality):
    """Params function: what has preprocessed a scan."""

    @with_signature
    def pipeline(wildcards):
        (scan,) = PLAN.scans_behind(modality, sub=wildcards.sub, ses=wildcards.ses)
        return scan.pipeline

    return pipeline


def of_pair(modality, key, *, each=None, **fixed):
    """Input function: an output for both visits of a pair, baseline first.

    `each` is a wildcard with several values: the pair of the first value comes first.
    """
    name, values = each or ("", [""])

    @with_signature
    def files(wildcards):
        pair = PLAN.pair(modality, wildcards.sub, wildcards.pair)
        return [
            output(key, sub=wildcards.sub, ses=ses, **fixed, **{name: value})
            for value in values
            for ses in pair.sessions
        ]

    return files


def scans_of_pair(modality):
    """Params function: raw files of both scans of a pair, baseline first."""

    @with_signature
    def scans(wildcards):
        return PLAN.raw_of_pair(modality, wildcards.sub, wildcards.pair)

    return scans


def of_visit(key, **fixed):
    """Params function: an output of a job's visit."""
    return with_signature(
        lambda wildcards: output(key, sub=wildcards.sub, ses=wildcards.ses, **fixed)
    )


def of_patient(modality, key, **fixed):
    """Input function: one output for every visit of a patient."""

    @with_signature
    def files(wildcards):
        return PLAN.of_visits(modality, key, wildcards.sub, **fixed)

    return files


def changes_of_patient(modality):
    """Input function: what stands for a patient's changes, nothing without a pair of visits."""
    return with_signature(lambda wildcards: PLAN.changed(modality, wildcards.sub))


def founders(modality):
    """Params function: the sessions that make a patient's midpoint space."""
    return with_signature(lambda wildcards: PLAN.founders(modality, wildcards.sub))


def of_founders(modality, key, **fixed):
    """Input function: one output for each visit that makes the midpoint space."""

    @with_signature
    def files(wildcards):
        sub = wildcards.sub
        return [
            output(key, sub=sub, ses=ses, **fixed)
            for ses in PLAN.founders(modality, sub)
        ]

    return files


def lesions_of_founders(modality):
    """Input function: lesion masks of those visits, none where a visit has no mask."""

    @with_signature
    def files(wildcards):
        sub = wildcards.sub
        return PLAN.lesion_masks(modality, sub, PLAN.founders(modality, sub))

    return files


@with_signature
def anatomical_of_patient(wildcards):
    """Input function: the T1-weighted image that runs are registered over, none without one."""
    found = anatomical_of(PLAN, wildcards.sub)
    return found[0] if found else []


@with_signature
def anatomical_session(wildcards):
    """Params function: the visit of that image, empty without one."""
    found = anatomical_of(PLAN, wildcards.sub)
    return found[1] if found else ""


def lesions_of_patient(modality):
    """Input function: lesion masks of all visits, none where a visit has no mask."""
    return with_signature(lambda wildcards: PLAN.lesion_masks(modality, wildcards.sub))


@with_signature
def tissue_of_patient(wildcards):
    masks = PLAN.lesion_masks("dwi", wildcards.sub)
    return [output("lesion_tissue", sub=wildcards.sub)] if masks else []


@with_signature
def lesions_of_pair(wildcards):
    sessions = sessions_of_pair("dwi")(wildcards)
    return PLAN.lesion_masks("dwi", wildcards.sub, sessions)


def poses_of_pair(modality):
    """Params function: where the poses of both visits stand."""

    @with_signature
    def files(wildcards):
        return PLAN.poses(
            modality, wildcards.sub, sessions_of_pair(modality)(wildcards)
        )

    return files


def poses_of_patient(modality, **fixed):
    """Params function: where the poses of all visits stand."""

    @with_signature
    def files(wildcards):
        sub = wildcards.sub
        return PLAN.poses(modality, sub, PLAN.sessions(modality, sub), **fixed)

    return files


def ways_of_patient(modality, **fixed):
    """Input function: what stands for the ways between a patient's visits and the template."""

    @with_signature
    def files(wildcards):
        sub = wildcards.sub
        return PLAN.ways(modality, sub, PLAN.sessions(modality, sub), **fixed)

    return files


def ways_of_visit(modality, **fixed):
    """Input function: what stands for the ways between a visit and the template."""
    return with_signature(
        lambda wildcards: PLAN.ways(modality, wildcards.sub, [wildcards.ses], **fixed)
    )


def ways_of_pair(modality, **fixed):
    """Input function: what stands for the ways between both visits and the template."""

    @with_signature
    def files(wildcards):
        both = sessions_of_pair(modality)(wildcards)
        return PLAN.ways(modality, wildcards.sub, both, **fixed)

    return files


def space_of_patient(modality):
    """Params function: the files of a patient's space beside the way from the template."""
    return with_signature(lambda wildcards: space_files(PLAN, modality, wildcards.sub))


def for_patient(question):
    """Params function: what the study tells of a job's patient."""
    return with_signature(lambda wildcards: question(PLAN, wildcards.sub))


def for_visit(question):
    """Params function: what the study tells of a job's visit."""
    return with_signature(
        lambda wildcards: question(PLAN, wildcards.sub, wildcards.ses)
    )


def pose(modality, **fixed):
    """Params function: where the pose of one visit stands."""
    return with_signature(
        lambda wildcards: PLAN.pose(modality, wildcards.sub, wildcards.ses, **fixed)
    )


@with_signature
def warps_of_patient(wildcards):
    """Input function: bent ways from the midpoint to all visits, none where they are rigid."""
    sub = wildcards.sub
    return [path for ses in PLAN.sessions("dwi", sub) for path in PLAN.warps(sub, ses)]


def sessions_of_patient(modality):
    """Params function: the sessions of a patient, in the order of time."""

    @with_signature
    def sessions(wildcards):
        return PLAN.sessions(modality, wildcards.sub)

    return sessions


def sessions_of_pair(modality):
    """Params function: both sessions of a pair, with their prefixes."""

    @with_signature
    def sessions(wildcards):
        pair = PLAN.pair(modality, wildcards.sub, wildcards.pair)
        return list(pair.sessions)

    return sessions


def atlas_files(names):
    """Own label images and tables among the named atlases."""
    own = SETTINGS["atlases"]["files"]
    return [
        own[name][part] for name in names if name in own for part in ("image", "table")
    ]


def of_all_pairs(end, key, **fixed):
    """Input function: one BOLD output for the earlier or later visit of every pair."""

    @with_signature
    def files(wildcards):
        return PLAN.of_pairs_ends(
            "bold", key, end, task=TASK, atlas=wildcards.atlas, **fixed
        )

    return files


def drawn(key, category, labels, *, caption, **fixed):
    """A figure in every format with its data and caption; one format is in Snakemake's report.

    `caption` is the name of a template below workflow/report: it includes the caption's file.
    """
    paths = PLAN.figure_files(key, **fixed)
    place = paths.index(*shown_in_reports(paths))
    look = {
        "category": category,
        "labels": labels,
        "caption": f"../report/{caption}.rst",
    }
    paths[place] = report(paths[place], **look)
    return paths


def drawn_of_patient(modality, ending):
    """The folder of a patient's pictures; the figures among them are in Snakemake's report."""
    (shown,) = shown_in_reports([f"x.{ext}" for ext in SETTINGS["figures"]["formats"]])
    return report(
        directory(output("patient_figures", modality=modality)),
        patterns=[f"{{sub,[^_]+}}_{{figure,.*{ending}}}{Path(shown).suffix}"],
        caption="../report/patient.rst",
        category="Patients",
        labels={"patient": "{sub}", "figure": "{figure}"},
    )


@with_signature
def motion_of_model(wildcards):
    """Input function: scans with known motion, where motion is a covariate."""
    if not TRIAL.needs_motion(wildcards.model):
        return []
    return [
        *PLAN.of_all_visits("dwi", "tensor"),
        *PLAN.of_all_visits("bold", "bold", task=TASK),
    ]


@with_signature
def motion_files_of_model(wildcards):
    """Params function: their tables of quality (diffusion) or of motion (resting runs)."""
    if not TRIAL.needs_motion(wildcards.model):
        return []
    return [
        *PLAN.of_all_visits("dwi", "dwi_quality"),
        *PLAN.of_all_visits("bold", "bold_motion", task=TASK),
    ]


@with_signature
def motion_rows_of_model(wildcards):
    """Params function: patient, session and modality of these tables."""
    if not TRIAL.needs_motion(wildcards.model):
        return []
    return [
        {
            "participant_id": v.participant_id,
            "session_id": v.session_id,
            "modality": modality,
        }
        for modality in ("dwi", "bold")
        for v in PLAN.visits_with(modality)
    ]


@with_signature
def edges_of_model(wildcards):
    """Input function: what stands for every edge's change, where a model works on edges."""
    return PLAN.changed("bold") if TRIAL.edge_atlases(wildcards.model) else []


@with_signature
def edge_files_of_model(wildcards):
    """Params function: change of every edge of all patients."""
    atlases = TRIAL.edge_atlases(wildcards.model)
    return PLAN.of_all_pairs("bold", "connectivity_change", task=TASK, atlas=atlases)


@with_signature
def edge_rows_of_model(wildcards):
    """Params function: patient, sessions, months and atlas of these matrices."""
    return PLAN.pair_rows("bold", TRIAL.edge_atlases(wildcards.model))


@with_signature
def planned_settings(wildcards):
    """Params function: settings of the model that the next trial is planned on."""
    return TRIAL.model_settings(TRIAL.planned_model)


@with_signature
def primary_settings(wildcards):
    """Params function: settings of the primary model."""
    return TRIAL.model_settings(TRIAL.primary_model)


@with_signature
def tables_of_figure(wildcards):
    """Input function: the tables that a figure of the trial shows, by name."""
    return {
        "swimmers": {
            "outcomes": output("outcomes"),
            "treatments": output("treatments"),
        },
        "courses": {"outcomes": output("outcomes")},
        "power": {"curves": output("power_curves")},
        "specifications": {"specifications": output("specification_curve")},
    }[wildcards.figure]
