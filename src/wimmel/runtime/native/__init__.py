"""Running compiled programs: the driver and its worker threads, the memory of calls, and how many threads they use."""

from wimmel.runtime.native.pool import expect_workers
from wimmel.runtime.native.runner import NativeRunner, Refused, release_memory
from wimmel.runtime.native.threads import get_num_threads, num_threads, set_num_threads

__all__ = [
    "NativeRunner",
    "Refused",
    "expect_workers",
    "get_num_threads",
    "num_threads",
    "release_memory",
    "set_num_threads",
]
