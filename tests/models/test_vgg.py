"""VGG-16: its two forms, the sizes it takes, and how it is drawn."""

import numpy as np
import pytest

from wimmel import nn
from wimmel.models import vgg16


def test_L30_five_stages_halve_the_picture_and_deepen_the_channels():
    layers = nn.inspect(vgg16(), (3, 224, 224)).layers
    pooled = [layer.output_shape for layer in layers if layer.layer == "MaxPool2d"]
    assert pooled == [(64, 112, 112), (128, 56, 56), (256, 28, 28), (512, 14, 14), (512, 7, 7)]
    assert sum(layer.layer in ("Conv2d", "Linear") for layer in layers) == 16


def test_dense_layers_have_most_of_the_parameters():
    parameters = {path: sum(np.prod(v.shape) for v in part.own_variables().values())
                  for path, part in vgg16().named_modules().items()}  # fmt: skip
    dense = sum(count for path, count in parameters.items() if path.startswith("2."))
    assert dense == 25089 * 4096 + 4097 * 4096 + 4097 * 1000


def test_batch_norm_adds_two_parameters_for_each_channel_of_a_convolution():
    added = vgg16(batch_norm=True).parameter_count() - vgg16().parameter_count()
    assert added == 2 * (2 * 64 + 2 * 128 + 3 * 256 + 6 * 512)


@pytest.mark.parametrize("size", [(32, 32), (50, 33), (64, 96)])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_any_size_from_32_is_taken(size, batch_norm):
    net = vgg16(classes=5, channels=1, size=size, batch_norm=batch_norm)
    assert nn.inspect(net, (1, *size)).layers[-1].output_shape == (5,)


def test_smaller_pictures_are_refused():
    with pytest.raises(ValueError, match="pictures of 31 x 64; it needs at least 32 x 32"):
        vgg16(size=(31, 64))


def test_first_parameters():
    features = vgg16()[0].initialize(0)
    assert features[10].weight.std() == pytest.approx(np.sqrt(2 / (256 * 9)), rel=0.01)
    assert not features[10].bias.any()
    last = vgg16(classes=100)[2][6].initialize(0)
    assert last.weight.std() == pytest.approx(0.01, rel=0.01)
    assert not last.bias.any()
