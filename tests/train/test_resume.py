"""Checkpoints: training broken off and resumed in new objects gives the bits of training straight on."""

import functools
import signal

import numpy as np
import pytest

from wimmel import nn
from wimmel.data import Augmentation, Dataset
from wimmel.files import load_tensors, save_tensors
from wimmel.train import Trainer, losses, optim, schedules
from wimmel.train.checkpoint import described, load_checkpoint

STEPS = 4 * 5


def data(seed=0, count=80):
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = draw.integers(0, 160, (count, 1, 5, 5))
    images[np.arange(count), 0, :, labels] += 80
    return Dataset(images.astype(np.uint8), labels, ("a", "b", "c"))


def network(seed=0):
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(27, 3)
    ).initialize(seed)


def trainer(net, optimizer=None, **settings):
    settings = {
        "batch_size": 16,
        "schedule": schedules.WarmUp(3, schedules.Cosine(0.02, STEPS)),
        "augmentation": Augmentation(shift=0.2),
        "seed": 5,
        **settings,
    }
    return Trainer(net, optimizer or optim.Adam(0.02), **settings)


def after(batches):
    """Ctrl-C after so many batches of this run."""
    count = iter(range(1, 1_000_000))

    def interrupt(_):
        if next(count) == batches:
            raise KeyboardInterrupt

    return interrupt


def assert_same_ending(path, net, history, straight_path, straight_net, straight):
    assert history == straight
    ours, theirs = net.state_dict(), straight_net.state_dict()
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)
    (mine, my_document), (other, other_document) = load_tensors(path), load_tensors(straight_path)
    assert mine.keys() == other.keys()
    assert all(mine[name].tobytes() == other[name].tobytes() for name in mine)
    for document in (my_document, other_document):
        for epoch in document["history"]["epochs"]:
            del epoch["seconds"], epoch["images_per_second"]
    assert my_document == other_document


OPTIMIZERS = [optim.Adam(0.02), optim.SGD(0.05, momentum=0.9), optim.SGD(0.05), optim.RMSprop(0.01, momentum=0.5)]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=repr)
def test_two_epochs_and_two_more_are_four_bit_for_bit(tmp_path, optimizer):
    paths = tmp_path / "straight.safetensors", tmp_path / "resumed.safetensors"
    straight_net = network()
    straight = trainer(straight_net, optimizer).fit(data(), 0.25, 4, progress=False, checkpoint=paths[0])
    trainer(network(), optimizer).fit(data(), 0.25, 2, progress=False, checkpoint=paths[1])
    net = network(seed=99)
    history = trainer(net, optimizer).fit(data(), 0.25, 4, progress=False, checkpoint=paths[1], resume=paths[1])
    assert_same_ending(paths[1], net, history, paths[0], straight_net, straight)


@pytest.mark.parametrize("batches", [1, 4, 7, 10])
def test_training_stopped_inside_an_epoch_goes_on_from_there(tmp_path, batches):
    paths = tmp_path / "straight.safetensors", tmp_path / "resumed.safetensors"
    straight_net = network()
    straight = trainer(straight_net).fit(data(), 0.25, 4, progress=False, checkpoint=paths[0])
    first = trainer(network()).fit(data(), 0.25, 4, progress=False, checkpoint=paths[1], on_batch=after(batches))
    assert first.interrupted
    net = network(seed=99)
    history = trainer(net).fit(data(), 0.25, 4, progress=False, checkpoint=paths[1], resume=paths[1])
    assert not history.interrupted
    assert_same_ending(paths[1], net, history, paths[0], straight_net, straight)


def test_a_finished_training_resumed_gives_its_best_parameters_at_once(tmp_path):
    path = tmp_path / "done.safetensors"
    net, again = network(), network(seed=99)
    history = trainer(net).fit(data(), 0.25, 3, progress=False, checkpoint=path)
    called = []
    resumed = trainer(again).fit(data(), 0.25, 3, progress=False, resume=path, on_batch=called.append)
    assert resumed == history
    assert not called
    assert all(np.array_equal(net.state_dict()[name], again.state_dict()[name]) for name in net.state_dict())


def test_training_that_stopped_early_stays_stopped(tmp_path):
    path = tmp_path / "early.safetensors"
    net = network()

    def wreck(record):
        net[5].weight = np.full((3, 27), -9.0)

    fit = {"progress": False, "early_stopping": 2}
    history = trainer(net, optim.SGD(1e-6), schedule=None).fit(data(), 0.25, 9, checkpoint=path, on_epoch=wreck, **fit)
    assert history.stopped_early
    assert len(history) < 9
    again = trainer(network(), optim.SGD(1e-6), schedule=None).fit(data(), 0.25, 9, resume=path, **fit)
    assert again == history


# Ctrl-C


def test_ctrl_c_leaves_the_best_parameters_in_the_network_and_in_the_checkpoint(tmp_path):
    path = tmp_path / "stopped.safetensors"
    net, kept = network(), {}

    def remember(record):
        kept[record.epoch] = {name: value.copy() for name, value in net.state_dict().items()}

    history = trainer(net).fit(data(), 0.25, 9, progress=False, checkpoint=path, on_epoch=remember, on_batch=after(10))
    assert history.interrupted
    assert len(history) == 2
    checkpoint = load_checkpoint(path)
    best = kept[history.best.epoch]
    assert all(np.array_equal(net.state_dict()[name], best[name]) for name in best)
    assert all(np.array_equal(checkpoint.best[name], best[name]) for name in best)
    assert checkpoint.progress.batches == 2
    assert checkpoint.steps == 10


