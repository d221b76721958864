"""Modules own state, find their layers, and are recorded with their parameters as inputs."""

import copy
import pickle
import threading

import numpy as np
import pytest

from wimmel import nn
from wimmel.graph import trace
from wimmel.models import lenet_classic
from wimmel.runtime import compile, grad, value_and_grad


class Residual(nn.Module):
    def __init__(self, channels):
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.branches = [nn.ReLU(), nn.Conv2d(channels, channels, 1)]
        self.scale = nn.Parameter(np.ones((channels, 1, 1)))
        self.seen = nn.Buffer(np.zeros((), np.int64))

    def forward(self, x):
        y = self.first(x)
        for layer in self.branches:
            y = layer(y)
        self.seen = self.seen + 1
        return x + y * self.scale


@pytest.fixture
def pictures():
    return np.random.default_rng(0).normal(size=(2, 3, 6, 5)).astype(np.float32)


def test_state_is_found_in_attributes_and_lists():
    assert list(Residual(3).state_dict()) == [
        "scale", "seen", "first.weight", "first.bias", "branches.1.weight", "branches.1.bias",
    ]  # fmt: skip
    assert "seen" not in Residual(3).parameters()


def test_parameters_are_inputs_of_the_graph_not_constants(pictures):
    traced = trace(Residual(3), pictures)
    assert {variable.name for variable in traced.variables} >= {"scale", "weight", "bias"}
    constants = [node for node in traced.graph.nodes() if node.primitive.name == "constant"]
    assert all(node.size == 1 for node in constants)


def test_a_replaced_parameter_is_used_without_recording_again(pictures):
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU())
    compiled = compile(net, pictures)
    graph = compiled.graph
    net[0].weight = np.zeros((2, 3, 3, 3))
    net[0].bias = np.array([1.0, -1.0])
    y = compiled(pictures)
    assert compiled.graph is graph
    assert (y[:, 0] == 1).all() and (y[:, 1] == 0).all()


def test_a_captured_module_follows_its_parameters(pictures):
    net = nn.Conv2d(3, 1, 1, bias=False)
    doubled = compile(lambda x: 2 * net(x), pictures)
    net.weight = np.ones((1, 3, 1, 1))
    np.testing.assert_allclose(doubled(pictures)[:, 0], 2 * pictures.sum(axis=1), rtol=1e-5)


def test_a_changed_setting_is_recorded_again():
    layer = nn.LeakyReLU(0.5)
    x = np.array([-2.0])
    assert layer(x) == -1
    layer.negative_slope = 0.25
    assert layer(x) == -0.5


def test_an_exchanged_layer_is_recorded_again():
    class Holder(nn.Module):
        def __init__(self):
            self.inner = nn.ReLU()

        def forward(self, x):
            return self.inner(x)

    net, x = Holder(), np.array([-1.0])
    assert net(x) == 0
    net.inner = nn.Identity()
    assert net(x) == -1


def test_buffers_written_in_a_call_change_after_it(pictures):
    net = Residual(3)
    net(pictures)
    net(pictures)
    assert net.seen == 2


def test_assignment_keeps_shape_and_dtype():
    layer = nn.Linear(3, 2)
    with pytest.raises(ValueError, match=r"weight of Linear has shape \(2, 3\) and was set to shape \(3, 2\)"):
        layer.weight = np.zeros((3, 2))
    layer.weight = np.ones((2, 3), np.float64)
    assert layer.weight.dtype == np.float32


def test_parameters_cannot_be_changed_in_place():
    layer = nn.Linear(3, 2)
    with pytest.raises(ValueError, match="read-only"):
        layer.weight[0, 0] = 1
    given = np.zeros((2, 3), np.float32)
    layer.weight = given
    given[:] = 7
    assert (layer.weight == 0).all()


def test_initialize_depends_on_seed_and_name_alone():
    one = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4)).initialize(5)
    two = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4)).initialize(5)
    for name, value in one.state_dict().items():
        np.testing.assert_array_equal(value, two.state_dict()[name])
    assert (one[1].weight != two.initialize(6)[1].weight).all()


def test_loading_is_all_or_nothing():
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).initialize(0)
    before = {name: value.copy() for name, value in net.state_dict().items()}
    wrong = {name: np.zeros_like(value) for name, value in before.items()} | {"1.weight": np.zeros((9, 9))}
    wrong["2.bias"] = wrong.pop("0.bias")
    with pytest.raises(ValueError, match=r"1\.weight has shape \(9, 9\).*0\.bias is missing.*2\.bias is unknown"):
        net.load_state_dict(wrong)
    for name, value in net.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_not_strict_loads_what_is_there():
    net = nn.Linear(2, 1).initialize(0)
    bias = net.bias
    net.load_state_dict({"weight": np.ones((1, 2)), "other": np.zeros(3)}, strict=False)
    assert (net.weight == 1).all() and net.bias is bias


