"""Ratios, the rule by which they count, and geometric means."""

import math

import pytest

from wimmel.bench.results import Figures, Ratios, Row, geometric_mean, group_means, text_of


def run(ours, *peers):
    figures = {"wimmel": Figures(*ours)} if ours else {}
    return figures | {f"peer {number}": Figures(*peer) for number, peer in enumerate(peers)}


def row(*runs, group="layers"):
    return Row("fake", "case", group, 1, runs)


def test_best_and_median_are_compared_with_the_best_peer_each():
    assert row(run((1.0, 2.0), (3.0, 9.0), (4.0, 5.0))).ratios() == Ratios(
        best=3.0, median=2.5, counts=2.5, ceiling=3.0
    )


@pytest.mark.parametrize(
    ("pairs", "counts"),
    [([(2, 3)], 2), ([(2, 3), (4, 5)], 2), ([(1, 9), (2, 3), (4, 5)], 2), ([(2, 2), (2, 2), (0.5, 9)], 2),
     ([(2, 0.5), (3, 0.7), (9, 9)], 0.7)],
)  # fmt: skip
def test_a_ratio_counts_when_both_hold_in_two_of_three_runs(pairs, counts):
    assert row(*(run((1.0, 1.0), pair) for pair in pairs)).ratios().counts == counts


@pytest.mark.parametrize(
    ("pairs", "verdict"),
    [([(1.1, 1.2)], "ahead"), ([(0.9, 1.2)], "level"), ([(0.9, 0.8)], "behind"), ([(1, 1)], "level"),
     ([(2, 2), (0.9, 2), (1.1, 1.1)], "ahead"), ([(2, 2), (0.9, 2), (0.9, 1.1)], "level"),
     ([(0.5, 0.5), (2, 2), (0.9, 0.9)], "behind")],
)  # fmt: skip
def test_ahead_and_behind_follow_the_same_rule(pairs, verdict):
    assert row(*(run((1.0, 1.0), pair) for pair in pairs)).ratios().verdict == verdict


def test_figures_of_several_runs_are_the_best_and_the_median_of_medians():
    whole = row(run((1.0, 2.0)), run((1.5, 9.0)), run((2.0, 3.0)))
    assert whole.figures == {"wimmel": Figures(1.0, 3.0)}


def test_other_contenders_of_ours_are_no_peers():
    figures = {"wimmel": Figures(2.0, 2.0), "wimmel, alone": Figures(1.0, 1.0), "peer": Figures(4.0, 4.0)}
    assert row(figures).ratios("wimmel").best == 2.0
    assert row(figures).ratios("wimmel, alone").best == 4.0
    assert row(figures).best_peer() == "peer"


def test_without_a_peer_or_without_us_there_is_no_ratio():
    assert row(run((1.0, 1.0))).ratios() is None
    assert row(run(None, (1.0, 1.0))).ratios() is None
    assert row(run((1.0, 1.0))).best_peer() is None


def test_geometric_means_by_group():
    rows = [
        row(run((1.0, 1.0), (2.0, 4.0)), group="a"),
        row(run((1.0, 1.0), (8.0, 9.0)), group="a"),
        row(run((1.0, 1.0)), group="a"),
        row(run((1.0, 1.0), (0.5, 0.5)), group="b"),
        row(run((1.0, 1.0)), group="c"),
    ]
    means = group_means(rows)
    assert list(means) == ["a", "b"]
    assert means["a"].best == pytest.approx(4.0)
    assert means["a"].median == pytest.approx(6.0)
    assert means["a"].counts == pytest.approx(math.sqrt(2.0 * 8.0))
    assert means["b"] == Ratios(*[pytest.approx(0.5)] * 4)
    assert geometric_mean([]) is None


def test_a_row_survives_json():
    whole = Row("fake", "case", "group", 2, (run((1.0, 2.0), (3.0, 4.0)),), {"peer 1": "it failed"})
    assert Row.from_json(whole.to_json()) == whole


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [(1.234e-9, "seconds", "0.00 µs"), (9.996e-4, "seconds", "1000 µs"), (61.0, "seconds", "61.0 s"),
     (1.5e9, "bytes", "1.50 GB"), (999, "bytes", "1.00 kB")],
)  # fmt: skip
def test_figures_in_words(number, unit, text):
    assert text_of(number, unit) == text
