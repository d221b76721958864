"""docs/performance.md: what the page says of invented figures."""

import importlib.util
from pathlib import Path

import pytest

from wimmel.bench.results import Figures, Row
from wimmel.bench.run import Plan, Report

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def maker():
    """docs/make_performance.py, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("make_performance", ROOT / "docs" / "make_performance.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def document(*rows, runs=3, **machine):
    report = Report(Plan(runs=runs))
    report.machine.update(machine)
    for row in rows:
        report.add(row)
    return report.to_json()


def row(section, name, ours, peer, threads=1, runs=3):
    figures = {"wimmel": Figures(ours, ours), "torch": Figures(peer, peer)}
    return Row(section, name, "a group", threads, (figures,) * runs)


def test_the_page_counts_and_names_where_we_are_behind(maker, tmp_path):
    figures = document(
        row("layers", "fast", 1e-3, 2e-3),
        row("layers", "slow", 1e-3, 0.5e-3),
        row("layers", "slow", 1e-3, 3e-3, threads=2),
        row("size", "with all that it needs", 3e8, 6e8),
    )
    page = maker.written([figures], tmp_path)
    assert "| Convolutional layers | 1 | 2 | 1 | 0 | 1 | 1.00 |" in page
    assert "| Convolutional layers | 2 | 1 | 1 | 0 | 0 | 3.00 |" in page
    assert "**Behind**: slow on 1 (0.50, torch).\n\nLayers with" in page
    assert "| fast | 1 | 1.00 ms | torch | 2.00 ms | 2.00 / 2.00 / **2.00** |" in page
    assert "| with all that it needs | 300 MB | torch | 600 MB | 2.00 / 2.00 / **2.00** |" in page
    assert "no result" not in page
    assert {path.name for path in tmp_path.iterdir()} == {"performance-layers.png", "performance-size.png"}


def test_fewer_than_three_runs_are_called_no_result(maker, tmp_path):
    page = maker.written([document(row("latency", "LeNet", 1e-5, 2e-5, runs=1), runs=1)], tmp_path)
    assert "**These figures are no result**: they come from 1 run, not three." in page
    assert "Nowhere behind." in page


def test_sections_of_fewer_runs_are_named(maker, tmp_path):
    rows = row("latency", "LeNet", 1e-5, 2e-5), row("size", "with all that it needs", 3e8, 6e8, runs=1)
    page = maker.written([document(*rows)], tmp_path)
    assert "**No result**, since they come from fewer than three runs: Size installed." in page


def test_how_well_things_are_found_is_told_if_known(maker, tmp_path):
    bench = document(row("latency", "LeNet", 1e-5, 2e-5))
    found = {"case": "easy", "finder": "wimmel, taught", "scenes": 200, "first_right": 0.955, "average_precision": 0.9,
             "among_10": 1.0, "among_100": 1.0, "precision": 0.97, "recall": 0.93, "seconds": 0.6,
             "teaching": 150.0}  # fmt: skip
    template = found | {"finder": "opencv, template", "teaching": None}
    believed = {"case": "easy", "scenes": 200, "calibrated_by": 40, "error": 0.0312, "brier": 0.05}
    finding = {"machine": bench["machine"], "settings": {}, "finding": [template, found], "calibration": [believed]}
    page = maker.written([bench, finding], tmp_path)
    assert "| easy | wimmel, taught | 200 | 95.5% | 0.900 | 100.0% | 100.0% | 97.0% | 93.0% | 600 ms | 150 s |" in page
    assert "| easy | opencv, template | 200 |" in page and "| 600 ms | - |" in page
    assert "calibration error 0.031, Brier score 0.050 on 200 scenes with him and 200 without" in page
    assert "How well it finds" not in maker.written([bench], tmp_path)
    with pytest.raises(ValueError, match="none of these files is of wimmel bench"):
        maker.written([finding], tmp_path)


def test_sections_may_come_from_several_files_of_one_machine(maker, tmp_path):
    files = [document(row("latency", "LeNet", 1.0, 2.0)), document(row("networks", "ResNet-50", 1.0, 2.0))]
    page = maker.written(files, tmp_path)
    assert page.index("## LeNet, from the call") < page.index("## Whole networks")
    with pytest.raises(ValueError, match="several machines"):
        maker.written([files[0], document(row("networks", "a", 1.0, 2.0), processor="another")], tmp_path)


def test_the_order_of_the_files_does_not_matter(maker, tmp_path):
    first, *_, last = (case.name for case in maker.section("layers").cases)
    rows = [row("layers", first, 1.0, 2.0), row("layers", last, 1.0, 3.0), row("layers", first, 1.0, 4.0, threads=2)]
    files = [document(each) for each in rows]
    page = maker.written(files, tmp_path)
    assert maker.written(files[::-1], tmp_path) == page
    assert page.index(f"| {first} | 1 |") < page.index(f"| {last} | 1 |") < page.index(f"| {first} | 2 |")
