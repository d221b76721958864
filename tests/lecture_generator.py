"""docs/make_lecture.py, which is no part of the package, as a module for the tests."""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def loaded():
    spec = importlib.util.spec_from_file_location("make_lecture", ROOT / "docs" / "make_lecture.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


lecture = sys.modules.get("make_lecture") or loaded()
