"""The scripts that write pages of docs, which are no part of the package, as modules for the tests."""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def loaded(name):
    """The script docs/name.py as a module, the same one for all tests."""
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


lecture = loaded("make_lecture")
find = loaded("make_find")
