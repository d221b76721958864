"""One thread for NumPy's matrix products while a command runs.

The products of a small network on a batch of pictures are too short to be shared: measured on two cores, OpenBLAS with
two threads took 1.4 times as long as with one on an idle machine, and 7 to 10 times as long on a busy one, where its
threads spin while they wait for each other.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from pathlib import Path

import numpy as np

_SETTINGS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_SETTERS = (
    "scipy_openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
)


def use_one_blas_thread() -> bool:
    """Whether the OpenBLAS that NumPy's wheels bring was told to use one thread.

    It is left alone where the person has set a number of threads (OPENBLAS_NUM_THREADS and its like), and so are other
    libraries.
    """
    if any(os.environ.get(name) for name in _SETTINGS):
        return False
    package = Path(np.__file__).parent
    for folder in (package.with_name("numpy.libs"), package / ".dylibs", package / ".libs"):
        for file in sorted(folder.glob("*openblas*")):
            with suppress(OSError):
                library = ctypes.CDLL(str(file))  # loaded already: this only finds it
                for name in _SETTERS:
                    setter = getattr(library, name, None)
                    if setter is not None:
                        setter(1)
                        return True
    return False
