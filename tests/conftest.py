"""Settings for every test: property tests draw the same examples in every run, and take the time they need; machine
code is kept with pytest's own cache, apart from the user's."""

import os

import pytest
from hypothesis import HealthCheck, settings

SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=SLOW_IS_FINE)
settings.register_profile("explore", deadline=None, max_examples=1000, suppress_health_check=SLOW_IS_FINE)
settings.load_profile("same")
"""`pytest --hypothesis-profile=explore` draws new and many examples instead."""


def pytest_configure(config: pytest.Config) -> None:
    if "WIMMEL_CACHE_DIR" not in os.environ:
        os.environ["WIMMEL_CACHE_DIR"] = str(config.cache.mkdir("wimmel"))
