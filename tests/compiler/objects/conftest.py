"""Every test here has an empty cache of its own."""

import pytest


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    path = tmp_path / "cache"
    monkeypatch.setenv("WIMMEL_CACHE_DIR", str(path))
    return path
