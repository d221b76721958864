"""What is measured: sections whose cases can be told apart, and peers that compute what we do, as far as installed."""

import importlib.util

import numpy as np
import pytest

import wimmel as wm
from wimmel import bench
from wimmel.bench.convolutions import Layer, square
from wimmel.bench.networks import Network
from wimmel.bench.operations import of_network
from wimmel.bench.peers import jax_xla, onnx_runtime, opencv, ours, programs, pytorch, scipy_signal
from wimmel.bench.section import OURS
from wimmel.bench.sections.size import needed, size_of
from wimmel.bench.sections.sweep import SECTION as SWEEPS
from wimmel.bench.sections.sweep import Sweep
from wimmel.detection.learned.network import STRIDE, window_size
from wimmel.nn.inspection import inspect

LAYERS = {
    "forward": Layer(4, 6, (3, 3), (8, 9), 2, padding=1),
    "stride": Layer(4, 6, (3, 3), (9, 9), stride=2, padding=1),
    "groups": Layer(4, 8, (3, 3), (8, 8), padding=1, groups=2),
    "one axis": Layer(3, 4, (5,), (16,), padding=2),
    "three axes": Layer(2, 3, (3, 3, 3), (5, 5, 5), padding=1),
    "dilated": Layer(2, 3, (3, 3), (9, 9), padding=2, dilation=2),
    "transposed": Layer(4, 3, (4, 4), (5, 5), stride=2, padding=1, face="transposed"),
    "by input": Layer(4, 6, (3, 3), (8, 9), 2, padding=1, face="input"),
    "by weights": Layer(4, 6, (3, 3), (9, 9), 2, stride=2, padding=1, face="weight"),
}
PEERS = {
    "wimmel, alone": (ours.layer_alone, ()),
    "torch": (pytorch.layer(channels_last=False), ("torch",)),
    "torch, channels last": (pytorch.layer(channels_last=True), ("torch",)),
    "onnxruntime": (onnx_runtime.layer, ("onnx", "onnxruntime")),
    "jax": (jax_xla.layer, ("jax",)),
    "opencv": (opencv.layer, ("onnx", "cv2")),
    "scipy": (scipy_signal.layer, ("scipy",)),
}


@pytest.mark.parametrize("name", bench.SECTIONS)
def test_a_section_is_complete(name):
    section = bench.section(name)
    names = [case.name for case in section.cases]
    assert section.name == name
    assert len(set(names)) == len(names)
    assert section.contenders[0].name == OURS
    assert section.unit in ("seconds", "bytes")
    assert {case.group for case in section.chosen(first_of_groups=True)} == {case.group for case in section.cases}


def test_an_unknown_section_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match="there is no section 'speed' to measure; there are layers, gradients"):
        bench.section("speed")


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_peers_compute_the_layer_that_we_do(layer, peer):
    prepare, modules = PEERS[peer]
    if any(importlib.util.find_spec(module) is None for module in modules):
        pytest.skip(f"{peer} is not installed")
    try:
        ready = prepare(layer, 1)
    except Exception as error:
        if type(error).__module__ == "cv2":
            pytest.skip(f"{peer} cannot: {error}")
        raise
    if ready is None:
        pytest.skip(f"{peer} has nothing like it")
    expected = ours.layer_inside(layer, 1).outcome()
    np.testing.assert_allclose(ready.outcome().ravel(), expected.ravel(), rtol=1e-3, atol=1e-4)


def test_sizes_of_a_layer():
    layer = Layer(4, 6, (3, 5), (8, 9), 2, stride=2, padding=1)
    y = wm.conv2d(np.zeros(layer.x, np.float32), np.zeros(layer.weight, np.float32), stride=2, padding=1)
    assert layer.y == y.shape
    assert layer.operations == 2 * 2 * 6 * 4 * 15 * y.shape[2] * y.shape[3]
    assert str(square(8, 8, 3, 14, 2, groups=8)) == "3x3 /2 depthwise 8 at 14, n=1"


@pytest.mark.parametrize("name", ["lenet", "resnet18", "mobilenet_v2"])
def test_a_network_as_a_list_of_operations_answers_as_the_network(name):
    ort = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    net = Network(name, 1).ours()
    x = np.random.default_rng(0).random((1, 1, 28, 28) if name == "lenet" else (1, 3, 64, 64)).astype(np.float32)
    model = onnx_runtime.onnx_model(of_network(net), x.shape)
    expected = net(x)
    (y,) = ort.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    np.testing.assert_allclose(y, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("peer", ["torch", "jax"])
@pytest.mark.parametrize("name", ["lenet", "resnet20"])
def test_peers_lose_what_we_lose_at_every_step_of_a_training(name, peer):
    pytest.importorskip(peer)
    case = Network(name, 4)
    prepare = {"torch": pytorch.training(channels_last=True), "jax": jax_xla.training}[peer]
    mine, theirs = ours.training(case, 1), prepare(case, 1)
    losses = [(float(mine.outcome()[0]), float(theirs.outcome()[0])) for _ in range(3)]
    assert losses[2] < losses[0]
    np.testing.assert_allclose(*zip(*losses, strict=True), rtol=1e-4)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("contender", SWEEPS.contenders[1:], ids=lambda contender: contender.name)
def test_whoever_sweeps_a_picture_has_our_scores(contender):
    if any(importlib.util.find_spec(module) is None for module in contender.needs):
        pytest.skip(f"{contender.name} is not installed")
    ready, none = (contender.prepare(Sweep(256, beside), 1) for beside in (False, True))
    if contender.name == "single windows":
        ready, none = none, ready
    assert none is None
    expected = SWEEPS.contenders[0].prepare(Sweep(256), 1).outcome()
    np.testing.assert_allclose(ready.outcome(), expected, atol=1e-3 * np.abs(expected).max())
    [seconds] = ready.task()
    assert seconds > 0


def test_windows_by_themselves_have_forty_times_the_work_of_a_sweep():
    """As docs/performance.md says beside how much faster the sweep is."""
    net, count = Sweep(256, True).net(), 400
    rows, columns = window_size(Sweep(256, True).settings)
    assert (rows, columns) == (55, 39)
    of_window = inspect(net, (3, rows, columns)).multiply_adds
    of_sweep = inspect(net, (3, rows + STRIDE * (count - 1), columns + STRIDE * (count - 1))).multiply_adds
    assert 41 < of_window * count**2 / of_sweep < 43


def test_a_network_that_peers_do_not_know_is_refused():
    net = wm.nn.Sequential(wm.nn.Conv2d(1, 2, 3), wm.nn.GELU()).initialize(0)
    with pytest.raises(NotImplementedError, match="GELU is not known"):
        of_network(net)


def test_a_program_searches_a_picture_in_pieces(tmp_path):
    program = programs.sweeping("wimmel", 120, tmp_path)
    _, most = programs.run(program + programs.PEAK, tmp_path)
    assert 10**7 < int(most) < 10**9
    assert programs.sweeping("torch", 120, tmp_path) is None


def test_what_is_needed_counts_indirect_needs_and_no_extras():
    found = needed("wimmel")
    assert {"wimmel", "numpy", "llvmlite", "rich", "markdown-it-py"} <= set(found)
    assert "pytest" not in found
    assert size_of(found["wimmel"]) > 100_000
