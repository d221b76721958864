"""Model files rebuild their networks without code, and refuse whatever is not a model."""

import inspect
import json

import numpy as np
import pytest

from wimmel import nn
from wimmel.files import load_plain_tensors, save_tensors
from wimmel.models import lenet, lenet_classic, mlp, sequence_network

EXAMPLES = {
    nn.Conv1d: (2, 4, 3), nn.Conv2d: (2, 4, (3, 2), 2, ((1, 0), (2, 1))), nn.Conv3d: (1, 2, 2),
    nn.ConvTranspose1d: (2, 4, 3), nn.ConvTranspose2d: (2, 4, 3, 2, 1, 1), nn.ConvTranspose3d: (1, 2, 2),
    nn.Linear: (3, 2), nn.MaxPool1d: (2,), nn.MaxPool2d: (3, 2, 1), nn.MaxPool3d: (2,), nn.AvgPool1d: (2,),
    nn.AvgPool2d: (2,), nn.AvgPool3d: (2,), nn.AdaptiveAvgPool2d: ((2, 3),), nn.BatchNorm1d: (3,), nn.BatchNorm2d: (3,),
    nn.BatchNorm3d: (3,), nn.LayerNorm: ((3, 4),), nn.GroupNorm: (2, 4), nn.Dropout: (0.25,), nn.LeakyReLU: (0.2,),
}  # fmt: skip


@pytest.mark.parametrize("layer", nn.LAYERS, ids=lambda layer: layer.__name__)
def test_every_layer_survives_a_file(layer, tmp_path):
    net = nn.Sequential(layer(*EXAMPLES.get(layer, ())))
    net.save(tmp_path / "net.safetensors")
    twin = nn.load(tmp_path / "net.safetensors")
    assert repr(twin) == repr(net)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(twin.state_dict()[name], value)


@pytest.mark.parametrize("layer", nn.LAYERS, ids=lambda layer: layer.__name__)
def test_arguments_are_kept_under_their_names(layer):
    made = layer(*EXAMPLES.get(layer, ()))
    for name in inspect.signature(layer).parameters:
        assert hasattr(made, "bias_used" if name == "bias" else name), f"{layer.__name__} does not keep {name}"


def test_arguments_other_than_the_defaults_survive(tmp_path):
    net = nn.Sequential(
        nn.Conv2d(
            2, 4, 3, stride=(1, 2), padding="same_lower", dilation=2, groups=2, bias=False, padding_mode="reflect"
        ),
        nn.BatchNorm2d(4, eps=1e-3, momentum=None, affine=False),
        nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False),
        nn.Softplus(beta=2.0, threshold=10.0),
    )
    net.save(tmp_path / "net.safetensors")
    x = np.random.default_rng(0).normal(size=(1, 2, 9, 9)).astype(np.float32)
    np.testing.assert_array_equal(nn.load(tmp_path / "net.safetensors")(x), net(x))


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (lenet(), (1, 28, 28)),
        (lenet(3, 3, (8, 8)), (3, 8, 8)),
        (lenet_classic(), (1, 28, 28)),
        (mlp((1, 8, 8), 10), (1, 8, 8)),
        (sequence_network(2, 4), (2, 50)),
    ],
)
def test_models_come_back_bit_for_bit(net, shape, tmp_path):
    net.save(tmp_path / "net.safetensors")
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    np.testing.assert_array_equal(nn.load(tmp_path / "net.safetensors")(x), net(x))


def test_classes_preprocessing_and_more_are_kept(tmp_path):
    from wimmel.data import Preprocessing

    how = Preprocessing((1, 8, 8), (0.3,), (0.2,))
    mlp((1, 8, 8), 2).save(tmp_path / "net.safetensors", classes=["cat", "dog"], preprocessing=how, trained_on="pets")
    net = nn.load(tmp_path / "net.safetensors")
    assert net.classes == ("cat", "dog")
    assert net.preprocessing == how
    assert net.metadata["trained_on"] == "pets"
    net.save(tmp_path / "again.safetensors")
    assert nn.load(tmp_path / "again.safetensors").classes == ("cat", "dog")


def test_plain_tensors_of_a_model_are_readable(tmp_path):
    net = nn.Linear(3, 2)
    nn.Sequential(net).save(tmp_path / "net.safetensors")
    tensors, _ = load_plain_tensors(tmp_path / "net.safetensors")
    np.testing.assert_array_equal(tensors["0.weight"], net.weight)


def test_a_class_of_ones_own_cannot_be_saved_whole(tmp_path):
    class Mine(nn.Module):
        def forward(self, x):
            return x

    with pytest.raises(ValueError, match="Mine is not a layer that a file can rebuild"):
        nn.Sequential(Mine()).save(tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_class_that_only_borrows_a_name_cannot_be_saved(tmp_path):
    class ReLU(nn.Module):
        def forward(self, x):
            return -x

    with pytest.raises(ValueError, match="ReLU is not a layer"):
        nn.Sequential(ReLU()).save(tmp_path / "net.safetensors")


def test_a_file_without_architecture_says_what_to_do(tmp_path):
    save_tensors(tmp_path / "t.safetensors", {"a": np.zeros(3, np.float32)}, {})
    with pytest.raises(ValueError, match=r"not how to build their network.*load_state_dict"):
        nn.load(tmp_path / "t.safetensors")


@pytest.mark.parametrize(
    "document",
    [
        {"type": "os.system", "arguments": {"command": "true"}},
        {"type": "Linear", "arguments": {"in_features": 3}},
        {"type": "Linear", "arguments": {"in_features": -3, "out_features": 2}},
        {"type": "Linear", "arguments": {"in_features": 3, "out_features": 2, "evil": 1}},
        {"type": "Linear"},
        {"kind": "Linear"},
        {"type": "Sequential", "arguments": {"layers": [3]}},
        {"type": ["Linear"], "arguments": {}},
    ],
    ids=json.dumps,
)
def test_a_forged_architecture_is_refused_in_a_sentence(document, tmp_path):
    save_tensors(tmp_path / "net.safetensors", {"weight": np.zeros((2, 3), np.float32)}, {"architecture": document})
    with pytest.raises(ValueError, match="does not describe a network that can be built"):
        nn.load(tmp_path / "net.safetensors")


def test_an_architecture_too_large_for_its_tensors_allocates_nothing(tmp_path):
    huge = {"type": "Linear", "arguments": {"in_features": 10**7, "out_features": 10**7}}
    save_tensors(tmp_path / "net.safetensors", {"weight": np.zeros((2, 3), np.float32)}, {"architecture": huge})
    with pytest.raises(ValueError, match="does not describe a network that can be built"):
        nn.load(tmp_path / "net.safetensors")


def test_a_double_network_stays_double(tmp_path):
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).astype(np.float64)
    net.save(tmp_path / "net.safetensors")
    x = np.random.default_rng(0).normal(size=(3, 2))
    np.testing.assert_array_equal(nn.load(tmp_path / "net.safetensors")(x), net(x))


def test_a_network_with_a_shared_layer_comes_back(tmp_path):
    layer = nn.Linear(3, 3)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    net.save(tmp_path / "net.safetensors")
    x = np.ones((1, 3), np.float32)
    np.testing.assert_array_equal(nn.load(tmp_path / "net.safetensors")(x), net(x))


def test_the_files_own_metadata_cannot_be_replaced(tmp_path):
    with pytest.raises(ValueError, match="architecture as further metadata"):
        nn.Sequential(nn.ReLU()).save(tmp_path / "net.safetensors", architecture="mine")
