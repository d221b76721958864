"""From schedules to addresses, in one process, in many threads, and in many processes."""

import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from compiler.objects.sample import Multiples, multiples
from wimmel.compiler.language import POINTER, Builder
from wimmel.compiler.objects import (
    CompilationFailed,
    NativeUnavailable,
    assembly,
    kernels,
    load_function,
    load_functions,
    table,
)
from wimmel.compiler.targets import KNOWN, host, runs_here

TESTS = Path(__file__).parent.parent.parent
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs fork")


@pytest.fixture(autouse=True)
def empty_table(monkeypatch):
    """As a new process has it."""
    monkeypatch.setattr(table, "_loaded", {})
    monkeypatch.setattr(table.identity, "unchanged", lambda: True)  # even if somebody edits the compiler meanwhile


@pytest.fixture
def compiled(monkeypatch):
    """The schedules' texts that were compiled, in order."""
    texts = []
    compile_modules = table.compile_modules

    def counted(modules):
        def passed_on():
            for module in modules:
                texts.append(module[0])
                yield module

        return compile_modules(passed_on())

    monkeypatch.setattr(table, "compile_modules", counted)
    return texts


def python(script, *arguments, **settings):
    """A program in a process of its own; what it printed."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments],
        capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(TESTS), **settings},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_kernels_run():
    schedules = [Multiples(3), Multiples(-7), Multiples(3)]
    addresses = kernels(schedules, host())
    assert set(addresses) == set(schedules)
    assert multiples(addresses[Multiples(3)]) == [0, 3, 6, 9, 12]
    assert multiples(addresses[Multiples(-7)]) == [0, -7, -14, -21, -28]


def test_nothing_asked_nothing_given(compiled):
    assert kernels([], host()) == {}
    assert compiled == []


@pytest.mark.parametrize("name", ["plain", "sse4.2", "avx2", "avx512"])
def test_every_target_of_this_processor(name):
    if not runs_here(KNOWN[name]):
        pytest.skip(f"this processor does not run {name}")
    assert multiples(kernels([Multiples(5)], KNOWN[name])[Multiples(5)]) == [0, 5, 10, 15, 20]


def test_a_kernel_is_compiled_once(compiled, monkeypatch):
    first = kernels([Multiples(1), Multiples(2)], host())
    assert len(compiled) == 2
    assert kernels([Multiples(2), Multiples(1)], host()) == first
    assert len(compiled) == 2
    monkeypatch.setattr(table, "_loaded", {})  # another process
    later = kernels([Multiples(1), Multiples(2), Multiples(3)], host())
    assert len(compiled) == 3
    assert multiples(later[Multiples(2)]) == [0, 2, 4, 6, 8]


def test_a_damaged_entry_is_compiled_again(compiled, folder, monkeypatch):
    kernels([Multiples(1)], host())
    (entry,) = folder.glob("*.object")
    whole = entry.read_bytes()
    for damaged in (b"", whole[:-1], whole[:300] + bytes([whole[300] ^ 1]) + whole[301:]):
        entry.write_bytes(damaged)
        monkeypatch.setattr(table, "_loaded", {})
        assert multiples(kernels([Multiples(1)], host())[Multiples(1)]) == [0, 1, 2, 3, 4]
        assert entry.read_bytes() == whole
    assert len(compiled) == 4


def test_without_a_disk_kernels_run_too(compiled, monkeypatch):
    monkeypatch.setenv("WIMMEL_CACHE_DIR", "off")
    for _ in range(2):
        monkeypatch.setattr(table, "_loaded", {})
        assert multiples(kernels([Multiples(1)], host())[Multiples(1)]) == [0, 1, 2, 3, 4]
    assert len(compiled) == 2


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_a_folder_open_to_others_is_named_once_and_not_used(compiled, folder):
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="compiled code is not kept") as caught:
        assert multiples(kernels([Multiples(1)], host())[Multiples(1)]) == [0, 1, 2, 3, 4]
        kernels([Multiples(2)], host())
    assert len(caught) == 1
    assert list(folder.iterdir()) == []


def test_a_process_whose_compiler_was_edited_keeps_nothing_and_takes_nothing(compiled, folder, monkeypatch):
    monkeypatch.setattr(table.identity, "unchanged", lambda: False)
    assert multiples(kernels([Multiples(1)], host())[Multiples(1)]) == [0, 1, 2, 3, 4]
    assert not folder.exists()
    monkeypatch.setattr(table.identity, "unchanged", lambda: True)
    monkeypatch.setattr(table, "_loaded", {})
    kernels([Multiples(1)], host())
    monkeypatch.setattr(table.identity, "unchanged", lambda: False)
    monkeypatch.setattr(table, "_loaded", {})
    kernels([Multiples(1)], host())
    assert len(compiled) == 3


def test_code_for_another_processor_is_not_loaded():
    other = next(target for target in KNOWN.values() if not runs_here(target))
    with pytest.raises(NativeUnavailable, match=rf"this processor cannot run code for {other.name}"):
        kernels([Multiples(1)], other)


@dataclass(frozen=True)
class Wrong:
    def kernel(self, target, name):
        builder = Builder(name)
        builder.kernel()
        builder.let("intrinsic", None, name="llvm.no.such.thing")
        return builder.function(builder.constant(POINTER, 0))


def test_a_refused_kernel_is_named_and_can_be_asked_for_again():
    for _ in range(2):
        with pytest.raises((CompilationFailed, NativeUnavailable)) as caught:
            kernels([Multiples(1), Wrong()], host())
    if isinstance(caught.value, CompilationFailed):
        assert caught.value.__notes__ == ["It is the code of Wrong()."]
    assert table._pending == {}
    assert multiples(kernels([Multiples(1)], host())[Multiples(1)]) == [0, 1, 2, 3, 4]


def test_functions_without_a_schedule(compiled, monkeypatch):
    def function(factor, name):
        builder = Builder(name)
        block, begin, end, _ = builder.kernel()
        (numbers,) = builder.arguments(block, "p")
        builder.loop(begin, end, 1, lambda i: builder.store(i * factor, numbers, i))
        return builder.function()

    two = load_function("doubling", function(2, "run"), host())
    three = load_function("tripling", function(3, "run"), host())
    assert multiples(two) == [0, 2, 4, 6, 8]
    assert multiples(three) == [0, 3, 6, 9, 12]
    both = {"a": function(3, "run"), "b": function(4, "run"), "again": function(4, "walk")}
    addresses = load_functions(both, host())
    assert addresses["a"] == three and addresses["b"] == addresses["again"]
    assert multiples(addresses["b"]) == [0, 4, 8, 12, 16]
    monkeypatch.setattr(table, "_loaded", {})
    load_function("doubling", function(2, "run"), host())
    assert len(compiled) == 3


def test_assembly_shows_the_instructions():
    text = assembly(Multiples(3).kernel(KNOWN["neon"], "tripled"), KNOWN["neon"])
    assert "tripled:" in text and "ret" in text


def test_two_threads_that_want_the_same_kernel_compile_it_once(compiled):
    schedules = [Multiples(factor + 2) for factor in range(6)]
    found, start = {}, threading.Barrier(8)

    def ask(number):
        start.wait()
        asked = schedules[number % 6 :] + schedules[: number % 6]
        found[number] = kernels(asked[: 3 + number % 4], host())

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(compiled) == len(set(compiled)) == 6
    for number in range(8):
        for schedule, address in found[number].items():
            assert multiples(address, 3) == [0, schedule.factor, 2 * schedule.factor]


def test_a_thread_that_waits_for_one_that_fails_tries_itself(monkeypatch):
    compile_modules, waiting, calls = table.compile_modules, threading.Event(), []

    def fails_first(modules):
        calls.append(threading.current_thread())
        if len(calls) == 1:
            waiting.wait(10)
            raise KeyboardInterrupt
        return compile_modules(modules)

    monkeypatch.setattr(table, "compile_modules", fails_first)
    outcome = []

    def interrupted():
        with pytest.raises(KeyboardInterrupt):
            kernels([Multiples(1)], host())
        outcome.append("interrupted")

    def patient():
        outcome.append(multiples(kernels([Multiples(1)], host())[Multiples(1)]))

    first = threading.Thread(target=interrupted)
    first.start()
    while not calls:
        pass
    second = threading.Thread(target=patient)
    second.start()
    waiting.set()
    first.join()
    second.join()
    assert outcome == ["interrupted", [0, 1, 2, 3, 4]]


# Whole programs

ASK = """
from compiler.objects.sample import Multiples, multiples
from wimmel.compiler.objects import kernels
from wimmel.compiler.targets import host
schedules = [Multiples(factor) for factor in (2, 3, 4)]
addresses = kernels(schedules, host())
print(*[multiples(addresses[schedule]) for schedule in schedules])
"""
ANSWER = "[0, 2, 4, 6, 8] [0, 3, 6, 9, 12] [0, 4, 8, 12, 16]\n"


@pytest.mark.parametrize("count", [8, pytest.param(32, marks=pytest.mark.slow)])
def test_many_processes_begin_on_an_empty_cache(folder, count):
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    started = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", ASK], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(count)
    ]
    assert [process.communicate(timeout=300)[0] for process in started] == [ANSWER] * count
    assert len(list(folder.glob("*.object"))) == 3
    assert not list(folder.glob("*.unfinished"))


def test_a_second_process_starts_no_compiler(monkeypatch):
    assert python(ASK) == ANSWER
    # a process that claims to be a worker may not start one
    assert python(ASK, WIMMEL_WORKER="1") == ANSWER


def test_llvm_is_not_brought_into_the_users_process():
    assert python(ASK + "import sys; print('llvmlite' in sys.modules)") == ANSWER + "False\n"


@POSIX
def test_a_home_that_cannot_be_written_to_is_no_hindrance(tmp_path):
    (tmp_path / "home").write_text("")
    environment = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": "", "WIMMEL_CACHE_DIR": ""}
    assert python(ASK, **environment) == ANSWER


@POSIX
def test_a_forked_process_can_compile_and_run():
    script = (
        ASK
        + """
