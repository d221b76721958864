"""What a network is made of, against figures computed by hand; lecture rows L18, L19 and L30."""

import json

import numpy as np
import pytest

from wimmel import nn
from wimmel.models import lenet, lenet_classic


def test_L30_lenet_layer_by_layer():
    report = nn.inspect(lenet_classic(), (1, 28, 28))
    shapes = [layer.output_shape for layer in report.layers if layer.layer in ("Conv2d", "AvgPool2d", "Linear")]
    assert shapes == [(6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120,), (84,), (10,)]
    assert [layer.parameters for layer in report.layers if layer.parameters] == [156, 2416, 48120, 10164, 850]
    assert report.parameters == 61706
    convolutions, dense = 28 * 28 * 6 * 25 + 10 * 10 * 16 * 150, 400 * 120 + 120 * 84 + 84 * 10
    assert report.multiply_adds == convolutions + dense


def test_L18_receptive_fields_of_lenet():
    report = nn.inspect(lenet(), (1, 28, 28))
    fields = [layer.receptive_field for layer in report.layers if layer.receptive_field]
    assert fields[0] == "5x5, stride 1, from (-2, -2)"
    assert fields[2] == "6x6, stride 2, from (-2, -2)"
    assert fields[3] == "14x14, stride 2, from (-2, -2)"
    assert fields[5] == "16x16, stride 4, from (-2, -2)"


def test_L19_deeper_networks_see_more():
    sizes = []
    for depth in (1, 2, 4, 8):
        net = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(depth)))
        sizes.append(nn.inspect(net, (1, 20, 20)).layers[-1].receptive_field.split(",")[0])
    assert sizes == ["3x3", "5x5", "9x9", "17x17"]


def test_grouped_and_transposed_work_is_counted():
    net = nn.Sequential(nn.Conv2d(4, 8, 3, groups=2), nn.ConvTranspose2d(8, 2, 2, stride=2))
    report = nn.inspect(net, (4, 6, 6))
    assert report.layers[0].multiply_adds == 8 * 4 * 4 * 2 * 9
    assert report.layers[1].multiply_adds == 8 * 4 * 4 * 2 * 4


def test_a_single_layer_is_its_own_network():
    report = nn.inspect(nn.Conv2d(1, 2, 3), (1, 5, 5))
    assert [layer.layer for layer in report.layers] == ["Conv2d"]


def test_the_report_prints_and_serialises():
    report = nn.inspect(lenet_classic(), (1, 28, 28))
    text = str(report)
    assert "61,706 parameters (0.25 MB)" in text and text.count("\n") == 15
    assert json.loads(json.dumps(report.to_json()))["parameters"] == 61706
    assert report._repr_html_().count("<tr>") == 13


def test_a_shape_that_does_not_fit_names_the_layer():
    with pytest.raises(ValueError, match=r"layer 0, Conv2d"):
        nn.inspect(lenet(), (3, 28, 28))


def test_batch_norm_counts_no_buffers():
    assert nn.inspect(nn.Sequential(nn.BatchNorm2d(5)), (5, 2, 2)).parameters == 10
    assert nn.BatchNorm2d(5).astype(np.float64).parameter_count() == 10
