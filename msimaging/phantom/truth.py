"""Who the simulated patients are, what changes in them, and what is true of each visit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from msimaging.parcellation import Parcellation, region_statistics
from msimaging.phantom.functional import typical_coupling
from msimaging.phantom.head import Head, Pose, random_head, random_pose
from msimaging.phantom.microstructure import Biology, Microstructure, microstructure, random_lesions

MAPS = ("fa", "md", "ad", "rd")
DAYS_PER_MONTH = 30.4375
# the independent random streams of one seed: drawing from one never shifts another
PATIENT, VISIT, DWI_NOISE, BOLD_NOISE, DWI_MOTION, BOLD_MOTION, OPPOSITE_NOISE = range(7)


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitTruth:
    """What is true of one visit.

    Attributes
    ----------
    participant_id, session_id : str
        With their ``sub-`` and ``ses-``.
    acquired : datetime
        When.
    months : float
        Since baseline.
    edss : float
        Disability score.
    head : Head
        The patient's anatomy.
    pose, bold_pose : Pose
        Of the head in the two series.
    oblique : (3, 3) ndarray
        Rotation of the slices.
    biology : Biology
        Tissue, planted change and lesions at this visit.
    coupling : dict
        Fisher z within each network.
    """

    participant_id: str
    session_id: str
    acquired: datetime
    months: float
    edss: float
    head: Head
    pose: Pose
    bold_pose: Pose
    oblique: NDArray[np.float64]
    biology: Biology
    coupling: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialTruth:
    """What was planted in a trial.

    Attributes
    ----------
    visits : tuple of VisitTruth
        Patients and their visits in order.
    tract, network : str
        Where the changes are.
    rd_change : float
        Mean relative change of radial diffusivity from baseline to the second visit.
    coupling_change : float
        Mean change in Fisher z within the network from baseline to the second visit.
    voxel_size : float
        Of the diffusion series, mm: the partial volume of the true maps.
    """

    visits: tuple[VisitTruth, ...]
    tract: str
    network: str
    rd_change: float
    coupling_change: float
    voxel_size: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What is planted.

    Attributes
    ----------
    tract, network : str
        Where.
    rd_change, rd_change_sd : float
        Relative change of radial diffusivity a visit: mean and spread between patients.
    coupling_change, coupling_change_sd : float
        Change in Fisher z a visit: mean and spread between patients.
    n_lesions, lesion_growth : int, float
        Lesions, and mm by which their radius grows a visit.
    """

    tract: str
    network: str
    rd_change: float
    rd_change_sd: float
    coupling_change: float
    coupling_change_sd: float
    n_lesions: int
    lesion_growth: float


def patient_visits(
    seed: int,
    patient: int,
    n_visits: int,
    effects: Effects,
    *,
    months: Sequence[int] | None = None,
) -> tuple[VisitTruth, ...]:
    """Draw one patient.

    Parameters
    ----------
    seed : int
        Of the trial.
    patient : int
        Counted from 0; the draw depends on nobody else.
    n_visits : int
        Visits, about six months apart (5 to 7).
    effects : Effects
        What is planted.
    months : sequence of int, optional
        Planned month of each visit, from 0 on, in the place of ``n_visits``: visits are then up to
        four days off the plan, and missed ones are not in it.

    Returns
    -------
    tuple of VisitTruth
        In the order of the visits.
    """
    rng = np.random.default_rng((seed, patient, 0, PATIENT))
    head = random_head(rng)
    factors = 1 + 0.03 * rng.normal(size=2).clip(-2, 2)
    baseline_z = 0.04 * rng.normal(size=len(typical_coupling())).clip(-2, 2)
    rd_change = effects.rd_change + effects.rd_change_sd * rng.normal()
    z_change = effects.coupling_change + effects.coupling_change_sd * rng.normal()
    start = datetime(2024, 1, 15, 9, tzinfo=UTC) + timedelta(minutes=int(rng.integers(0, 400_000)))
    edss = 1.0 + 0.5 * float(rng.integers(0, 10))
    centres, radii = random_lesions(rng, effects.n_lesions)
    plan = [6 * visit for visit in range(n_visits)] if months is None else list(months)
    visits, days = [], 0.0
    for visit, month in enumerate(plan):
        own = np.random.default_rng((seed, patient, visit, VISIT))
        if visit and months is None:
            days += float(own.integers(153, 213))
        elif visit:
            days = float(round(month * DAYS_PER_MONTH) + own.integers(-4, 5))
        edss += 0.0 if visit == 0 else float(own.choice([-0.5, 0.0, 0.0, 0.5]))
        pairs = zip(typical_coupling().items(), baseline_z, strict=True)
        visits.append(
            VisitTruth(
                participant_id=f"sub-{patient + 1:02d}",
                session_id="ses-baseline" if visit == 0 else f"ses-month{month:02d}",
                acquired=start + timedelta(days=days),
                months=days / DAYS_PER_MONTH,
                edss=edss,
                head=head,
                pose=random_pose(own),
                bold_pose=random_pose(own),
                oblique=random_pose(own, rotation_sd=2.0).rotation,
                biology=Biology(
                    ad_factor=float(factors[0]),
                    rd_factor=float(factors[1]),
                    rd_change=visit * float(rd_change),
                    tract=effects.tract,
                    lesion_centres=centres,
                    lesion_radii=radii + visit * effects.lesion_growth,
                ),
                coupling={
                    name: z + float(own_z) + (name == effects.network) * visit * float(z_change)
                    for (name, z), own_z in pairs
                },
            )
        )
    return tuple(visits)


def true_maps(
    visit: VisitTruth, points: NDArray[np.float64], *, voxel_size: float = 3.0
) -> Microstructure:
    """Evaluate the true maps of a visit in template space.

    Parameters
    ----------
    visit : VisitTruth
        One visit of a trial.
    points : (V, 3) ndarray
        Template mm.
    voxel_size : float
        Partial volume in mm.

    Returns
    -------
    Microstructure
        With ``fa``, ``md``, ``ad``, ``rd`` and the direction in the template's frame.
    """
    return microstructure(points, visit.biology, fwhm=voxel_size)


def true_region_values(truth: TrialTruth, parcellation: Parcellation) -> pd.DataFrame:
    """Average the true maps over the regions of any atlas in template space.

    Parameters
    ----------
    truth : TrialTruth
        Of `simulate_trial`.
    parcellation : Parcellation
        In template space.

    Returns
    -------
    DataFrame
        ``participant_id session_id index name fa md ad rd``, diffusivities in mm2/s, one row a
        visit and region.
    """
    voxels = np.nonzero(parcellation.labels_img)
    affine, shape = parcellation.affine, parcellation.labels_img.shape
    points = np.stack(voxels, axis=1) @ affine[:3, :3].T + affine[:3, 3]
    frames = []
    for visit in truth.visits:
        maps = true_maps(visit, points, voxel_size=truth.voxel_size)
        columns = {}
        for name in MAPS:
            values = np.full(shape, np.nan)
            values[voxels] = np.where(maps.brain, getattr(maps, name), np.nan)
            found = region_statistics(values, parcellation.labels_img, parcellation.indices)
            columns[name] = found.mean
        frames.append(
            pd.DataFrame(
                {
                    "participant_id": visit.participant_id,
                    "session_id": visit.session_id,
                    "index": parcellation.indices,
                    "name": parcellation.names,
                    **columns,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)
