"""Recipes: what is chosen from the pictures alone, what people settle themselves, and what makes no sense."""

import json

import numpy as np
import pytest

from wimmel.data import Dataset
from wimmel.train.recipes import MODELS, recipe_for


def dataset(count=100, shape=(1, 28, 28), classes=4):
    images = np.broadcast_to(np.uint8(0), (count, *shape))
    return Dataset(images, np.arange(count) % classes, tuple(f"class {number}" for number in range(classes)))


def test_mnist_gets_lenet_as_it_was_for_ten_epochs():
    recipe = recipe_for(dataset(54_000))
    assert (recipe.model, recipe.width, recipe.epochs, recipe.batch_size) == ("lenet", (6, 16), 10, 64)
    assert recipe.augmentation.shift > 0
    assert not recipe.augmentation.flip


def test_fewer_pictures_are_gone_through_more_often():
    epochs = [recipe_for(dataset(count)).epochs for count in (20, 500, 2_000, 5_000, 20_000, 60_000)]
    assert epochs == sorted(epochs, reverse=True)
    assert epochs[0] > epochs[-1]


def test_tiny_pictures_and_colour_get_more_channels():
    plain = recipe_for(dataset()).width
    assert sum(recipe_for(dataset(shape=(1, 8, 8))).width) > sum(plain)
    assert sum(recipe_for(dataset(shape=(3, 32, 32))).width) > sum(plain)


@pytest.mark.parametrize("model", MODELS)
def test_the_network_has_an_output_for_every_class(model):
    data = dataset(10, classes=7)
    net = recipe_for(data, model).network(data)
    assert net(np.zeros((2, 1, 28, 28), np.float32)).shape == (2, 7)


@pytest.mark.parametrize("shape", [(1, 4, 4), (3, 8, 30), (1, 15, 16), (3, 64, 48)])
def test_every_size_has_a_network(shape):
    data = dataset(10, shape)
    assert recipe_for(data).network(data)(np.zeros((1, *shape), np.float32)).shape == (1, 4)


def test_the_seed_draws_the_network():
    data = dataset(10)
    weights = [recipe_for(data, seed=seed).network(data)[0].weight for seed in (0, 0, 1)]
    assert (weights[0] == weights[1]).all()
    assert (weights[0] != weights[2]).any()


def test_what_is_settled_stays():
    data = dataset(100)
    recipe = recipe_for(data, "mlp", width=(5, 4), epochs=3, batch_size=7, learning_rate=0.25, augment=False, seed=9)
    trainer = recipe.trainer(recipe.network(data))
    assert (recipe.width, recipe.epochs, recipe.seed) == ((5, 4), 3, 9)
    assert (trainer.batch_size, trainer.optimizer.learning_rate, trainer.augmentation, trainer.seed) == (
        7,
        0.25,
        None,
        9,
    )


def test_mirroring_is_only_done_when_asked_for():
    for shape in ((1, 8, 8), (1, 28, 28), (3, 32, 32)):
        assert not recipe_for(dataset(shape=shape)).augmentation.flip
        assert recipe_for(dataset(shape=shape), flip=True).augmentation.flip


def test_a_recipe_is_plain_json():
    document = json.loads(json.dumps(recipe_for(dataset()).to_json()))
    assert document["model"] == "lenet"
    assert document["augmentation"]["rotate"] == 10


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"model": "gpt"}, "There is no model 'gpt'; there are: lenet"),
        ({"epochs": 0}, "epochs was 0"),
        ({"batch_size": -2}, "batch_size was -2"),
        ({"learning_rate": 0.0}, "learning_rate was 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate was nan"),
        ({"width": (6, 0)}, r"width was \(6, 0\)"),
        ({"width": (6, 16), "model": "lenet_classic"}, "no other width"),
    ],
)
def test_senseless_settings_are_refused(settings, sentence):
    with pytest.raises(ValueError, match=sentence):
        recipe_for(dataset(), **settings)


def test_the_classic_network_refuses_other_pictures_than_its_own():
    data = dataset(10, (1, 32, 32))
    with pytest.raises(ValueError, match="lenet_classic takes gray pictures of 28x28"):
        recipe_for(data, "lenet_classic").network(data)
