"""The training loop: it learns, chooses the best epoch, stops when told, repeats itself, and refuses what is wrong."""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from wimmel import nn
from wimmel.data import Augmentation, Dataset, Preprocessing, digits
from wimmel.train import Trainer, evaluate, losses, optim, predict, schedules


def network(seed=0, classes=3):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.1), nn.Linear(64, classes)
    ).initialize(seed)


def bars(count=90, seed=0, noise=60):
    """Pictures of 6 x 6 with a bright column at the left, in the middle or at the right."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = draw.integers(0, noise, (count, 1, 6, 6))
    images[np.arange(count), 0, :, 2 * labels] += 120
    return Dataset(images.astype(np.uint8), labels, ("left", "middle", "right"))


def trained(net, data=None, validation=0.2, epochs=3, trainer=None, **fit):
    settings = {"batch_size": 16, **(trainer or {})}
    made = Trainer(
        net, settings.pop("optimizer", optim.Adam(0.01)), settings.pop("loss", losses.cross_entropy), **settings
    )
    return made.fit(bars() if data is None else data, validation, epochs, progress=False, **fit)


def same_bits(first, second):
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)


# learning


def test_a_network_learns_and_its_history_tells():
    net = network()
    history = trained(net, epochs=5)
    assert len(history) == 5
    assert history[-1].loss < history[0].loss / 2
    assert history.best.validation_accuracy == 1.0
    assert evaluate(net, bars(seed=9)).accuracy > 0.95
    assert (history.interrupted, history.stopped_early) == (False, False)
    assert all(epoch.images_per_second > 0 for epoch in history)


def test_preprocessing_and_classes_stay_with_the_network_so_that_it_predicts_from_pictures():
    net = network()
    trained(net, epochs=1)
    rest, _ = bars().split(0.2, seed=0)
    assert net.preprocessing == Preprocessing.fit(rest)
    assert net.classes == ("left", "middle", "right")
    assert predict(net, bars().images).shape == (90, 3)


def test_a_network_that_has_a_preprocessing_keeps_it():
    net = network()
    net.preprocessing = Preprocessing((1, 6, 6), (0.0,), (1.0,))
    trained(net, epochs=1)
    assert net.preprocessing == Preprocessing((1, 6, 6), (0.0,), (1.0,))


def test_pairs_of_arrays_train_as_well_floats_without_preprocessing():
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)).initialize(0)
    x = np.random.default_rng(0).normal(size=(200, 2))
    y = (x[:, 0] * x[:, 1] > 0).astype(np.uint8)
    history = trained(net, (x, y), 0.25, 12, {"optimizer": optim.Adam(0.03)})
    assert history.best.validation_accuracy > 0.9
    assert "preprocessing" not in net.__dict__


def test_regression_has_no_accuracy_and_chooses_by_loss():
    net = nn.Sequential(nn.Linear(1, 1)).initialize(0)
    x = np.linspace(-1, 1, 40).reshape(-1, 1)
    history = trained(net, (x, 3 * x + 1), 0.25, 30, {"optimizer": optim.SGD(0.2), "loss": losses.mse})
    assert history[0].accuracy is None
    assert history.best.validation_loss == min(epoch.validation_loss for epoch in history) < 1e-2
    np.testing.assert_allclose([net[0].weight.item(), net[0].bias.item()], [3, 1], atol=0.1)


def test_labels_for_every_pixel_train_a_network_that_answers_for_every_pixel():
    images = np.random.default_rng(0).normal(size=(12, 1, 4, 4)).astype(np.float32)
    net = nn.Sequential(nn.Conv2d(1, 2, 1)).initialize(0)
    history = trained(net, (images, (images[:, 0] > 0).astype(np.int64)), None, 15, {"optimizer": optim.SGD(2.0)})
    assert history[-1].accuracy > 0.9


def test_augmented_pictures_train_too():
    assert len(trained(network(), epochs=1, trainer={"augmentation": Augmentation(shift=0.2)})) == 1


def test_a_last_batch_of_one_is_left_out_since_it_has_no_statistics():
    seen = []
    trained(network(), bars(33), None, 1, on_batch=lambda progress: seen.append(progress.examples))
    assert seen == [16, 32]
    trained(network(), bars(34), None, 1, on_batch=lambda progress: seen.append(progress.examples))
    assert seen[2:] == [16, 32, 34]


def test_frozen_parameters_stay():
    net = network()
    net[0].freeze()
    before = net[0].weight
    trained(net, epochs=1)
    assert np.array_equal(net[0].weight, before)


# the best epoch


def spoiling(net, after):
    """Called at the end of every epoch: wrecks the network after the given one."""

    def spoil(record):
        if record.epoch >= after:
            net[5].weight = -10 * np.ones_like(net[5].weight)

    return spoil


def test_at_the_end_the_network_has_the_best_epoch_s_parameters():
    net, kept = network(), {}

    def remember(record):
        kept[record.epoch] = {name: value.copy() for name, value in net.state_dict().items()}
        spoiling(net, 2)(record)

    history = trained(net, epochs=4, trainer={"optimizer": optim.SGD(1e-4)}, on_epoch=remember)
    assert history.best.epoch in (1, 2)
    assert same_bits(net.state_dict(), kept[history.best.epoch])


def test_without_validation_it_has_the_last_epoch_s():
    net, kept = network(), {}
    trained(net, bars(), None, 2, on_epoch=lambda record: kept.update(net.state_dict()))
    assert same_bits(net.state_dict(), kept)


def test_early_stopping_waits_for_its_patience():
    net = network()
    history = trained(
        net, epochs=20, early_stopping=2, trainer={"optimizer": optim.SGD(1e-6)}, on_epoch=spoiling(net, 1)
    )
    assert history.stopped_early
    assert len(history) == history.best.epoch + 2


def test_validation_is_a_part_of_the_training_data_that_is_not_trained_on():
    seen = []
    trained(network(), bars(), 0.2, 1, on_batch=lambda progress: seen.append(progress.examples))
    assert seen[-1] == 72


def test_the_part_of_a_pair_of_arrays_has_each_class_in_proportion():
    from wimmel.train.inputs import as_examples

    labels = np.repeat([0, 1, 2], [60, 30, 10])
    x = np.arange(100.0).reshape(-1, 1)
    rest, part = as_examples((x, labels), "train").split(0.3, 0)
    assert np.bincount(part.labels).tolist() == [18, 9, 3]
    assert sorted([*rest.images.ravel(), *part.images.ravel()]) == list(range(100))
    again, other = as_examples((x, labels), "train").split(0.3, 0), as_examples((x, labels), "train").split(0.3, 1)
    assert np.array_equal(again[1].images, part.images)
    assert not np.array_equal(other[1].images, part.images)


# the same again


def test_the_same_seed_gives_the_same_bits_and_another_one_others():
    runs = []
    for seed in (3, 3, 4):
        net = network()
        history = trained(net, epochs=2, trainer={"seed": seed, "augmentation": Augmentation(shift=0.2)})
        runs.append((history, net.state_dict()))
    assert runs[0][0] == runs[1][0]
    assert same_bits(runs[0][1], runs[1][1])
    assert runs[0][0] != runs[2][0]


def test_every_step_of_every_epoch_draws_anew():
    """With equal examples and no learning, only what dropout forgets makes one epoch's loss differ from another's."""
    net = nn.Sequential(nn.Dropout(0.5), nn.Linear(20, 2)).initialize(0)
    equal = np.ones((24, 20), np.float32), np.zeros(24, np.int64)
    history = trained(net, equal, None, 4, {"optimizer": optim.SGD(0.0), "batch_size": 12})
    assert len({epoch.loss for epoch in history}) == 4


PRINTS_A_DIGEST = """
import hashlib, test_trainer as t
net = t.network()
history = t.trained(net, epochs=2, trainer={"seed": 3, "augmentation": t.Augmentation(shift=0.2)})
state = b"".join(value.tobytes() for value in net.state_dict().values())
print(hashlib.sha256(state + repr([epoch.loss for epoch in history]).encode()).hexdigest())
"""


def test_another_process_gives_the_same_bits():
    digests = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(Path(__file__).parent)}
        command = [sys.executable, "-c", PRINTS_A_DIGEST]
        digests.add(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
    assert len(digests) == 1
    assert len(digests.pop()) > 60


# the rate


def test_the_schedule_is_asked_once_for_each_update_and_its_rate_is_recorded():
    asked = []

    def schedule(step):
        asked.append(step)
        return 0.01 / (1 + step)

    history = trained(network(), bars(32), None, 2, {"schedule": schedule})
    assert sorted(set(asked)) == [0, 1, 2, 3]
    assert [epoch.learning_rate for epoch in history] == [0.01 / 2, 0.01 / 4]


def test_a_named_schedule_spans_the_whole_training():
    history = trained(network(), bars(32), None, 4, {"schedule": "cosine"})
    expected = schedules.Cosine(0.01, 8)
    assert [epoch.learning_rate for epoch in history] == [expected(step) for step in (1, 3, 5, 7)]


# what is shown


def test_one_line_for_each_epoch_or_nothing(capsys):
    trainer = Trainer(network(), optim.Adam(0.01), batch_size=16)
    trainer.fit(bars(), 0.2, epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert re.match(r"epoch 1/2  loss \d\.\d{4}  accuracy .*%  validation .*  rate 0.01  [\d,]+ images/s", lines[0])
    trainer.fit(bars(), 0.2, epochs=1, progress=False)
    assert capsys.readouterr().out == ""


# what is refused


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"optimizer": optim.Adam}, TypeError, "takes one such as"),
        ({"optimizer": "adam"}, TypeError, "takes one such as"),
        ({"loss": "mse"}, TypeError, "takes a function of"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"schedule": "sine"}, ValueError, "there are constant, cosine, one-cycle"),
        ({"schedule": 0.1}, TypeError, "from step to learning rate"),
        ({"clip_norm": -1}, ValueError, "clip_norm was -1"),
        ({"seed": -1}, ValueError, "seed"),
    ],
)
def test_settings_out_of_range_are_refused_in_a_sentence(settings, error, words):
    with pytest.raises(error, match=words):
        trained(network(), trainer=settings)


def test_only_networks_are_trained():
    with pytest.raises(TypeError, match=r"takes a network"):
        Trainer(lambda x: x, optim.Adam())


@pytest.mark.parametrize(
    ("fit", "error", "words"),
    [
        ({"epochs": 0}, ValueError, "epochs"),
        ({"early_stopping": 0}, ValueError, "early_stopping"),
        ({"early_stopping": 2, "validation": None}, ValueError, "needs validation data"),
        ({"validation": 1.5}, ValueError, "fraction"),
        ({"data": 7}, TypeError, "pair of arrays"),
        ({"data": (np.zeros((3, 1, 6, 6)), [0, 1])}, ValueError, "same number of examples"),
        ({"data": (np.zeros((0, 1, 6, 6)), [])}, ValueError, "no examples"),
        ({"data": (np.zeros((3, 1, 6, 6), complex), [0, 1, 2])}, TypeError, "complex"),
        ({"data": (np.zeros((30, 1, 6, 6)), np.arange(30))}, ValueError, "labels from 0 to 2.*give its last layer"),
        (
            {"data": (np.zeros((3, 1, 6, 6)), [0, 1, -1]), "validation": None},
            ValueError,
            "-1 to 1; labels count from 0",
        ),
        ({"validation": (np.zeros((3, 1, 6, 6)), [0, 1, 3])}, ValueError, "validation has labels from 0 to 3"),
        ({"validation": (np.zeros((3, 2, 6, 6)), [0, 1, 2])}, ValueError, "layer 0"),
        ({"data": digits().take(30)}, ValueError, "layer 5"),
        ({"checkpoint": "no/such/folder/file.safetensors"}, FileNotFoundError, "there is no folder"),
        ({"trainer": {"schedule": lambda step: -1.0}}, ValueError, "the schedule gave"),
        ({"trainer": {"schedule": lambda step: float("nan")}}, ValueError, "the schedule gave"),
        (
            {"data": (np.zeros((3, 1, 6, 6)), [0, 1, 2]), "trainer": {"augmentation": Augmentation(flip=True)}},
            TypeError,
            "augmentation varies uint8",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_trained(fit, error, words):
    net = network()
    before = net.state_dict()
    with pytest.raises(error, match=words):
        trained(net, **fit)
    assert same_bits(before, net.state_dict())


def test_a_data_set_with_more_classes_than_scores_is_refused_though_its_labels_would_do():
    few = Dataset(bars().images, bars().labels, ("a", "b", "c", "d"))
    with pytest.raises(ValueError, match="train has 4 classes, and the network gives 3 scores"):
        trained(network(), few, None)


def test_a_network_without_trainable_parameters_is_refused():
    with pytest.raises(ValueError, match="no parameter to train"):
        trained(network().freeze())


def test_a_partial_of_a_loss_is_a_loss():
    loss = functools.partial(losses.cross_entropy, label_smoothing=0.1)
    assert len(trained(network(), epochs=1, trainer={"loss": loss})) == 1
