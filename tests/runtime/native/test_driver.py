"""The driver: every task once, whoever does it; control words; and how threads wait."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from runtime.native.toys import Busy, FlushToZero, Halve, Tally, Threads, mixed, mixing, numbers, program_of, step
from wimmel.compiler import llvm
from wimmel.compiler.objects import compile_modules, kernels
from wimmel.compiler.steps import Buffer
from wimmel.compiler.targets import KNOWN, host
from wimmel.runtime.native import NativeRunner, num_threads
from wimmel.runtime.native.driver import functions
from wimmel.runtime.native.pool import workers

TRIPLES = [
    ("sse4.2", "x86_64-unknown-linux-gnu"),
    ("avx2", "x86_64-apple-macosx10.15"),
    ("avx512", "x86_64-pc-windows-msvc"),
    ("neon", "aarch64-unknown-linux-gnu"),
    ("neon", "arm64-apple-macosx11.0"),
    ("neon", "aarch64-pc-windows-msvc"),
]


@pytest.mark.parametrize("threads", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("tasks", [1, 2, 3, 5, 64, 1001])
def test_every_task_of_thousands_of_steps_is_done_once(tasks: int, threads: int) -> None:
    y = numbers("y", tasks, "output")
    fill = step(Threads(), 0, y, tasks=tasks)
    steps = [fill, *(step(Tally(), y, tasks=tasks) for _ in range(2000 if tasks < 100 and threads < 3 else 100))]
    run = NativeRunner(program_of(steps, [], [y]))
    with num_threads(threads):
        (found,) = run([])
    assert ((found >= len(steps) - 1) & (found < len(steps) - 1 + threads)).all()


def test_steps_of_very_different_sizes() -> None:
    sizes = [1, 3000, 2, 1, 700, 1, 1, 5, 64]
    x, y = numbers("x", 3000, "input"), numbers("y", 3000, "output")
    steps = [step(Busy(), x, 20, y, tasks=3000)]
    steps += [step(Tally(), y, tasks=size) for _ in range(20) for size in sizes]
    run = NativeRunner(program_of(steps, [x], [y]))
    results = []
    for threads in (1, 2, 4):
        with num_threads(threads):
            results.append(run([np.arange(3000)])[0])
    assert all(np.array_equal(results[0], other) for other in results)


def test_workers_take_part_and_have_numbers_of_their_own() -> None:
    y = numbers("y", 64, "output")
    run = NativeRunner(program_of([step(Threads(), 20_000, y, tasks=64)], [], [y]))
    for threads in (3, 2):
        with num_threads(threads):
            seen = set()
            for _ in range(50):
                seen |= set(run([])[0].tolist())
                if len(seen) == threads:
                    break
        assert seen == set(range(threads))


def test_callers_who_find_the_workers_taken_do_all_by_themselves() -> None:
    run = NativeRunner(mixing(500, 200))
    want = mixed(np.arange(500), 200)

    def work(number: int) -> None:
        with num_threads(1 + number % 4):
            for _ in range(10):
                np.testing.assert_array_equal(run([np.arange(500)])[0], want)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


def test_more_threads_than_cores_are_slow_but_not_that_slow() -> None:
    run = NativeRunner(mixing(64, 300))
    with num_threads(4 * (os.cpu_count() or 1)):
        run([np.arange(64)])
        start = time.perf_counter()
        np.testing.assert_array_equal(run([np.arange(64)])[0], mixed(np.arange(64), 300))
    assert time.perf_counter() - start < 5


def test_a_call_leaves_the_interpreter_to_other_threads() -> None:
    y = numbers("y", 1, "output")
    run = NativeRunner(program_of([step(Threads(), 6_000_000, y, tasks=1)], [], [y]))
    run([])
    caller = threading.Thread(target=run, args=([],))
    steps = [time.perf_counter()]
    caller.start()
    while caller.is_alive():
        steps.append(time.perf_counter())
    duration, longest = steps[-1] - steps[0], np.diff(steps).max()
    assert longest < duration / 2, f"of {duration:.2f} s Python stood still for {longest:.2f} s"


def test_sleeping_workers_take_no_processor_time() -> None:
    run = NativeRunner(mixing(64, 300))
    with num_threads(3):
        run([np.arange(64)])
    assert workers().count >= 2
    time.sleep(0.05)
    before = time.process_time()
    time.sleep(0.4)
    assert time.process_time() - before < 0.1


def spoil_control_word() -> None:
    """From now on this thread takes small numbers for zero and rounds down."""
    schedule = FlushToZero()
    kernel = kernels([schedule], host())[schedule]
    block = np.zeros(1, np.int64)
    ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)(kernel)(block.ctypes.data, 0, 1, 0)


def small_numbers_count() -> bool:
    with np.errstate(all="ignore"):
        return bool(np.multiply(np.full(64, 1e-40, np.float32), np.float32(0.5)).all())


def test_programs_run_by_the_rules_and_leave_the_callers_rules_alone() -> None:
    x, y = Buffer("float32", 999, "input"), Buffer("float32", 999, "output")
    run = NativeRunner(program_of([step(Halve(), x, y, tasks=999)], [x], [y]))
    values = np.full(999, 1e-40, np.float32)
    seen = []

    def work() -> None:
        spoil_control_word()
        seen.append(small_numbers_count())
        with num_threads(2):
            seen.append(np.array_equal(run([values])[0].view(np.int32), values.view(np.int32) // 2))
        seen.append(small_numbers_count())

    thread = threading.Thread(target=work)  # whose control word ends with it
    thread.start()
    thread.join()
    assert seen == [False, True, False]
    assert small_numbers_count()


def test_a_kernel_that_spoils_the_control_word_does_not_spoil_the_callers() -> None:
    y = numbers("y", 64, "output")
    steps = [step(FlushToZero(), tasks=64), step(Threads(), 0, y, tasks=64)]
    with num_threads(2):
        NativeRunner(program_of(steps, [], [y]))([])
    assert small_numbers_count()


@pytest.mark.parametrize(("name", "triple"), TRIPLES)
def test_the_driver_compiles_for_every_system(name: str, triple: str) -> None:
    from dataclasses import replace

    target = replace(KNOWN[name], triple=triple)
    text = llvm.module(list(functions(target, 16).values()), target)
    (emitted,) = compile_modules([(text, target)])
    assert emitted
