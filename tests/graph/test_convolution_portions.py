"""However little memory there is for patches, the three faces of convolution give the same."""

import importlib

import numpy as np
import pytest

# the package exports the primitive under the module's name
faces = importlib.import_module("wimmel.graph.primitives.convolution")

SETTINGS = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": (1, 2), "groups": 2}


@pytest.mark.parametrize("patch_bytes", [1, 2000, 10_000, 2**25])
def test_portions(monkeypatch, patch_bytes):
    generator = np.random.default_rng(0)
    x, w = generator.normal(size=(5, 4, 9, 10)), generator.normal(size=(6, 2, 3, 2))
    y = generator.normal(size=(5, 6, 4, 11))
    expected = [
        faces.convolution(x, w, **SETTINGS),
        faces.convolution_input_gradient(y, w, size=(9, 10), **SETTINGS),
        faces.convolution_weight_gradient(x, y, kernel=(3, 2), **SETTINGS),
    ]
    monkeypatch.setattr(faces, "PATCH_BYTES", patch_bytes)
    found = [
        faces.convolution(x, w, **SETTINGS),
        faces.convolution_input_gradient(y, w, size=(9, 10), **SETTINGS),
        faces.convolution_weight_gradient(x, y, kernel=(3, 2), **SETTINGS),
    ]
    for one, two in zip(expected, found, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-12, atol=1e-12)
