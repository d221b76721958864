"""Residual networks: the sizes of the papers' tables, what blocks do to what passes by, and that they learn."""

import numpy as np
import pytest

import wimmel as wm
from wimmel import nn
from wimmel.models import resnet18, resnet20, resnet34, resnet50
from wimmel.models.resnet import BasicBlock, Bottleneck, PaddedShortcut


def stage_shapes(net, shape):
    """What the stem and each stage give, which is what their last layer with parameters gives."""
    found = {}
    for layer in nn.inspect(net, shape).layers:
        if len(layer.output_shape) == 3:
            found[layer.path.split(".")[0]] = layer.output_shape
    return list(found.values())


@pytest.mark.parametrize(
    ("build", "widths"),
    [(resnet18, (64, 128, 256, 512)), (resnet34, (64, 128, 256, 512)), (resnet50, (256, 512, 1024, 2048))],
)
def test_L30_stages_halve_the_picture_and_deepen_the_channels(build, widths):
    sizes = zip(widths, (56, 28, 14, 7), strict=True)
    assert stage_shapes(build(), (3, 224, 224)) == [(64, 56, 56), *((width, size, size) for width, size in sizes)]


def test_the_small_network_keeps_the_pictures_size_at_first():
    assert stage_shapes(resnet20(), (3, 32, 32)) == [(16, 32, 32), (16, 32, 32), (32, 16, 16), (64, 8, 8)]


@pytest.mark.parametrize("build", [resnet18, resnet20, resnet50])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 33, 50), (4, 65, 31)])
def test_any_size_and_number_of_channels_is_taken(build, shape):
    assert nn.inspect(build(classes=7, channels=shape[0]), shape).layers[-1].output_shape == (7,)


@pytest.mark.parametrize("block", [BasicBlock(8, 8), Bottleneck(8, 8), BasicBlock(8, 8, projected=False)])
def test_a_block_whose_last_scale_is_zero_lets_pass(block):
    block.initialize(0)
    block.main[-1].weight = np.zeros(8)
    x = np.random.default_rng(0).normal(size=(2, 8, 5, 4)).astype(np.float32)
    np.testing.assert_array_equal(block(x), np.maximum(x, 0))


def test_the_padded_shortcut_thins_and_pads():
    x = np.random.default_rng(0).normal(size=(2, 3, 7, 8)).astype(np.float32)
    y = PaddedShortcut(5, stride=2)(x)
    assert y.shape == (2, 5, 4, 4)
    for row, column in np.ndindex(4, 4):
        np.testing.assert_array_equal(y[:, :3, row, column], x[:, :, 2 * row, 2 * column])
    assert not y[:, 3:].any()


def test_the_padded_shortcut_takes_no_channels_away():
    with pytest.raises(ValueError, match="given 3 channels for 2; it removes none"):
        PaddedShortcut(2)(np.zeros((1, 3, 4, 4), np.float32))


def test_a_bottleneck_needs_channels_it_can_quarter():
    with pytest.raises(ValueError, match="given 10 outputs; it needs a multiple of 4"):
        Bottleneck(4, 10)


def test_shortcuts_of_the_small_network_have_no_parameters():
    assert not [name for name in resnet20().named_variables() if "shortcut" in name]
    assert sum("shortcut.0.weight" in name for name in resnet18().named_variables()) == 3
    assert sum("shortcut.0.weight" in name for name in resnet50().named_variables()) == 4


def test_convolutions_are_drawn_for_relu():
    net = resnet20(seed=0)
    for layer in net.named_modules().values():
        if isinstance(layer, nn.Conv2d) and layer.weight.size > 2000:
            fan_out = layer.out_channels * 9
            assert layer.weight.std() == pytest.approx(np.sqrt(2 / fan_out), rel=0.05)
            assert abs(layer.weight.mean()) < 4 * np.sqrt(2 / fan_out / layer.weight.size)


def test_after_a_step_of_training_it_is_another_network_for_inference():
    """Batch norm deep inside finds the call: its running statistics move in training, and only there."""
    net = resnet20(seed=0)
    x = np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype(np.float32)
    before = net(x)
    np.testing.assert_array_equal(net(x), before)
    training = net(x, training=True)
    assert net[3][2].main[4].num_batches_tracked == 1
    assert np.abs(net(x) - before).max() > 1e-3 < np.abs(training - before).max()


def test_it_learns_a_small_batch_by_heart():
    net = resnet20(classes=3, seed=0)
    x, y = np.random.default_rng(0).normal(size=(12, 3, 8, 8)).astype(np.float32), np.arange(12) % 3
    before = net.parameters()
    wm.Trainer(net, wm.optim.SGD(0.05), batch_size=12).fit((x, y), epochs=20, progress=False)
    assert wm.cross_entropy(net(x, training=True), y) < 0.1
    assert all(np.abs(value - before[name]).max() > 0 for name, value in net.parameters().items())
