"""Simulated resting BOLD: networks with known coupling, tissue signals, drift, noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import signal
from scipy.spatial import cKDTree

from msimaging.atlases.library import load_atlas
from msimaging.errors import Finding, InputError
from msimaging.phantom.anatomy import Tissue, tissue_at
from msimaging.phantom.diffusion import moved
from msimaging.phantom.head import (
    STRAIGHT,
    TEMPLATE_HEAD,
    Head,
    Pose,
    distorted_origin,
    grid_points,
    scanner_grid,
)

BETWEEN_Z = 0.10
NODE_REACH = 9.0
BOLD_GREY, BOLD_WHITE, BOLD_FLUID = 500.0, 400.0, 650.0
NODE_PERCENT = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedBOLD:
    """A resting series with its truth.

    Attributes
    ----------
    data : (X, Y, Z, T) ndarray of float32
        Signals.
    affine : (4, 4) ndarray
        Voxel indices to scanner RAS mm.
    mask : (X, Y, Z) ndarray of bool
        Brain.
    t_r : float
        Seconds between volumes.
    node_series : (T, P) ndarray
        What each node of the Dosenbach atlas carries, in the order of its table.
    coupling : dict
        Fisher z within each network, as planted.
    """

    data: NDArray[np.float32]
    affine: NDArray[np.float64]
    mask: NDArray[np.bool_]
    t_r: float
    node_series: NDArray[np.float64]
    coupling: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """The nodes that carry the planted networks.

    Attributes
    ----------
    centres : (P, 3) ndarray
        Template mm.
    networks : (P,) ndarray of str
        Network of each.
    """

    centres: NDArray[np.float64]
    networks: NDArray[np.str_]


@lru_cache(maxsize=1)
def planted_nodes() -> Nodes:
    """Return the 160 nodes of Dosenbach et al. (2010), in the order of the atlas table."""
    atlas = load_atlas("dosenbach160")
    return Nodes(
        centres=atlas.table[["x", "y", "z"]].to_numpy(dtype=np.float64),
        networks=atlas.networks.astype(str),
    )


def typical_coupling() -> dict[str, float]:
    """Return the Fisher z within each network, different for each.

    Returns
    -------
    dict
        Network to z; between networks it is 0.10.
    """
    return {
        "cerebellum": 0.30,
        "cingulo-opercular": 0.35,
        "default": 0.40,
        "fronto-parietal": 0.38,
        "occipital": 0.50,
        "sensorimotor": 0.45,
    }


def planted_correlation(coupling: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the correlation of all nodes.

    Parameters
    ----------
    coupling : mapping
        Fisher z within each network, none below 0.10.

    Returns
    -------
    (P, P) ndarray
        tanh(z) within a network and tanh(0.10) between networks.

    Raises
    ------
    InputError
        When a network is unknown or its z is below that between networks.
    """
    networks = planted_nodes().networks
    known = set(networks.tolist())
    wrong = [name for name in coupling if name not in known] + sorted(known - set(coupling))
    low = [name for name, z in coupling.items() if z < BETWEEN_Z]
    if wrong or low:
        finding = Finding(
            where="coupling",
            rule=f"each of {', '.join(sorted(known))} needs one Fisher z of at least {BETWEEN_Z}",
            found=f"{dict(coupling)}",
            remedy="Give one value for each network.",
        )
        raise InputError([finding])
    within = np.tanh([coupling[name] for name in networks])
    same = networks[:, None] == networks
    correlation = np.where(same, within[:, None], np.tanh(BETWEEN_Z))
    np.fill_diagonal(correlation, 1)
    return np.asarray(correlation)


def simulate_node_series(
    coupling: Mapping[str, float],
    *,
    n_volumes: int,
    autocorrelation: float = 0.4,
    seed: int | Sequence[int] = 0,
) -> NDArray[np.float64]:
    """Draw the series of all nodes.

    Parameters
    ----------
    coupling : mapping
        Fisher z within each network.
    n_volumes : int
        Time points.
    autocorrelation : float
        Of neighbouring time points (first-order autoregression), the same for all nodes, so that
        it leaves the correlation between nodes as planted.
    seed : int or sequence of int
        Of the draw.

    Returns
    -------
    (T, P) ndarray
        Unit variance.
    """
    shares = np.linalg.cholesky(planted_correlation(coupling))
    steps = np.random.default_rng(seed).normal(size=(n_volumes, len(shares))) @ shares.T
    return _autoregressive(steps, autocorrelation)


def _autoregressive(steps: NDArray[np.float64], phi: float) -> NDArray[np.float64]:
    """Filter unit steps (T, K) to a stationary series of unit variance."""
    scaled = steps * np.sqrt(1 - phi**2)
    scaled[0] = steps[0]
    return np.asarray(signal.lfilter([1.0], [1.0, -phi], scaled, axis=0))


