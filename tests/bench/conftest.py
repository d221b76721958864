"""A section of invented contenders, which their processes find too."""

import os
import sys
from pathlib import Path

import pytest

import wimmel as wm
from wimmel import bench

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def own_threads():
    """Contenders set how many threads their process has, which here is that of all tests."""
    yield
    wm.set_num_threads(None)


@pytest.fixture
def fake(monkeypatch):
    """The section called fake."""
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    monkeypatch.setitem(bench.SECTIONS, "fake", "fake_section")
    yield bench.section("fake")
    sys.modules.pop("fake_section", None)