def test_errors_name_the_layer_and_both_shapes(pictures):
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(7, 4, 3))
    with pytest.raises(ValueError, match=r"layer 2, Conv2d\(7, 4, kernel_size=3\): .*8.*7"):
        net(pictures)


def test_only_the_innermost_layer_is_named(pictures):
    net = nn.Sequential(nn.Sequential(nn.Conv2d(5, 4, 3)))
    with pytest.raises(ValueError) as caught:
        net(pictures)
    assert str(caught.value).count("layer ") == 1 and "layer 0.0, Conv2d" in str(caught.value)


def test_frozen_parameters_have_no_gradient(pictures):
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(24, 1)).initialize(0)
    loss = lambda net, x: (net(x) ** 2).sum()  # noqa: E731
    assert set(grad(loss)(net, pictures)) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    net[0].freeze()
    assert set(grad(loss)(net, pictures)) == {"2.weight", "2.bias"}
    net[0].freeze(False)
    assert set(grad(loss)(net, pictures)) == {"0.weight", "0.bias", "2.weight", "2.bias"}


def test_unfreezing_leaves_buffers_alone():
    layer = nn.BatchNorm2d(3).freeze().freeze(False)
    assert set(layer.parameters()) == {"weight", "bias"}


def test_a_module_gradient_inside_a_gradient(pictures):
    """The gradient of the squared norm of a gradient is twice Hessian times gradient; linear regression knows it."""
    layer = nn.Linear(4, 1, bias=False).astype(np.float64).initialize(0)
    x = np.random.default_rng(1).normal(size=(7, 4))

    def penalty(layer):
        inner = grad(lambda layer: (layer(x) ** 2).sum())(layer)
        return (inner["weight"] ** 2).sum()

    hessian = 2 * x.T @ x
    expected = 2 * (hessian @ hessian @ layer.weight[0])
    np.testing.assert_allclose(grad(penalty)(layer)["weight"][0], expected, rtol=1e-10)


def test_training_draws_and_inference_does_not():
    net = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5))
    x = np.ones(1000, np.float32)
    np.testing.assert_array_equal(net(x), x)
    y = net(x, training=True, seed=3)
    assert set(np.unique(y)) == {0, 2, 4} - {2}
    assert 0.2 < (y > 0).mean() < 0.3, "the two layers draw apart"
    np.testing.assert_array_equal(y, net(x, training=True, seed=3))
    assert (y != net(x, training=True, seed=4)).any()
    assert (y != net(x, training=True, seed=(3, 1))).any()


def test_a_layer_used_twice_draws_twice():
    class Twice(nn.Module):
        def __init__(self):
            self.drop = nn.Dropout(0.5)

        def forward(self, x):
            return nn.current_call().training * (self.drop(x) - self.drop(x))

    assert (Twice()(np.ones(100, np.float32), training=True, seed=0) != 0).any()


def test_dropout_without_a_seed_says_so():
    with pytest.raises(ValueError, match="needs a seed"):
        nn.Sequential(nn.Dropout())(np.ones(3, np.float32), training=True)


def test_a_shared_layer_is_counted_once_and_saved_under_all_its_paths():
    layer = nn.Linear(3, 3)
    net = nn.Sequential(layer, nn.ReLU(), layer)
    assert net.parameter_count() == 12
    assert list(net.parameters()) == ["0.weight", "0.bias"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"], "as in PyTorch"
    net.load_state_dict(net.state_dict())


def test_a_module_that_holds_itself_is_walked_once():
    class Loop(nn.Module):
        def __init__(self):
            self.scale = nn.Parameter(np.ones(1))
            self.me = self

    assert list(Loop().state_dict()) == ["scale"]


def test_modules_in_lists_are_found_however_they_got_there():
    class Stack(nn.Module):
        def __init__(self):
            self.blocks = []
            for _ in range(2):
                self.blocks.append(nn.Linear(2, 2))
            self.grid = [[nn.Linear(1, 1)], {"a": nn.Linear(1, 1)}]

        def forward(self, x):
            for block in self.blocks:
                x = block(x)
            return x

    net = Stack()
    assert [name for name in net.state_dict() if "bias" in name] == [
        "blocks.0.bias", "blocks.1.bias", "grid.0.0.bias", "grid.1.a.bias",
    ]  # fmt: skip
    x = np.ones((1, 2), np.float32)
    before = net(x)
    net.blocks.append(nn.Linear(2, 2))
    assert (net(x) != before).any(), "the longer list is recorded anew"
    net.blocks[0] = nn.Linear(2, 2).initialize(9)
    assert "blocks.2.bias" in net.state_dict()


def test_a_sequential_of_ones_own_keeps_its_other_layers():
    class Headed(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(2, 2))
            self.extra = nn.Linear(2, 2)

    assert set(Headed().state_dict()) == {"0.weight", "0.bias", "extra.weight", "extra.bias"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda net: net.options.update(gain=5.0), 5),
        (lambda net: net.factors.__setitem__(0, 7.0), 7),
        (lambda net: net.mask.__setitem__(0, 3.0), 3),
        (lambda net: setattr(net.inner, "negative_slope", 2.0), 2),
    ],
    ids=["a dict", "a list", "an array", "a setting of a layer that is only read"],
)
def test_settings_changed_in_place_are_noticed(change, expected):
    class Many(nn.Module):
        def __init__(self):
            self.options, self.factors, self.mask = {"gain": 1.0}, [1.0], np.ones(1)
            self.inner = nn.LeakyReLU(1.0)

        def forward(self, x):
            return x * self.options["gain"] * self.factors[0] * self.mask * self.inner.negative_slope

    net = Many()
    assert net(np.ones(1)) == 1
    change(net)
    assert net(np.ones(1)) == expected


