"""The package as a whole: what it exports, what it costs to import, what every public name tells its reader."""

import inspect
import subprocess
import sys

import pytest

import wimmel as wm
from wimmel import detection, functional, nn
from wimmel.runtime import compile, grad, value_and_grad

PUBLIC = [
    *(getattr(functional, name) for name in functional.__all__),
    *(layer for layer in nn.LAYERS),
    *(thing for name in detection.__all__ if callable(thing := getattr(detection, name))),
    compile,
    grad,
    value_and_grad,
    nn.inspect,
    nn.receptive_field,
]


def test_every_name_is_there():
    assert len(wm.__all__) == len(set(wm.__all__))
    for name in wm.__all__:
        assert hasattr(wm, name), name


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_every_public_name_says_what_it_gives(thing):
    text = inspect.getdoc(thing) or ""
    assert text.split("\n")[0].endswith((".", ":")), "the first line is a sentence"


FUNCTIONS = [thing for thing in PUBLIC if inspect.isfunction(thing)]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_every_public_function_has_an_example(function):
    assert ">>>" in (inspect.getdoc(function) or "")


def imported_by(code):
    listing = "import sys; print('\\n'.join(sys.modules))"
    output = subprocess.run([sys.executable, "-c", f"{code}; {listing}"], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in output.stdout.split()}


def test_importing_stays_light():
    heavy = {"matplotlib", "PIL", "safetensors", "rich", "typer", "scipy", "sklearn", "onnx", "torch"}
    assert not imported_by("import wimmel") & heavy


def test_the_package_is_typed():
    import importlib.resources

    assert importlib.resources.files("wimmel").joinpath("py.typed").is_file()
