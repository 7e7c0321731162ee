"""Planted water and kurtosis are found, and tissue measures are not fooled by them."""

from __future__ import annotations

import numpy as np
import pytest
from dipy.core.gradients import GradientTable
from numpy.typing import NDArray

from msimaging.diffusion.gradients import gradient_table
from msimaging.diffusion.metrics import SCALAR_METRICS
from msimaging.diffusion.multi_shell import (
    FREE_WATER_MODEL,
    KURTOSIS_MODEL,
    fit_free_water,
    fit_kurtosis,
    model_volumes,
)
from msimaging.diffusion.tensor import fit_tensor
from msimaging.errors import InputError

SHAPE, WATER, S0 = (6, 5, 4), 3e-3, 1000.0
RADIAL, AXIAL = 0.4e-3, 1.6e-3
MASK = np.ones(SHAPE, dtype=bool)
MIXED = np.arange(120).reshape(SHAPE) % 2 == 1


def table(*shells: float, directions: int = 30) -> GradientTable:
    steps = np.arange(directions) + 0.5
    polar, azimuth = np.arccos(1 - steps / directions), np.pi * (1 + 5**0.5) * steps
    half = np.stack(
        [np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1
    )
    bvals = np.r_[np.zeros(5), np.repeat(shells, directions)]
    return gradient_table(bvals, np.vstack([np.zeros((5, 3)), *[half] * len(shells)]))


def adc(gtab: GradientTable) -> NDArray[np.float64]:
    """Apparent diffusivity of bundles along random axes, (X, Y, Z, N)."""
    axes = np.random.default_rng(1).normal(size=(*SHAPE, 3))
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    return np.asarray(RADIAL + (AXIAL - RADIAL) * (axes @ gtab.bvecs.T) ** 2)


def noisy(signal: NDArray[np.float64], snr: float) -> NDArray[np.float64]:
    noise = np.random.default_rng(2).normal(scale=S0 / snr, size=(2, *signal.shape))
    return np.asarray(np.hypot(signal + noise[0], noise[1]))


def test_planted_free_water_is_found_and_taken_out_of_the_tissue() -> None:
    gtab = table(700, 1500)
    fraction = np.where(MIXED, 0.3, 0.0)
    signal = S0 * (
        (1 - fraction[..., None]) * np.exp(-gtab.bvals * adc(gtab))
        + fraction[..., None] * np.exp(-gtab.bvals * WATER)
    )
    signal[0, 0, 0] = S0 * np.exp(-gtab.bvals * WATER)
    data = noisy(signal, 40)
    found = fit_free_water(data, gtab, MASK)
    pure = ~MIXED
    pure[0, 0, 0] = False
    assert np.median(found["fw"][MIXED]) == pytest.approx(0.3, abs=0.03)
    assert np.median(found["fw"][pure]) < 0.02
    planted = np.array([AXIAL, RADIAL, RADIAL])
    plain = fit_tensor(data, gtab, MASK)
    for name, metric in SCALAR_METRICS.items():
        truth = metric.from_evals(planted)
        for tissue in (MIXED, pure):
            assert np.median(found[name][tissue]) == pytest.approx(truth, rel=0.06)
        fooled = metric.from_evals(plain.evals)[MIXED]
        assert abs(np.median(fooled) / truth - 1) > 0.12
    assert found["fw"][0, 0, 0] > 0.95
    assert all(found[name][0, 0, 0] == 0 for name in SCALAR_METRICS)


@pytest.mark.parametrize("planted", [0.0, 0.9])
def test_planted_kurtosis_is_found(planted: float) -> None:
    gtab = table(1000, 2000)
    bd = gtab.bvals * adc(gtab)
    md = (AXIAL + 2 * RADIAL) / 3
    # W(n) = K D(n)^2 / MD^2 is no tensor of fourth order for K alike in all directions; the
    # isotropic kurtosis tensor W(n) = K is: ln S = -bD + b^2 MD^2 K / 6
    signal = S0 * np.exp(-bd + (gtab.bvals * md) ** 2 * planted / 6)
    found = fit_kurtosis(signal, gtab, MASK)
    directions = adc(table(1000, directions=2000))[..., 5:]
    expected = planted * np.mean((md / directions) ** 2, axis=-1)
    assert found["mk"] == pytest.approx(expected, rel=0.01, abs=1e-3)
    assert found["ak"] == pytest.approx(np.full(SHAPE, planted * (md / AXIAL) ** 2), abs=0.01)
    assert found["rk"] == pytest.approx(np.full(SHAPE, planted * (md / RADIAL) ** 2), abs=0.01)


def test_voxels_outside_the_mask_and_without_signal_hold_zero() -> None:
    gtab = table(1000, 2000)
    data = S0 * np.exp(-gtab.bvals * adc(gtab))
    data[1, 1, 1] = 0
    mask = MASK.copy()
    mask[0] = False
    for fit in (fit_free_water, fit_kurtosis):
        for values in fit(data, gtab, mask).values():
            assert np.isfinite(values).all()
            assert (values[0] == 0).all()
            assert values[1, 1, 1] == 0


def test_shells_too_high_for_a_model_are_left_out() -> None:
    bvals = np.array([0, 700, 2005, 2995, 5000.0])
    assert model_volumes(bvals, FREE_WATER_MODEL).tolist() == [True, True, True, False, False]
    assert model_volumes(bvals, KURTOSIS_MODEL).tolist() == [True, True, True, True, False]


@pytest.mark.parametrize("fit", [fit_free_water, fit_kurtosis])
def test_one_shell_is_refused_with_a_sentence(fit: object) -> None:
    gtab = table(1000)
    with pytest.raises(InputError, match=r"two shells up to .*30 volumes of b = 1000"):
        fit(np.ones((*SHAPE, 35)), gtab, MASK)  # type: ignore[operator]


def test_too_few_directions_are_refused() -> None:
    gtab = table(1000, 2000, directions=8)
    data = np.ones((*SHAPE, 21))
    with pytest.raises(InputError, match="15 or more for kurtosis"):
        fit_kurtosis(data, gtab, MASK)
    with pytest.raises(InputError, match="belong together"):
        fit_kurtosis(data[..., :-1], gtab, MASK)