def test_layers_exchanged_in_a_captured_network_are_noticed():
    net = nn.Sequential(nn.ReLU())
    compiled = compile(lambda x: net[0](x), np.ones(1))
    net.layers = (nn.Sigmoid(),)
    assert compiled(np.zeros(1)) == 0.5


def test_a_layer_used_twice_is_known_by_both_paths():
    relu = nn.ReLU()
    net = nn.Sequential(nn.Conv2d(1, 2, 3), relu, nn.Conv2d(2, 3, 3), relu)
    rows = {row.path: row for row in nn.inspect(net, (1, 8, 8)).layers}
    assert rows["1"].output_shape == (2, 6, 6) and rows["3"].output_shape == (3, 4, 4)
    assert str(nn.receptive_field(net, (1, 8, 8), of="1")).startswith("3x3")
    assert str(nn.receptive_field(net, (1, 8, 8), of="3")).startswith("5x5")


def test_threads_that_use_a_new_network_first_see_the_same_parameters():
    for _ in range(5):
        layer, barrier, found = nn.Linear(300, 300), threading.Barrier(4), []

        def call(layer=layer, barrier=barrier, found=found):
            barrier.wait(10)
            found.append(layer(np.ones((1, 300), np.float32)))

        threads = [threading.Thread(target=call) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all((y == found[0]).all() for y in found)


def test_what_is_no_real_number_is_refused():
    layer = nn.Linear(2, 2)
    before = layer.weight
    with pytest.raises(TypeError, match="real numbers"):
        layer.weight = np.ones((2, 2)) * 1j
    with pytest.raises(TypeError, match="real numbers"):
        nn.Sequential(layer).scale = nn.Parameter(np.array(["a"]))
    with pytest.raises(TypeError, match="bias was given"):
        layer.load_state_dict({"weight": np.ones((2, 2)), "bias": ["a", "b"]})
    assert layer.weight is before
    with pytest.raises(TypeError, match="given a list"):
        layer.load_state_dict([])


def test_attributes_may_change_what_they_are():
    net = nn.Sequential()
    net.weight = None
    net.weight = nn.Parameter.drawn((3,), nn.initializers.ones)
    assert (net.weight == 1).all()
    net.weight = nn.Buffer(np.zeros(3))
    assert net.parameter_count() == 0
    net.weight = nn.Parameter(np.full(4, 2.0))
    assert net.parameter_count() == 4 and net.initialize(0).weight.shape == (4,)
    net.weight = None
    assert net.weight is None and not net.state_dict()


def test_copies_stay_read_only():
    layer = pickle.loads(pickle.dumps(nn.Linear(2, 2)))
    for copied in (layer, copy.deepcopy(layer)):
        assert not copied.weight.flags.writeable


def test_lists_of_numbers_are_inputs():
    net = nn.Linear(2, 1).initialize(0)
    for number in (1.0, 2.0):
        expected = net(np.array([[number, 3.0]], np.float32))
        np.testing.assert_array_equal(net([[number, 3.0]]), expected)
    assert len(net.__dict__["_inference"]._traces) == 1


def test_forward_may_take_named_inputs():
    class Scaled(nn.Module):
        def forward(self, x, scale):
            return x * scale

    assert Scaled()(np.ones(1), scale=np.array([3.0])) == 3


@pytest.mark.parametrize("seed", [-1, 1.5, "a", (1, 2, 3), (1, -2)])
def test_seeds_are_whole_numbers(seed):
    with pytest.raises(ValueError, match="seed was"):
        nn.Dropout()(np.ones(3, np.float32), training=True, seed=seed)


@pytest.mark.parametrize("seed", [-1, 1.5, None])
def test_initialize_takes_whole_numbers(seed):
    with pytest.raises(ValueError, match="whole number of 0 or more"):
        nn.Linear(1, 1).initialize(seed)


def test_a_layer_may_have_a_version_of_its_own():
    class Labelled(nn.Module):
        def __init__(self):
            self.version = "1.0"

        def forward(self, x):
            return x

    assert Labelled()(np.ones(1)) == 1


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.MaxPool2d(0), lambda: nn.MaxPool2d("x"), lambda: nn.AdaptiveAvgPool2d(0), lambda: nn.Softplus(0),
        lambda: nn.GELU("foo"), lambda: nn.GroupNorm(2, 4.0), lambda: nn.Flatten(2, 1), lambda: nn.BatchNorm2d(-1),
        lambda: nn.LayerNorm(2.5), lambda: nn.Dropout("a"), lambda: nn.Dropout(1.5), lambda: nn.Linear(2.0, 1),
        lambda: nn.Conv2d(3, 4, 3, stride=0), lambda: nn.Conv2d(3, 4, 3, groups=2), lambda: nn.Conv2d(0, 4, 3),
        lambda: nn.Conv2d(1, 1, 3, padding_mode="mirror"), lambda: nn.Conv2d(1, 1, 3, padding="full-ish"),
        lambda: nn.Sequential([nn.ReLU()]),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused_when_the_layer_is_made(build):
    with pytest.raises((ValueError, TypeError)) as caught:
        build()
    assert len(str(caught.value)) > 30, "a sentence"


def test_numpys_whole_numbers_are_whole_numbers():
    assert nn.Linear(np.prod((2, 3)), 10).in_features == 6
    assert nn.Conv2d(np.int64(3), 2, np.int32(3)).kernel_size == (3, 3)
    assert nn.LayerNorm(np.int64(3)).normalized_shape == (3,)


def test_networks_are_copied_and_pickled_apart(pictures):
    net = nn.Sequential(nn.Conv2d(3, 2, 3)).initialize(0)
    expected = net(pictures)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        net[0].weight = np.zeros((2, 3, 3, 3))
        np.testing.assert_array_equal(twin(pictures), expected)
        net.initialize(0)


def test_astype_converts_and_computes_in_double(pictures):
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2)).astype(np.float64)
    assert net(pictures.astype(np.float64)).dtype == np.float64
    assert net[1].num_batches_tracked.dtype == np.int64
    with pytest.raises(TypeError, match="float32 or float64"):
        net.astype(np.float16)


