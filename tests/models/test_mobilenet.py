"""MobileNetV2: the published sizes of its widths, its blocks, and how it is drawn."""

import numpy as np
import pytest

import wimmel as wm
from wimmel import nn
from wimmel.models import mobilenet_v2
from wimmel.models.mobilenet import STAGES, InvertedResidual, ReLU6


@pytest.mark.parametrize(
    ("width", "millions", "multiply_adds"),
    [(1.4, 6.06, 582), (1.3, 5.34, 509), (1.0, 3.47, 300), (0.75, 2.61, 209), (0.5, 1.95, 97), (0.35, 1.66, 59)],
)
def test_widths_are_as_large_as_published(width, millions, multiply_adds):
    """Beside the authors' table (tensorflow/models, research/slim/nets/mobilenet), which counts no batch norm and cuts
    off what follows the last digit shown."""
    net = mobilenet_v2(width=width)
    counted = net.parameter_count() - sum(
        2 * layer.num_features for layer in net.named_modules().values() if isinstance(layer, nn.BatchNorm2d)
    )
    assert counted / 1e6 == pytest.approx(millions, abs=0.01)
    assert nn.inspect(net, (3, 224, 224)).multiply_adds // 10**6 == multiply_adds


def test_channels_are_multiples_of_eight_that_lose_little():
    published = [channels for _, channels, count, _ in STAGES for _ in range(count)]
    for width in (0.1, 0.35, 0.6, 1.4):
        blocks = [layer for layer in mobilenet_v2(width=width) if isinstance(layer, InvertedResidual)]
        for block, channels in zip(blocks, published, strict=True):
            assert block.outputs % 8 == 0
            assert block.outputs >= 0.9 * width * channels


@pytest.mark.parametrize("width", [0, -1.0, float("nan"), float("inf")])
def test_a_width_that_is_no_positive_number_is_refused(width):
    with pytest.raises(ValueError, match="it is a positive number"):
        mobilenet_v2(width=width)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 33, 50), (4, 65, 31)])
def test_any_size_and_number_of_channels_is_taken(shape):
    net = mobilenet_v2(classes=7, channels=shape[0], width=0.1)
    assert nn.inspect(net, shape).layers[-1].output_shape == (7,)


def test_the_first_block_widens_nothing():
    net = mobilenet_v2()
    assert len(net[1].main) == 3
    assert all(len(block.main) == 4 and block.inner == 6 * block.inputs for block in net[2:18])


def test_a_block_adds_its_input_only_where_that_fits():
    x = np.random.default_rng(0).normal(size=(1, 8, 6, 6)).astype(np.float32)
    for arguments, passed in (((8, 16, 8), x), ((8, 16, 8, 2), 0), ((8, 16, 12), 0)):
        block = InvertedResidual(*arguments).initialize(0)
        block.main[-1].weight = np.zeros(arguments[2])
        np.testing.assert_array_equal(block(x), np.broadcast_to(passed, block(x).shape))


def test_relu6_is_flat_below_0_and_above_6():
    from wimmel.runtime import value_and_grad

    x = np.array([-1.0, 0.0, 0.5, 5.5, 7.0])
    total, slope = value_and_grad(lambda x: ReLU6()(x).sum())(x)
    assert total == 12
    np.testing.assert_array_equal(slope, [0, 0, 1, 1, 0])


def test_first_parameters():
    net = mobilenet_v2(width=0.5, seed=0)
    for layer in net.named_modules().values():
        if isinstance(layer, nn.Conv2d) and layer.weight.size > 2000:
            fan_out = layer.out_channels * layer.kernel_size[0] ** 2
            assert layer.weight.std() == pytest.approx(np.sqrt(2 / fan_out), rel=0.06)
    assert net[-1].weight.std() == pytest.approx(0.01, rel=0.01)
    assert not net[-1].bias.any()


def test_it_learns_a_small_batch_by_heart():
    net = mobilenet_v2(classes=3, width=0.25, seed=0)
    x, y = np.random.default_rng(0).normal(size=(12, 3, 32, 32)).astype(np.float32), np.arange(12) % 3
    before = net.parameters()
    wm.Trainer(net, wm.optim.Adam(3e-3), batch_size=12).fit((x, y), epochs=30, progress=False)
    assert wm.cross_entropy(net(x, training=True, seed=0), y) < 0.1
    assert all(np.abs(value - before[name]).max() > 0 for name, value in net.parameters().items())
