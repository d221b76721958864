"""The detector's loss is that of its definition, and its gradients are those of differences."""

import numpy as np
import pytest

import wimmel as wm
from wimmel.detection.learned.network import loss_of
from wimmel.detection.learned.settings import Settings


def settings(**given):
    return Settings(("one", "two"), 3, (40.0, 20.0), (1.0,), **given)


def drawn(seed, count=7):
    rng = np.random.default_rng(seed)
    outputs = rng.normal(0, 2, (count, 6, 1, 1))
    targets = np.zeros((count, 6))
    for row in targets[: count // 2]:
        row[rng.integers(2)] = 1
        row[2:4] = rng.uniform(-0.125, 0.125, 2)
        row[4:] = rng.uniform(-1.5, 0.5, 2)
    return outputs, targets


def defined(outputs, targets, box_weight):
    """Window by window, in the object's own sides: 40 pixels are the longer side, 20 and 40 the typical sides."""
    total = 0.0
    for (one, two, *offsets), (is_one, is_two, across, down, wide, high) in zip(
        outputs[:, :, 0, 0], targets, strict=True
    ):
        for score, label in ((one, is_one), (two, is_two)):
            probability = 1 / (1 + np.exp(-score))
            total -= np.log(probability if label else 1 - probability)
        if is_one or is_two:
            width, height = 20 * np.exp(wide), 40 * np.exp(high)
            away = np.abs(np.array(offsets) - (across, down, wide, high)) * (40 / width, 40 / height, 1, 1)
            total += box_weight * sum(d * d / 0.2 if d < 0.1 else d - 0.05 for d in away)
    return total / len(outputs)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_the_loss_is_that_of_its_definition(seed, backend):
    outputs, targets = drawn(seed)
    loss = wm.compile(loss_of(settings(box_weight=1.7)), backend=backend)
    np.testing.assert_allclose(
        loss(outputs.astype(np.float32), targets.astype(np.float32)), defined(outputs, targets, 1.7), rtol=1e-5
    )


def test_its_gradients_are_those_of_differences():
    outputs, targets = drawn(9)
    gradient = wm.grad(loss_of(settings()))(outputs.astype(np.float32), targets.astype(np.float32))
    step = 1e-6
    for place in np.ndindex(outputs.shape):
        away = np.zeros(outputs.shape)
        away[place] = step
        slope = (defined(outputs + away, targets, 2.0) - defined(outputs - away, targets, 2.0)) / (2 * step)
        np.testing.assert_allclose(gradient[place], slope, atol=1e-4)


def test_an_offset_counts_the_more_the_thinner_the_object_is():
    outputs = np.zeros((1, 6, 1, 1), np.float32)
    outputs[0, 2] = 0.1
    wide, thin = np.zeros((2, 1, 6), np.float32)
    wide[0, 0] = thin[0, 0] = 1
    thin[0, 4] = outputs[0, 4, 0, 0] = np.log(0.25)
    loss = loss_of(settings())
    outputs_of_wide = outputs.copy()
    outputs_of_wide[0, 4] = 0
    near = float(np.asarray(loss(outputs_of_wide, wide)) - np.asarray(loss(np.zeros_like(outputs), wide)))
    exact = outputs.copy()
    exact[0, 2] = 0
    far = float(np.asarray(loss(outputs, thin)) - np.asarray(loss(exact, thin)))
    assert far > 3 * near > 0