def test_value_and_grad_moves_running_statistics(pictures):
    net = nn.Sequential(nn.BatchNorm2d(3))
    value_and_grad(lambda net: net(pictures, training=True).sum())(net)
    assert net[0].num_batches_tracked == 1
    np.testing.assert_allclose(net[0].running_mean, 0.1 * pictures.mean(axis=(0, 2, 3)), rtol=1e-5)


def test_an_unknown_attribute_and_a_missing_forward():
    with pytest.raises(AttributeError, match="Linear has no attribute 'weigth'"):
        _ = nn.Linear(1, 1).weigth
    with pytest.raises(TypeError, match="define forward"):
        nn.Module()(np.ones(1))


def test_repr_reads_like_the_constructor():
    assert repr(nn.Conv2d(1, 6, 5, padding=2)) == "Conv2d(1, 6, kernel_size=5, padding=2)"
    assert repr(nn.Conv2d(1, 6, (5, 3), padding=((1, 2), (0, 0)), bias=False)) == (
        "Conv2d(1, 6, kernel_size=(5, 3), padding=((1, 2), 0), bias=False)"
    )
    assert repr(nn.Sequential(nn.ReLU(), nn.Linear(2, 1))) == "Sequential(\n  (0): ReLU()\n  (1): Linear(2, 1)\n)"


def test_the_html_form_lists_every_layer():
    page = lenet_classic()._repr_html_()
    assert page.count("<tr>") == 13 and "61,706 parameters" in page


def test_raw_pictures_do_not_pass_by_the_preprocessing():
    from wimmel.data import Preprocessing

    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    net.preprocessing = Preprocessing((1, 2, 2), (0.5,), (0.25,))
    with pytest.raises(TypeError, match=r"net\.preprocessing\(images\)"):
        net(np.zeros((1, 1, 2, 2), np.uint8))
    assert net(net.preprocessing(np.zeros((1, 1, 2, 2), np.uint8))).shape == (1, 2)
