"""Optimisers and the one-cycle schedule number for number beside torch.optim's: 20 steps in float64, and in float32."""

import numpy as np
import pytest

from wimmel.train.optim import SGD, Adam, AdamW, RMSprop
from wimmel.train.schedules import Cosine, OneCycle, StepDecay

pytestmark = pytest.mark.parity

CASES = {
    "sgd": (SGD(0.05), "SGD", {}),
    "sgd, momentum": (SGD(0.05, momentum=0.9), "SGD", {"momentum": 0.9}),
    "sgd, nesterov, decay": (
        SGD(0.05, momentum=0.8, nesterov=True, weight_decay=0.1),
        "SGD",
        {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1},
    ),
    "sgd, decay": (SGD(0.05, weight_decay=0.1), "SGD", {"weight_decay": 0.1}),
    "adam": (Adam(0.05), "Adam", {}),
    "adam, decay": (
        Adam(0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1),
        "Adam",
        {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1},
    ),
    "adamw": (AdamW(0.05), "AdamW", {}),
    "adamw, decay": (AdamW(0.05, weight_decay=0.3), "AdamW", {"weight_decay": 0.3}),
    "rmsprop": (RMSprop(0.05), "RMSprop", {}),
    "rmsprop, momentum, decay": (
        RMSprop(0.05, alpha=0.9, eps=1e-4, momentum=0.7, weight_decay=0.1),
        "RMSprop",
        {"alpha": 0.9, "eps": 1e-4, "momentum": 0.7, "weight_decay": 0.1},
    ),
}


def torch_walk(name, settings, start, gradients, rates):
    import torch

    parameter = torch.nn.Parameter(torch.tensor(start))
    optimizer = getattr(torch.optim, name)([parameter], lr=rates[0], **settings)
    walk = []
    for gradient, rate in zip(gradients, rates, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        parameter.grad = torch.tensor(gradient)
        optimizer.step()
        walk.append(parameter.detach().numpy().copy())
    return np.array(walk)


def our_walk(optimizer, start, gradients, rates):
    parameter, state, walk = start, optimizer.initial(start), []
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        parameter, state = optimizer.update(gradient, parameter, state, rate, step)
        walk.append(parameter)
    return np.array(walk)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-6), (np.float32, 1e-5)])
@pytest.mark.parametrize("case", CASES)
def test_twenty_steps_are_torch_s_steps(case, dtype, tolerance):
    optimizer, name, settings = CASES[case]
    draw = np.random.default_rng(3)
    start = draw.normal(size=(4, 5)).astype(dtype)
    gradients = list((draw.normal(size=(20, 4, 5)) * draw.choice([1e-3, 1.0, 30.0], size=(20, 1, 1))).astype(dtype))
    rates = [0.05 * 0.9**step for step in range(20)]
    ours = our_walk(optimizer, start, gradients, rates)
    theirs = torch_walk(name, settings, start, gradients, rates)
    assert ours.dtype == dtype
    assert np.abs(ours - theirs).max() / np.abs(theirs).max() <= tolerance


def test_float64_agrees_to_rounding():
    optimizer, name, settings = CASES["adamw, decay"]
    start, gradients = np.ones(3), list(np.random.default_rng(0).normal(size=(20, 3)))
    theirs = torch_walk(name, settings, start, gradients, [0.05] * 20)
    np.testing.assert_allclose(our_walk(optimizer, start, gradients, [0.05] * 20), theirs, rtol=1e-12)


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        (OneCycle(0.3, 50), lambda lr, o: lr.OneCycleLR(o, max_lr=0.3, total_steps=50, cycle_momentum=False)),
        (
            OneCycle(0.3, 37, rise=0.45, start_divisor=10.0, final_divisor=100.0),
            lambda lr, o: lr.OneCycleLR(
                o, 0.3, 37, pct_start=0.45, div_factor=10.0, final_div_factor=100.0, cycle_momentum=False
            ),
        ),
        (Cosine(0.3, 50, 0.01), lambda lr, o: lr.CosineAnnealingLR(o, T_max=50, eta_min=0.01)),
        (StepDecay(0.3, 7, 0.5), lambda lr, o: lr.StepLR(o, step_size=7, gamma=0.5)),
    ],
    ids=["one cycle", "one cycle, late", "cosine", "steps"],
)
def test_schedules_give_torch_s_rates(schedule, make):
    import torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    theirs = make(torch.optim.lr_scheduler, optimizer)
    for step in range(36):
        assert schedule(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-15)
        optimizer.step()
        theirs.step()
