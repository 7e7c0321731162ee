"""Scalar maps on eigenvalues computed by hand."""

import numpy as np
import pytest

from msimaging.diffusion.metrics import SCALAR_METRICS


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("fa", (0.5 * (0.9**2 + 1.3**2 + 0.4**2) / (1.7**2 + 0.8**2 + 0.4**2)) ** 0.5),
        ("md", 2.9e-3 / 3),
        ("ad", 1.7e-3),
        ("rd", 0.6e-3),
    ],
)
def test_metric_of_known_eigenvalues(label, value):
    evals = np.array([[1.7e-3, 0.8e-3, 0.4e-3], [1e-3, 1e-3, 1e-3]])
    metric = SCALAR_METRICS[label]
    values = metric.from_evals(evals)
    np.testing.assert_allclose(values, [value, 0.0 if label == "fa" else 1e-3], rtol=1e-9)
    assert metric.label == label
    assert metric.name == label.upper()
    assert all(metric.bounds[0] <= value <= metric.bounds[1] for value in values)


def test_order_of_tables():
    assert list(SCALAR_METRICS) == ["fa", "md", "ad", "rd"]
