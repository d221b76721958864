"""Training that meets a NaN or an infinity stops and says where: operation, layer, epoch and batch, or which data."""

import numpy as np
import pytest

import wimmel.functional as F
from wimmel import nn
from wimmel.graph import first_not_finite, trace
from wimmel.train import NotFiniteError, Trainer, losses, optim


def examples(count=40):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(count, 3)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(np.int64)


def network():
    return nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)).initialize(0)


def fit(net, data, optimizer=None, loss=losses.cross_entropy, **settings):
    trainer = Trainer(net, optimizer or optim.SGD(0.1), loss, batch_size=8, **settings)
    return trainer.fit(data, epochs=3, progress=False)


class Exploding(nn.Module):
    """A layer whose result is too large for float32."""

    def forward(self, x):
        return F.exp(x * x * 1e4)


def test_the_first_operation_that_is_not_finite_is_named_with_its_layer_epoch_and_batch():
    net = nn.Sequential(nn.Linear(3, 8), Exploding(), nn.Linear(8, 2)).initialize(0)
    before = net.state_dict()
    with pytest.raises(NotFiniteError, match=r"epoch 1, batch 1: .* is exp of layer 1, Exploding\(\)") as caught:
        fit(net, examples())
    assert "forward pass" in str(caught.value)
    assert "learning rate below 0.1" in str(caught.value)
    assert (caught.value.epoch, caught.value.batch) == (1, 1)
    assert (caught.value.layer, caught.value.operation) == ("1", "exp")
    assert all(np.array_equal(before[name], value) for name, value in net.state_dict().items())


def test_a_learning_rate_far_too_large_is_caught_where_numbers_overflow():
    x, _ = examples()
    net = nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 1)).initialize(0)
    with pytest.raises(NotFiniteError, match="learning rate below 1e") as caught:
        fit(net, (x, x[:, :1]), optim.SGD(1e6), losses.mse)
    assert caught.value.batch > 1
    assert all(np.isfinite(value).all() for value in net.state_dict().values())


def test_a_gradient_that_is_not_finite_is_found_in_the_backward_pass():
    class Root(nn.Module):
        def forward(self, x):
            return F.sqrt(F.maximum(x, 0) * 0)

    net = nn.Sequential(nn.Linear(3, 4), Root(), nn.Linear(4, 2)).initialize(0)
    with pytest.raises(NotFiniteError, match=r"divide of layer 1, Root\(\), in the backward pass"):
        fit(net, examples())


def test_an_update_that_overflows_is_blamed_on_the_update():
    with pytest.raises(NotFiniteError, match="in the optimiser's update") as caught:
        fit(network(), examples(), optim.SGD(1e39))
    assert caught.value.layer is None


def test_the_loss_is_named_if_it_is_what_fails():
    def loss(scores, labels):
        return losses.cross_entropy(scores, labels) + F.log(F.sum(scores * 0))

    with pytest.raises(NotFiniteError, match="log of the loss, in the forward pass"):
        fit(network(), examples(), loss=loss)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_data_that_are_not_finite_are_told_as_such_with_the_example_s_number(value):
    x, y = examples()
    x[17, 2] = value
    with pytest.raises(
        NotFiniteError, match=r"training data .*: 1 of the batch's 8 examples have such images.* number 17"
    ) as e:
        fit(network(), (x, y))
    assert e.value.operation is None


def test_labels_that_are_not_finite_are_told_as_such():
    x, _ = examples()
    y = x[:, :2].copy()
    y[3, 1] = np.nan
    with pytest.raises(NotFiniteError, match=r"such labels, the first is number 3"):
        fit(network(), (x, y), loss=losses.mse)


def test_parameters_that_are_not_finite_to_begin_with_are_named():
    net = network()
    net[2].bias = [0.0, np.inf]
    with pytest.raises(NotFiniteError, match=r"2\.bias held values that are not finite before the step"):
        fit(net, examples())


def test_it_is_a_value_error():
    assert issubclass(NotFiniteError, ValueError)


def test_the_best_parameters_so_far_are_in_the_network_when_training_fails():
    x, y = examples()
    net, kept = network(), {}

    def spoil(record):
        kept.update({name: value.copy() for name, value in net.state_dict().items()})
        net[0].weight = np.full((8, 3), np.nan)

    with pytest.raises(NotFiniteError, match=r"epoch 2, batch 1: 0\.weight held"):
        Trainer(net, optim.Adam(0.01), batch_size=8).fit((x, y), 0.25, 3, progress=False, on_epoch=spoil)
    assert all(np.array_equal(kept[name], value) for name, value in net.state_dict().items())


# the cause in a graph


def cause(function, *arguments):
    traced = trace(function, *arguments)
    return first_not_finite(traced.graph, list(arguments))


def test_the_cause_is_the_earliest_link_of_the_chain():
    found = cause(lambda x: F.sum(F.sqrt(F.log(x)) * 2), np.array([0.5, 0.0]))
    assert found.primitive.name == "log"


def test_an_infinity_that_was_meant_is_not_blamed():
    def masked(x):
        scores = F.where(x < 0, -np.inf, x)
        return F.sum(F.softmax(scores, dim=0)) + F.sum(F.log(x))

    found = cause(masked, np.array([-1.0, 2.0]))
    assert found.primitive.name == "log"
    assert cause(lambda x: F.sum(F.softmax(F.where(x < 0, -np.inf, x), dim=0)), np.array([-1.0, 2.0])) is None


def test_a_constant_is_never_blamed_but_what_was_made_of_it():
    found = cause(lambda x: F.sum(F.softmax(F.where(x < 9, -np.inf, x), dim=0)), np.array([-1.0, 2.0]))
    assert found.primitive.name == "where"