import os, warnings
warnings.simplefilter("ignore")
child = os.fork()
if child == 0:
    more = kernels([Multiples(2), Multiples(70)], host())
    os._exit(0 if multiples(more[Multiples(2)]) + multiples(more[Multiples(70)]) ==
             [0, 2, 4, 6, 8, 0, 70, 140, 210, 280] else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    )
    assert python(script) == ANSWER + "0\n"


@POSIX
@pytest.mark.parametrize("moment", [0.0, 0.002, 0.005, 0.01, 0.03])
def test_a_process_forked_while_another_thread_compiles_is_not_stuck(moment):
    script = """
import os, sys, threading, time, warnings
from compiler.objects.sample import Multiples, multiples
from wimmel.compiler.objects import kernels
from wimmel.compiler.targets import host
warnings.simplefilter("ignore")
thread = threading.Thread(target=lambda: kernels([Multiples(5)], host()))
thread.start()
time.sleep(float(sys.argv[1]))
child = os.fork()
if child == 0:
    os._exit(0 if multiples(kernels([Multiples(5)], host())[Multiples(5)]) == [0, 5, 10, 15, 20] else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
thread.join()
"""
    assert python(script, str(moment)) == "0\n"


def test_numba_works_before_and_after():
    pytest.importorskip("numba")
    script = (
        """
import warnings
warnings.simplefilter("ignore")
import numba, numpy as np

def dot(a, b):
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total

a = np.arange(100.0)
before = numba.njit(dot)
assert before(a, a) == 328350.0
"""
        + ASK
        + """
after = numba.njit(dot)
assert after(a, a) == 328350.0 == before(a, a)
def code(compiled):
    text, = compiled.inspect_asm().values()
    return [line for line in text.splitlines() if line.startswith(("\\tv", "\\tmul", "\\tadd", "\\tf"))]
print(len(code(before)) > 5, code(before) == code(after))
"""
    )
    assert python(script) == ANSWER + "True True\n"
