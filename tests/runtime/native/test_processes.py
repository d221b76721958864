"""Workers and the life of a process: ending, forking, being interrupted, running short of threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no forks, and other signals")
BEGIN = """
    import atexit, os, signal, sys, threading, time
    import numpy as np
    from runtime.native.toys import *
    from wimmel.runtime.native import NativeRunner, num_threads, set_num_threads
    from wimmel.runtime.native.pool import workers

    set_num_threads(3)
    x = np.arange(300)
    want = mixed(x, 50)
    run = NativeRunner(mixing(300, 50))

    def call():
        assert np.array_equal(run([x])[0], want)
"""


def started(script: str, first: str = "", **environment: str) -> subprocess.Popen[str]:
    text = first + textwrap.dedent(BEGIN) + textwrap.dedent(script)
    path = os.pathsep.join([str(TESTS), *sys.path])
    variables = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", **environment}
    command = [sys.executable, "-W", "error", "-c", text]
    return subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(script: str, first: str = "") -> str:
    """What the script prints; it must end by itself, well, and without a word of complaint."""
    process = started(script, first)
    try:
        out, complaints = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, complaints) == (0, "")
    return out


@pytest.mark.parametrize(
    "script",
    [
        "call()",  # while workers still look for work
        "call(); time.sleep(0.05)",  # while they sleep
        "",  # before there are any
        "call(); workers().stop(); call()",
        "call(); sys.exit()",
        "call(); os._exit(0)",
        "threading.Thread(target=lambda: [call() for _ in range(200)]).start()",
        "atexit.register(call); call()",
    ],
)
def test_a_process_ends_well(script: str) -> None:
    finished(script)


def test_calls_still_work_when_workers_have_ended_for_good() -> None:
    # functions registered earlier run later
    script = """
        def late():
            call()
            print(workers().count)
        call()
        atexit.unregister(workers()._end)
        atexit.register(late)
        atexit.register(workers()._end)
    """
    assert finished(script) == "0\n"


def test_a_process_ends_well_with_a_thread_of_somebodys_still_calling() -> None:
    script = """
        def forever():
            while True:
                call()
        for _ in range(3):
            threading.Thread(target=forever, daemon=True).start()
        time.sleep(0.1)
    """
    for _ in range(3):
        finished(script)


@FORKS
def test_a_forked_child_has_workers_of_its_own() -> None:
    script = """
        call()
        child = os.fork()
        if not child:
            assert workers().count == 0
            call()
            assert workers().count == 2
            sys.exit()
        call()
        print(os.waitpid(child, 0)[1])
    """
    assert finished(script) == "0\n"


@FORKS
def test_forks_while_other_threads_are_calling() -> None:
    script = """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # that a process with threads forks: it is what is tried
        stop = False
        def busy():
            while not stop:
                call()
        threads = [threading.Thread(target=busy) for _ in range(3)]
        for thread in threads:
            thread.start()
        codes = []
        for _ in range(20):
            child = os.fork()
            if not child:
                signal.alarm(20)
                for _ in range(3):
                    call()
                NativeRunner(mixing(30, 5))([x[:30]])
                os._exit(0)
            codes.append(os.waitpid(child, 0)[1])
        stop = True
        for thread in threads:
            thread.join()
        call()
        print(set(codes))
    """
    assert finished(script) == "{0}\n"


@FORKS
def test_workers_are_gone_when_a_process_forks() -> None:
    # or else Python warns, from 3.12 on, that a process with threads forks
    script = """
        call()
        with_workers = len(os.listdir("/proc/self/task"))
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
        print(with_workers - len(os.listdir("/proc/self/task")))
    """
    if not Path("/proc/self/task").exists():
        pytest.skip("threads are counted in /proc")
    assert finished(script) == "2\n"


@FORKS
def test_processes_of_a_pool_that_forks() -> None:
    script = """
        import multiprocessing
        def work(number):
            call()
            return number
        call()
        with multiprocessing.get_context("fork").Pool(3) as pool:
            print(sum(pool.map(work, range(20))))
        call()
    """
    assert finished(script) == "190\n"


@FORKS
def test_ctrl_c_comes_through_and_the_next_call_works() -> None:
    script = """
        print("ready", flush=True)
        try:
            while True:
                call()
        except KeyboardInterrupt:
            call()
            print("interrupted")
    """
    process = started(script)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, complaints = process.communicate(timeout=60)
    assert (process.returncode, out, complaints) == (0, "interrupted\n", "")


@FORKS
def test_signals_are_left_to_pythons_threads() -> None:
    # the main thread blocks the signal and waits for it: with a worker that does not, the process would end
    script = """
        call()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        os.kill(os.getpid(), signal.SIGUSR1)
        call()
        print(signal.sigwait({signal.SIGUSR1}) == signal.SIGUSR1)
    """
    assert finished(script) == "True\n"


def test_workers_begin_with_the_rules_not_with_those_of_who_started_them() -> None:
    script = """
        import ctypes
        from wimmel.compiler.objects import kernels
        small, half = Buffer("float32", 5000, "input"), Buffer("float32", 5000, "output")
        halve = NativeRunner(program_of([step(Halve(), small, half, tasks=5000)], [small], [half]))
        kernel = kernels([FlushToZero()], host())[FlushToZero()]
        values = np.full(5000, 1e-40, np.float32)
        ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 3)(kernel)(0, 0, 1, 0)
        for _ in range(50):
            assert (halve([values])[0].view(np.int32) == values.view(np.int32) // 2).all()
        print(workers().count)
    """
    assert finished(script) == "2\n"


def test_with_fewer_threads_than_wanted_there_are_fewer_workers() -> None:
    script = """
        starts = []
        original = workers()._system.start
        def start(function, argument):
            if starts:
                raise OSError("no more")
            starts.append(1)
            return original(function, argument)
        workers()._system.start = start
        for _ in range(5):
            call()
        print(workers().count, len(starts))
    """
    assert finished(script) == "1 1\n"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors cannot be chosen here")
def test_on_one_processor_nobody_spins() -> None:
    script = """
        from wimmel.runtime.native.driver import Pool
        call()
        print(int(workers()._memory[Pool.PATIENCE]))
    """
    first = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"
    assert finished(script, first) == "0\n"


@FORKS
@pytest.mark.parametrize("distance", [1, -1])
def test_the_guard_ends_a_process_that_reaches_beyond_its_buffers(distance: int) -> None:
    script = f"""
        a, b = numbers("a", 512, "input"), numbers("b", 512, "output")
        reach = NativeRunner(program_of([step(Reach({distance}), a, b, tasks=512)], [a], [b]))
        print("ready", flush=True)
        reach([np.arange(512)])
        print("not found")
    """
    process = started(script, WIMMEL_GUARD="1")
    out, _ = process.communicate(timeout=60)
    assert out == "ready\n"
    assert process.returncode in (-signal.SIGSEGV, -signal.SIGBUS)