def simulate_bold(
    *,
    head: Head = TEMPLATE_HEAD,
    pose: Pose = STRAIGHT,
    oblique: NDArray[np.float64] | None = None,
    coupling: Mapping[str, float] | None = None,
    voxel_size: float = 4.0,
    n_volumes: int = 150,
    t_r: float = 2.0,
    tsnr: float | None = 80.0,
    physiology_percent: float = 0.3,
    drift_percent: float = 1.0,
    autocorrelation: float = 0.4,
    saturation_seconds: float = 0.0,
    distortion_mm: float = 0.0,
    motion: Sequence[Pose] = (),
    seed: int | Sequence[int] = 0,
) -> SimulatedBOLD:
    """Simulate one resting run.

    Parameters
    ----------
    head, pose, oblique
        As in `msimaging.phantom.diffusion.simulate_dwi`.
    coupling : mapping, optional
        Fisher z within each network; `typical_coupling` by default.
    voxel_size : float
        mm.
    n_volumes, t_r : int, float
        Length of the run and seconds between volumes.
    tsnr : float or None
        Grey matter over the noise of one voxel; None leaves the noise out.
    physiology_percent : float
        Size of the signals of white matter and fluid that leak into the whole brain.
    drift_percent : float
        Slow drift over the run.
    autocorrelation : float
        Of neighbouring time points.
    saturation_seconds : float
        Signal before the steady state is higher for about this time; 0 when the scanner has
        thrown these volumes away.
    distortion_mm : float
        Largest displacement of signal along the second image axis, as near the sinuses; the other
        sign is the opposite phase-encoding polarity. The true mask stays undistorted.
    motion : sequence of Pose
        One per volume, relative to ``pose``; empty when the head lies still.
    seed : int or sequence of int
        Of node series, physiology and noise.

    Returns
    -------
    SimulatedBOLD
        Each voxel of grey matter within 9 mm of a node carries the nearest node's series.
    """
    entropy = [seed] if isinstance(seed, int) else list(seed)
    planted = dict(coupling or typical_coupling())
    shape, affine = scanner_grid(voxel_size, oblique=oblique)
    places = grid_points(shape, affine)
    tissue = tissue_at(head.to_template(pose.to_head(places)), fwhm=voxel_size)
    inside, gain = tissue.brain.reshape(shape), np.ones(len(places))
    if distortion_mm:
        axis = affine[:3, 1] / np.linalg.norm(affine[:3, 1])
        places, gain = distorted_origin(places, pose=pose, axis=axis, distortion_mm=distortion_mm)
    points = head.to_template(pose.to_head(places))
    tissue = tissue_at(points, fwhm=voxel_size) if distortion_mm else tissue
    series = simulate_node_series(
        planted, n_volumes=n_volumes, autocorrelation=autocorrelation, seed=[*entropy, 1]
    )
    rng = np.random.default_rng([*entropy, 2])
    percent = _common_percent(rng, n_volumes, physiology_percent, drift_percent, autocorrelation)
    decay = 0.3 * np.exp(-3 * np.arange(n_volumes) * t_r / max(saturation_seconds, 1e-9))
    start = 1 + (decay if saturation_seconds > 0 else 0 * decay)
    data = _voxel_series(tissue, points, series, percent, shape) * start.astype(np.float32)
    if distortion_mm:
        data *= gain.reshape(*shape, 1).astype(np.float32)
    for time, movement in enumerate(motion):
        data[..., time] = moved(data[..., time].astype(np.float64), movement, affine)
    if tsnr is not None:
        noise = rng.standard_normal(data.shape, dtype=np.float32) * np.float32(BOLD_GREY / tsnr)
        data = np.abs(data + noise)
    return SimulatedBOLD(
        data=data,
        affine=affine,
        mask=inside,
        t_r=t_r,
        node_series=series,
        coupling=planted,
    )


def _common_percent(
    rng: np.random.Generator, n_volumes: int, physiology: float, drift: float, phi: float
) -> NDArray[np.float64]:
    """Return percent signal (T, 3): of white matter, of fluid, and the drift of the scanner."""
    own = _autoregressive(rng.normal(size=(n_volumes, 2)), phi) * physiology
    time = np.linspace(-1, 1, n_volumes)
    slow = drift * (0.5 * time + 0.3 * time**2 * rng.choice([-1, 1]))
    return np.column_stack([own, slow])


def _voxel_series(
    tissue: Tissue,
    points: NDArray[np.float64],
    series: NDArray[np.float64],
    percent: NDArray[np.float64],
    shape: tuple[int, int, int],
) -> NDArray[np.float32]:
    base = tissue.grey * BOLD_GREY + tissue.white * BOLD_WHITE + tissue.fluid * BOLD_FLUID
    there = np.flatnonzero(base > 1e-3)
    distance, node = cKDTree(planted_nodes().centres).query(points[there])
    carries = np.where(
        distance <= NODE_REACH, np.clip(2 * tissue.grey[there], 0, 1) * NODE_PERCENT / 100, 0
    )
    # a leak of a third: what the fluid and the white matter do shows weakly everywhere
    leak = np.stack([tissue.white, tissue.fluid], axis=1)[there] * 2 / 3 + 1 / 3
    common = (leak @ percent[:, :2].T + percent[:, 2]) / 100
    moving = 1 + carries[:, None] * series.T[node] + common
    data = np.zeros((int(np.prod(shape)), len(series)), dtype=np.float32)
    data[there] = base[there, None] * moving
    return data.reshape(*shape, len(series))
