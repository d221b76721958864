"""What the tests of the commands share: a way to call them, small collections of pictures, and a model."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from wimmel.cli.program import app
from wimmel.data import Preprocessing
from wimmel.files import write_image
from wimmel.models import lenet


@pytest.fixture
def wimmel():
    """Calls the command line in this process; gives exit_code, stdout, stderr."""

    def call(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "120"})

    return call


@pytest.fixture
def started():
    """Starts the command line as a process of its own, which is ended with the test."""
    processes = []

    def start(*arguments, **environment):
        process = subprocess.Popen(
            [sys.executable, "-c", "from wimmel.cli import main; main()", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def photos(tmp_path):
    """A folder of dark and light pictures, 12 of each, which a network tells apart after a few steps."""
    return draw_photos(tmp_path / "photos", {"dark": 60, "light": 190})


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A model file that knows dark from light gray pictures of 8x8, without having been trained."""
    net = lenet(2, 1, (8, 8), seed=0)
    for name, value in net.state_dict().items():
        net.load_state_dict({name: np.zeros_like(value)}, strict=False)
    # The first channel passes the picture on, and the last layers carry its brightness to the two scores.
    net[0].weight = _at(net[0].weight, (0, 0, 1, 1))
    net[3].weight = _at(net[3].weight, (0, 0, 1, 1))
    net[7].weight = _at(net[7].weight, (0, slice(0, 4)))
    net[9].weight = _at(net[9].weight, (0, 0))
    net[11].weight = _at(net[11].weight, (1, 0))
    net[11].bias = np.array([2.0, 0.0])
    path = tmp_path_factory.mktemp("models") / "shades.safetensors"
    net.save(path, classes=("dark", "light"), preprocessing=Preprocessing((1, 8, 8), (0.0,), (1.0,)))
    return path


def draw_photos(folder: Path, shades: dict[str, int], count: int = 12, size: tuple[int, int] = (8, 8)) -> Path:
    """Writes pictures of noise around a shade of gray into one folder per class."""
    generator = np.random.default_rng(0)
    for name, shade in shades.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            noise = generator.integers(-40, 41, (1, *size))
            write_image(folder / name / f"{number:02}.png", (shade + noise).astype(np.uint8))
    return folder


def _at(weight, place):
    changed = np.array(weight)
    changed[place] = 1.0
    return changed
