"""The simulated trial as a raw BIDS dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from msimaging.errors import Finding, raise_on_errors
from msimaging.phantom import bids
from msimaging.phantom.anatomy import tracts
from msimaging.phantom.diffusion import simulate_dwi
from msimaging.phantom.functional import planted_nodes, simulate_bold
from msimaging.phantom.head import random_motion
from msimaging.phantom.microstructure import CALLOSUM
from msimaging.phantom.truth import (
    BOLD_MOTION,
    BOLD_NOISE,
    DWI_MOTION,
    DWI_NOISE,
    OPPOSITE_NOISE,
    Effects,
    TrialTruth,
    VisitTruth,
    patient_visits,
)


def simulate_trial(
    bids_dir: Path | str,
    *,
    n_patients: int = 4,
    n_visits: int = 2,
    months: Sequence[Sequence[int]] | None = None,
    seed: int = 0,
    rd_change: float = -0.06,
    coupling_change: float = 0.15,
    tract: str = CALLOSUM,
    network: str = "default",
    rd_change_sd: float = 0.0,
    coupling_change_sd: float = 0.0,
    n_lesions: int = 6,
    lesion_growth: float = 0.5,
    dwi_voxel_size: float = 3.0,
    n_b0: int = 6,
    n_directions: int = 30,
    bval: float = 1000.0,
    snr: float | None = 30.0,
    bold_voxel_size: float = 4.0,
    n_volumes: int = 150,
    t_r: float = 2.0,
    tsnr: float | None = 80.0,
    saturation_seconds: float = 0.0,
    distortion_mm: float = 0.0,
    motion_degrees: float = 0.0,
    motion_mm: float = 0.0,
    progress: Callable[[str], None] | None = None,
) -> TrialTruth:
    """Simulate a trial and write it as a raw BIDS dataset.

    Parameters
    ----------
    bids_dir : path
        Made when missing.
    n_patients, n_visits : int
        Size. A patient's data do not depend on how many others there are.
    months : sequence of sequence of int, optional
        Planned months of each patient's visits, from 0 on, in the place of ``n_patients`` and
        ``n_visits``: months between visits may differ, and patients may miss visits or leave.
    seed : int
        Same seed, same bytes.
    rd_change, coupling_change : float
        Planted between baseline and the second visit, and again at every further one: relative
        change of radial diffusivity in ``tract`` (axial stays), and change of Fisher z within
        ``network``. Both 0 is a null trial.
    tract, network : str
        Where; nothing is planted elsewhere.
    rd_change_sd, coupling_change_sd : float
        Standard deviation of the change between patients.
    n_lesions, lesion_growth : int, float
        Lesions of a patient, and mm by which their radius grows from visit to visit.
    dwi_voxel_size, n_b0, n_directions, bval, snr
        Of the diffusion series, as in `msimaging.phantom.diffusion.simulate_dwi`.
    bold_voxel_size, n_volumes, t_r, tsnr, saturation_seconds
        Of the resting run, as in `msimaging.phantom.functional.simulate_bold`.
    distortion_mm : float
        Largest displacement of the diffusion signal along phase encoding. Above 0, two b=0 volumes
        of the opposite polarity are written to ``fmap``.
    motion_degrees, motion_mm : float
        Size of the head's walk within each run; 0 lies still.
    progress : callable, optional
        Told one line before each visit.

    Returns
    -------
    TrialTruth
        What a pipeline should find.

    Raises
    ------
    InputError
        When the tract or the network does not exist, or the trial is empty.
    """
    effects = Effects(
        tract=tract,
        network=network,
        rd_change=rd_change,
        rd_change_sd=rd_change_sd,
        coupling_change=coupling_change,
        coupling_change_sd=coupling_change_sd,
        n_lesions=n_lesions,
        lesion_growth=lesion_growth,
    )
    raise_on_errors([*_faults(n_patients, n_visits, effects), *_month_faults(months)])
    dwi = {
        "voxel_size": dwi_voxel_size,
        "n_b0": n_b0,
        "n_directions": n_directions,
        "bval": bval,
        "snr": snr,
        "distortion_mm": -distortion_mm,
    }
    bold = {
        "voxel_size": bold_voxel_size,
        "n_volumes": n_volumes,
        "t_r": t_r,
        "tsnr": tsnr,
        "saturation_seconds": saturation_seconds,
    }
    plans = [None] * n_patients if months is None else months
    patients = [
        patient_visits(seed, patient, n_visits, effects, months=plan)
        for patient, plan in enumerate(plans)
    ]
    bids.write_dataset(bids_dir, patients, seed=seed)
    for patient, place, visit in _numbered(patients):
        if progress is not None:
            progress(f"simulating {visit.participant_id} {visit.session_id}")
        _write_visit(
            Path(bids_dir),
            visit,
            stream=(seed, patient, place),
            walk=(motion_degrees, motion_mm),
            dwi_settings=dwi,
            bold_settings=bold,
        )
    return TrialTruth(
        visits=tuple(visit for visits in patients for visit in visits),
        tract=tract,
        network=network,
        rd_change=rd_change,
        coupling_change=coupling_change,
        voxel_size=dwi_voxel_size,
    )


def _faults(n_patients: int, n_visits: int, effects: Effects) -> list[Finding]:
    known = {
        "tract": (effects.tract, sorted(tract.name for tract in tracts())),
        "network": (effects.network, sorted(set(planted_nodes().networks.tolist()))),
    }
    faults = [
        Finding(
            where=where,
            rule=f"a planted {where} is one of {', '.join(names)}",
            found=repr(name),
            remedy="Use one of these names.",
        )
        for where, (name, names) in known.items()
        if name not in names
    ]
    if min(n_patients, n_visits) < 1:
        faults.append(
            Finding(
                where="n_patients, n_visits",
                rule="a trial has at least one patient and one visit",
                found=f"{n_patients} and {n_visits}",
                remedy="Ask for more.",
            )
        )
    return faults


def _month_faults(months: Sequence[Sequence[int]] | None) -> list[Finding]:
    return [
        Finding(
            where=f"months of patient {patient}",
            rule="the months of a patient's visits begin with 0 and increase",
            found=", ".join(map(str, plan)) or "no visit",
            remedy="Correct the plan.",
        )
        for patient, plan in enumerate(months or (), start=1)
        if not plan or plan[0] != 0 or sorted(set(plan)) != list(plan)
    ]


def _numbered(
    patients: Sequence[Sequence[VisitTruth]],
) -> Iterator[tuple[int, int, VisitTruth]]:
    for patient, visits in enumerate(patients):
        for place, visit in enumerate(visits):
            yield patient, place, visit


def _write_visit(
    bids_dir: Path,
    visit: VisitTruth,
    *,
    stream: tuple[int, int, int],
    walk: tuple[float, float],
    dwi_settings: dict[str, Any],
    bold_settings: dict[str, Any],
) -> None:
    degrees, mm = walk
    n_dwi = dwi_settings["n_b0"] + dwi_settings["n_directions"]
    motions = {
        place: random_motion(
            np.random.default_rng((*stream, place)), length, rotation_sd=degrees, translation_sd=mm
        )
        if degrees > 0 or mm > 0
        else ()
        for place, length in ((DWI_MOTION, n_dwi), (BOLD_MOTION, bold_settings["n_volumes"]))
    }
    lying = {"head": visit.head, "pose": visit.pose, "oblique": visit.oblique}
    still = {**lying, "biology": visit.biology, **dwi_settings}
    dwi = simulate_dwi(motion=motions[DWI_MOTION], seed=(*stream, DWI_NOISE), **still)
    bids.write_dwi(bids_dir, visit, dwi)
    if dwi_settings["distortion_mm"]:
        opposite = {"n_b0": 2, "n_directions": 0, "distortion_mm": -dwi_settings["distortion_mm"]}
        dwi = simulate_dwi(seed=(*stream, OPPOSITE_NOISE), **(still | opposite))
        bids.write_opposite(bids_dir, visit, dwi)
    bold = simulate_bold(
        head=visit.head,
        pose=visit.bold_pose,
        oblique=visit.oblique,
        coupling=visit.coupling,
        motion=motions[BOLD_MOTION],
        seed=(*stream, BOLD_NOISE),
        **bold_settings,
    )
    bids.write_bold(bids_dir, visit, bold)