def test_a_real_ctrl_c_waits_for_the_end_of_the_step_and_the_old_handler_comes_back(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def press(progress):
        seen.append(progress.batches)
        if len(seen) == 2:
            signal.raise_signal(signal.SIGINT)
            seen.append("still here")

    history = trainer(network()).fit(data(), None, 9, progress=False, on_batch=press)
    assert seen == [1, 2, "still here"]
    assert history.interrupted
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_does_not_wait():
    def press(_):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second one was kept back too")

    with pytest.raises(KeyboardInterrupt):
        trainer(network()).fit(data(), None, 9, progress=False, on_batch=press)


def test_a_program_s_own_handler_for_ctrl_c_is_left_alone():
    called = []
    before = signal.signal(signal.SIGINT, lambda *_: called.append(True))
    try:
        press = lambda progress: signal.raise_signal(signal.SIGINT) if progress.batches == 1 else None  # noqa: E731
        history = trainer(network()).fit(data(), None, 1, progress=False, on_batch=press)
    finally:
        signal.signal(signal.SIGINT, before)
    assert called == [True]
    assert not history.interrupted


def test_what_a_stopped_training_shows(capsys):
    trainer(network()).fit(data(), 0.25, 9, on_batch=after(6))
    lines = capsys.readouterr().out.splitlines()
    assert [line[:9] for line in lines[:1]] == ["epoch 1/9"]
    assert lines[-1] == "stopped by Ctrl-C in epoch 2"


# what is refused


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "first.safetensors"
    trainer(network()).fit(data(), 0.25, 1, progress=False, checkpoint=path)
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train": data(count=90)}, r"other training data \(60 images of uint8 \(1, 5, 5\) then, 68 images"),
        ({"train": data(seed=1)}, "other training data"),
        ({"validation": None}, "validation"),
        ({"optimizer": optim.SGD(0.02)}, r"optimizer Adam\(learning_rate=0.02.*not SGD"),
        ({"optimizer": optim.Adam(0.01)}, r"learning_rate=0.02.*not Adam\(learning_rate=0.01"),
        ({"loss": functools.partial(losses.cross_entropy, label_smoothing=0.1)}, "loss cross_entropy, not partial"),
        ({"batch_size": 8}, "batch size 16, not 8"),
        ({"seed": 6}, "seed 5, not 6"),
        ({"schedule": None}, "schedule WarmUp.*not Constant"),
        ({"augmentation": None}, "augmentation .*, not None"),
        ({"clip_norm": 1.0}, "clip norm None, not 1.0"),
    ],
)
def test_going_on_with_something_else_is_refused_and_says_with_what(checkpoint, change, words):
    fit = {"train": data(), "validation": 0.25, **{k: v for k, v in change.items() if k in ("train", "validation")}}
    settings = {k: v for k, v in change.items() if k not in fit}
    with pytest.raises(ValueError, match=words) as error:
        trainer(network(), **settings).fit(**fit, epochs=2, progress=False, resume=checkpoint)
    assert "cannot be resumed" in str(error.value)


def test_going_on_with_another_network_is_refused(checkpoint):
    wider = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(27, 3))
    with pytest.raises(ValueError, match="another network"):
        trainer(wider).fit(data(), 0.25, 2, progress=False, resume=checkpoint)
    frozen = network()
    frozen[0].freeze()
    with pytest.raises(ValueError, match=r"another network \(0.weight"):
        trainer(frozen).fit(data(), 0.25, 2, progress=False, resume=checkpoint)
    other = network()
    other.layers = (*other.layers[:2], nn.Tanh(), *other.layers[3:])
    with pytest.raises(ValueError, match="architecture"):
        trainer(other).fit(data(), 0.25, 2, progress=False, resume=checkpoint)


def test_a_file_of_another_kind_is_refused(tmp_path, checkpoint):
    model = tmp_path / "model.safetensors"
    save_tensors(model, {"a": np.zeros(2)}, {"architecture": {}})
    with pytest.raises(ValueError, match="is not a training's checkpoint"):
        load_checkpoint(model)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(checkpoint.read_bytes()[:-100])
    with pytest.raises(ValueError, match="truncated"):
        load_checkpoint(cut)
    tensors, document = load_tensors(checkpoint)
    del document["steps"]
    save_tensors(cut, tensors, document)
    with pytest.raises(ValueError, match="damaged checkpoint"):
        load_checkpoint(cut)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        trainer(network()).fit(data(), 0.25, 2, progress=False, resume=tmp_path / "none.safetensors")


def test_a_disk_that_is_full_leaves_the_last_checkpoint_and_the_best_parameters(checkpoint, monkeypatch):
    from pathlib import Path

    before = checkpoint.read_bytes()
    real = Path.open

    def full(self, mode="r", *rest, **named):
        if "w" in mode and self.suffix == ".safetensors":
            raise OSError(28, "No space left on device", str(self))
        return real(self, mode, *rest, **named)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OSError, match="the disk is full"):
        trainer(network()).fit(data(), 0.25, 2, progress=False, checkpoint=checkpoint)
    assert checkpoint.read_bytes() == before


def test_settings_are_described_alike_in_every_process():
    assert described(optim.SGD(0.1)) == "SGD(learning_rate=0.1, momentum=0.0, nesterov=False, weight_decay=0.0)"
    nested = schedules.WarmUp(3, schedules.StepDecay(0.1, 5))
    assert described(nested) == "WarmUp(steps=3, schedule=StepDecay(learning_rate=0.1, every=5, factor=0.1))"
    smoothed = functools.partial(losses.cross_entropy, label_smoothing=0.1)
    assert described(smoothed) == "partial(cross_entropy, label_smoothing=0.1)"
    assert " at 0x" not in described(lambda step: 0.1)
