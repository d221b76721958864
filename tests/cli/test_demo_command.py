"""`wimmel demo`: what it leaves behind, and that what it says to try next works. Its training is cut short here."""

import shlex

import numpy as np
import pytest

from wimmel.data import digits
from wimmel.files import read_image
from wimmel.train import recipes


@pytest.fixture(autouse=True)
def short_training(monkeypatch):
    monkeypatch.setattr(recipes, "_EPOCHS", ((0, 2),))


def test_the_demo_leaves_a_model_and_pictures_and_its_advice_works(wimmel, tmp_path):
    folder = tmp_path / "a folder with spaces"
    result = wimmel("demo", "-o", folder)
    assert result.exit_code == 0, result.output
    assert "% of 449 digits that it had never seen recognised" in result.stdout
    assert "\x1b" not in result.output
    for name in ("confusion-matrix", "mistakes", "training", "predictions"):
        assert min(read_image(folder / f"{name}.png").shape[1:]) > 200
    assert sorted(picture.name for picture in (folder / "pictures").iterdir()) == [f"digit-{n}.png" for n in range(10)]

    advised = [shlex.split(line) for line in result.stdout.splitlines() if line.startswith("  wimmel ")]
    assert [command[1] for command in advised] == ["predict", "evaluate", "inspect", "train"]
    for _, *arguments in advised[:3]:
        answer = wimmel(*arguments)
        assert answer.exit_code == 0, answer.output

    accuracy = next(line.split("%")[0] for line in result.stdout.splitlines() if "never seen" in line)
    assert f"{accuracy}% of 449 pictures recognised" in wimmel(*advised[1][1:]).stdout


def test_the_quarter_held_out_is_not_trained_on():
    from wimmel.cli.demos.digits import trained_digits

    trained = trained_digits(seed=0)
    assert [len(part) for part in (trained.train, trained.validation, trained.held_out)] == [1213, 135, 449]
    together = np.concatenate([part.images for part in (trained.train, trained.validation, trained.held_out)])
    assert _counted(together) == _counted(digits().images)
    assert trained.held_out.class_counts.min() >= 43


def test_progress_is_reported_from_nothing_to_everything():
    from wimmel.cli.demos.digits import trained_digits

    parts = []
    trained_digits(seed=0, follow=lambda part, note: parts.append(part))
    assert parts == sorted(parts)
    assert 0 < parts[0] < 0.05
    assert parts[-1] == 1


def _counted(images):
    return sorted(image.tobytes() for image in images)
