"""Histories: which epoch was best, JSON there and back, and how they look."""

import json
import xml.dom.minidom
from dataclasses import replace

import pytest

from wimmel.train import Epoch, History


def epoch(number, loss=1.0, accuracy=0.5, validation_loss=None, validation_accuracy=None):
    return Epoch(number, loss, accuracy, validation_loss, validation_accuracy, 0.1, 2.0, 100.0)


def test_the_best_epoch_has_the_highest_validation_accuracy_then_the_lowest_loss_then_comes_first():
    figures = [(0.5, 0.8), (0.9, 0.9), (0.4, 0.9), (0.4, 0.9), (0.1, 0.7)]
    history = History(tuple(epoch(n + 1, 1.0, 0.5, *pair) for n, pair in enumerate(figures)))
    assert history.best.epoch == 3


def test_without_accuracies_the_lowest_validation_loss_is_best_and_one_that_is_not_a_number_never():
    losses = [0.5, float("nan"), 0.3, 0.4]
    assert History(tuple(epoch(n, 1.0, None, loss) for n, loss in enumerate(losses))).best.epoch == 2


def test_without_validation_the_latest_is_best_and_without_epochs_none():
    assert History((epoch(1, 0.1), epoch(2, 0.9))).best.epoch == 2
    assert History().best is None


def test_json_keeps_every_bit():
    history = History((epoch(1, 0.1 + 0.2, 1 / 3, float("inf"), 0.9), epoch(2, 1e-300, None)), interrupted=True)
    document = json.loads(json.dumps(history.to_json(), allow_nan=False))
    assert History.from_json(document) == history
    assert History.from_json(document)[0].seconds == 2.0


@pytest.mark.parametrize("document", [{}, {"epochs": 3}, {"epochs": [{"epoch": 1}]}, []])
def test_json_of_something_else_is_refused(document):
    with pytest.raises(ValueError, match="list of epochs"):
        History.from_json(document)


def test_times_do_not_count_when_histories_are_compared():
    assert History((epoch(1),)) == History((replace(epoch(1), seconds=9.0, images_per_second=1.0),))
    assert History((epoch(1),)) != History((epoch(1, loss=2.0),))


def test_the_table_marks_the_best_epoch_and_says_how_it_ended():
    history = History((epoch(1, 1.0, 0.5, 0.8, 0.6), epoch(2, 0.5, 0.7, 0.7, 0.9), epoch(3, 0.4, 0.8, 0.9, 0.5)))
    lines = repr(history).splitlines()
    assert [line.endswith("best") for line in lines] == [False, False, True, False]
    assert "90.00%" in lines[2]
    assert repr(replace(history, interrupted=True)).endswith("stopped by Ctrl-C")
    assert repr(replace(history, stopped_early=True)).endswith("stopped early")
    assert "val." not in repr(History((epoch(1),)))
    assert repr(History()) == "History of no epochs"


def test_the_page_is_well_formed_and_draws_a_curve_for_each_figure():
    history = History((epoch(1, 1.0, 0.5, 0.8, 0.6), epoch(2, 0.5, 0.7, float("nan"), 0.9)))
    page = xml.dom.minidom.parseString(history._repr_html_())
    assert len(page.getElementsByTagName("svg")) == 2
    assert len(page.getElementsByTagName("polyline")) == 4
    assert len(page.getElementsByTagName("tr")) == 3
    assert History()._repr_html_() == "<p>History of no epochs</p>"
