"""Running programs: what goes in and comes out, what is done beforehand, several callers, and the guarded mode."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from runtime.native.toys import Add, Busy, Count, Halve, Mix, Refuse, Tally, mixed, mixing, numbers, program_of, step
from wimmel.compiler.program import Program
from wimmel.compiler.steps import Buffer
from wimmel.runtime.native import NativeRunner, Refused, num_threads, release_memory

THREADS = [1, 2, 4]


def prepared_program(elements: int = 10) -> Program:
    """y = x + ((w + 1) mixed) + v, where w and v are stable, and what is in brackets is done beforehand."""
    x, w, v = (numbers(name, elements, "input") for name in "xwv")
    plus, packed, both = (numbers(name, elements) for name in ("plus", "packed", "both"))
    y = numbers("y", elements, "output")
    steps = [
        step(Count(), w, plus, tasks=elements),
        step(Mix(), plus, packed, elements, tasks=elements),
        step(Add(), x, packed, both, tasks=elements),
        step(Add(), both, v, y, tasks=elements),
    ]
    return program_of(steps, [x, w, v], [y], stable=[1, 2])


def expected(x: np.ndarray, w: np.ndarray, v: np.ndarray) -> np.ndarray:
    return x + mixed(w + 1, 1) + v


@pytest.fixture
def preparations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever preparations run."""
    runs: list[int] = []
    original = NativeRunner._written

    def counted(self: NativeRunner, arrays: list[np.ndarray]) -> np.ndarray:
        runs.append(1)
        return original(self, arrays)

    monkeypatch.setattr(NativeRunner, "_written", counted)
    return runs


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("elements", [1, 2, 3, 7, 1000])
def test_every_step_sees_all_that_the_one_before_it_wrote(elements: int, threads: int) -> None:
    run = NativeRunner(mixing(elements, 9))
    with num_threads(threads):
        for seed in range(3):
            x = np.random.default_rng(seed).integers(-1000, 1000, elements)
            np.testing.assert_array_equal(run([x])[0], mixed(x, 9))


def test_each_call_gives_new_arrays() -> None:
    run = NativeRunner(mixing(5, 1))
    first = run([np.arange(5)])[0]
    before = first.copy()
    second = run([np.arange(5) + 1])[0]
    assert not np.shares_memory(first, second)
    np.testing.assert_array_equal(first, before)


def test_a_program_without_steps_gives_arrays_of_its_shapes() -> None:
    empty = Buffer("float32", 0, "output")
    program = program_of([], [numbers("x", 3, "input")], [empty])
    (found,) = NativeRunner(program)([np.arange(3)])
    assert (found.shape, found.dtype) == ((0,), np.float32)
    assert NativeRunner(program_of([], [], []))([]) == []


def test_steps_without_tasks_and_arrays_without_elements() -> None:
    x, y = numbers("x", 0, "input"), numbers("y", 0, "output")
    (found,) = NativeRunner(program_of([step(Count(), x, y, tasks=0)], [x], [y]))([np.zeros(0, np.int64)])
    assert found.shape == (0,)


def test_arrays_in_any_order_of_memory_and_bytes() -> None:
    run = NativeRunner(mixing(6, 2))
    x = np.arange(6)
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.int64, 6, 1)
    others = [np.repeat(x, 3)[::3], x[::-1][::-1], x.astype(">i8"), unaligned, x.reshape(2, 3), x.view(np.recarray)]
    for other in others:
        np.testing.assert_array_equal(run([other])[0], mixed(x, 2))
    np.testing.assert_array_equal(run([np.asfortranarray(x.reshape(2, 3))])[0], mixed(x, 2))


def test_arrays_of_no_dimension() -> None:
    x, y = Buffer("float32", 1, "input"), Buffer("float32", 1, "output")
    program = program_of([step(Halve(), x, y, tasks=1)], [x], [y])
    run = NativeRunner(Program(**{**vars(program), "output_shapes": ((),)}))
    (found,) = run([np.array(3, np.float32)])
    assert found.shape == ()
    assert found == 1.5


def test_an_array_that_does_not_fit_is_refused() -> None:
    run = NativeRunner(mixing(6, 1))
    for wrong in (np.arange(5), np.arange(6.0), np.arange(6, dtype=np.int32), np.zeros(6, np.uint64)):
        with pytest.raises(ValueError, match="takes 6 elements of int64"):
            run([wrong])


def test_constants_and_scratch_memory() -> None:
    x, table, between, y = (
        numbers("x", 4, "input"), numbers("table", 4, "constant"), numbers("between", 4), numbers("y", 4, "output"),
    )  # fmt: skip
    steps = [step(Add(), x, table, between, tasks=4), step(Count(), between, y, tasks=4)]
    values = np.array([10, 20, 30, 40])
    run = NativeRunner(program_of(steps, [x], [y], {table: values[::-1]}))
    np.testing.assert_array_equal(run([np.arange(4)])[0], [41, 32, 23, 14])


def test_a_place_inside_a_buffer() -> None:
    x, y = numbers("x", 6, "input"), numbers("y", 6, "output")
    whole = step(Count(), x, y, tasks=6)
    part = step(Mix(), x, y, 3, tasks=3)
    shifted = type(part)(
        part.schedule,
        (part.arguments[0].sliced((3,), (3,), (1,)), part.arguments[1].sliced((2,), (3,), (1,)), 3),
        part.written,
        3,
    )
    (found,) = NativeRunner(program_of([whole, shifted], [x], [y]))([np.arange(6)])
    np.testing.assert_array_equal(found, [1, 2, *(3 * np.arange(3, 6) + np.arange(3, 6)[::-1] + np.arange(3)), 6])


# out


def test_outputs_are_written_to_given_arrays() -> None:
    run = NativeRunner(mixing(6, 3))
    x, out = np.arange(6), np.zeros(6, np.int64)
    (found,) = run([x], out=[out])
    assert found is out
    np.testing.assert_array_equal(out, mixed(x, 3))
    (fresh,) = run([x], out=[None])
    np.testing.assert_array_equal(fresh, out)


def test_an_output_may_overlap_an_input() -> None:
    run = NativeRunner(mixing(6, 3))
    x = np.arange(6)
    want = mixed(x, 3)
    assert run([x], out=[x])[0] is x
    np.testing.assert_array_equal(x, want)
    memory = np.arange(8)
    run([memory[:6]], out=[memory[2:]])
    np.testing.assert_array_equal(memory[2:], want)


def test_an_output_may_overlap_a_stable_input() -> None:
    run = NativeRunner(prepared_program())
    x, w, v = np.arange(10), np.arange(10) * 3, np.arange(10) * 7
    want = expected(x, w, v)
    run([x, w, v], out=[v])
    np.testing.assert_array_equal(v, want)


def test_an_output_in_another_order_of_memory() -> None:
    run = NativeRunner(mixing(6, 3))
    memory = np.zeros(12, np.int64)
    run([np.arange(6)], out=[memory[::2]])
    np.testing.assert_array_equal(memory[::2], mixed(np.arange(6), 3))
    assert not memory[1::2].any()


def test_two_outputs_in_the_same_memory_do_no_harm() -> None:
    x, y, z = numbers("x", 4, "input"), numbers("y", 4, "output"), numbers("z", 4, "output")
    run = NativeRunner(program_of([step(Count(), x, y, tasks=4), step(Count(), y, z, tasks=4)], [x], [y, z]))
    out = np.zeros(4, np.int64)
    run([np.arange(4)], out=[out, out])
    np.testing.assert_array_equal(out, np.arange(4) + 2)


def test_an_output_that_does_not_fit_is_refused() -> None:
    run = NativeRunner(mixing(6, 1))
    read_only = np.zeros(6, np.int64)
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        run([np.arange(6)], out=[read_only])
    with pytest.raises(ValueError, match="must be of int64 and shape \\(6,\\); got float64 \\(6,\\)"):
        run([np.arange(6)], out=[np.zeros(6)])
    with pytest.raises(ValueError, match="got int64 \\(2, 3\\)"):
        run([np.arange(6)], out=[np.zeros((2, 3), np.int64)])
    with pytest.raises(ValueError, match="got \\[1\\]"):
        run([np.arange(6)], out=[[1]])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="out has 2 arrays"):
        run([np.arange(6)], out=[None, None])


# what is done beforehand


@pytest.mark.parametrize("threads", THREADS)
def test_preparations_run_again_only_when_an_array_they_read_was_replaced(
    threads: int, preparations: list[int]
) -> None:
    run = NativeRunner(prepared_program())
    assert len(run.program.preparations) == 2
    x, w, v = np.arange(10), np.arange(10) * 3, np.arange(10) * 7
    with num_threads(threads):
        for turn in range(3):
            np.testing.assert_array_equal(run([x + turn, w, v])[0], expected(x + turn, w, v))
        assert len(preparations) == 1
        v = v + 1  # which preparations do not read
        np.testing.assert_array_equal(run([x, w, v])[0], expected(x, w, v))
        assert len(preparations) == 1
        w = w + 1
        np.testing.assert_array_equal(run([x, w, v])[0], expected(x, w, v))
        np.testing.assert_array_equal(run([x, w, v])[0], expected(x, w, v))
        assert len(preparations) == 2


def test_stable_arrays_in_any_order_of_memory_are_converted_once(preparations: list[int]) -> None:
    run = NativeRunner(prepared_program())
    x, w, v = np.arange(10), np.arange(20)[::2], np.arange(10).astype(">i8")
    for _ in range(3):
        np.testing.assert_array_equal(run([x, w, v])[0], expected(x, w, np.arange(10)))
    assert len(preparations) == 1


def test_one_stable_input_alone() -> None:
    w, y = numbers("w", 4, "input"), numbers("y", 4, "output")
    run = NativeRunner(program_of([step(Count(), w, y, tasks=4)], [w], [y], stable=[0]))
    for values in (np.arange(4), np.arange(4) * 2):
        np.testing.assert_array_equal(run([values])[0], values + 1)


def test_callers_with_other_weights_do_not_disturb_each_other() -> None:
    run = NativeRunner(prepared_program(200))
    random = np.random.default_rng(0)
    weights = [tuple(random.integers(0, 1000, (2, 200))) for _ in range(4)]

    def work(number: int) -> None:
        x = np.arange(200) + number
        for turn in range(40):
            w, v = weights[(number + turn // 5) % 4]
            np.testing.assert_array_equal(run([x, w, v])[0], expected(x, w, v))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(16)))


def test_first_calls_at_once_prepare_once(preparations: list[int]) -> None:
    run = NativeRunner(prepared_program(500))
    x, w, v = np.arange(500), np.arange(500) * 3, np.arange(500) * 7
    barrier = threading.Barrier(16)

    def work(_: int) -> None:
        barrier.wait()
        np.testing.assert_array_equal(run([x, w, v])[0], expected(x, w, v))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(16)))
    assert len(preparations) == 1


# values that are refused


def refusing(stable: bool = False) -> NativeRunner:
    x, y = numbers("x", 100, "input"), numbers("y", 100, "output")
    status, between = Buffer("int64", 1, "status"), numbers("between", 100)
    steps = [step(Refuse(), x, between, status, tasks=100), step(Count(), between, y, tasks=100)]
    return NativeRunner(program_of(steps, [x], [y], stable=[0] if stable else [], status=status))


@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("stable", [False, True])
def test_a_refused_value_is_reported_and_forgotten(threads: int, stable: bool) -> None:
    run = refusing(stable)
    bad = np.arange(100)
    bad[57] = -1
    with num_threads(threads):
        for _ in range(3):
            np.testing.assert_array_equal(run([np.arange(100)])[0], np.arange(100) + 1)
            with pytest.raises(Refused):
                run([bad])


# several callers, and memory


def test_many_threads_call_one_program() -> None:
    run = NativeRunner(mixing(300, 20))
    barrier = threading.Barrier(64)

    def work(number: int) -> None:
        x = np.random.default_rng(number).integers(0, 100, 300)
        want = mixed(x, 20)
        barrier.wait()
        for _ in range(20):
            np.testing.assert_array_equal(run([x])[0], want)

    with num_threads(2), ThreadPoolExecutor(64) as pool:
        list(pool.map(work, range(64)))
    assert 1 <= len(run._instances.idle) <= 64


def test_memory_is_used_again_and_can_be_released() -> None:
    run = NativeRunner(prepared_program())
    x, w, v = np.arange(10), np.arange(10) * 3, np.arange(10) * 7
    for _ in range(3):
        run([x, w, v])
    (instance,) = run._instances.idle
    arena = weakref.ref(instance.arena)
    del instance
    release_memory()
    gc.collect()
    assert arena() is None
    assert run._prepared is None
    np.testing.assert_array_equal(run([x, w, v])[0], expected(x, w, v))


def test_a_runner_and_its_memory_go_when_nobody_holds_it() -> None:
    run = NativeRunner(mixing(10, 2))
    run([np.arange(10)])
    there = weakref.ref(run)
    del run
    gc.collect()
    assert there() is None


def test_calls_leave_no_references_behind() -> None:
    run = NativeRunner(mixing(10, 2))
    x, out = np.arange(10), np.zeros(10, np.int64)
    run([x], out=[out])
    before = sys.getrefcount(x), sys.getrefcount(out)
    for _ in range(10):
        run([x], out=[out])
    assert (sys.getrefcount(x), sys.getrefcount(out)) == before


# steps timed


def test_a_profile_names_every_step_with_its_time() -> None:
    x, between, y = numbers("x", 8, "input"), numbers("between", 8), numbers("y", 8, "output")
    steps = [
        step(Busy(), x, 200_000, between, tasks=8, label="long"),
        step(Count(), between, y, tasks=8, label="short"),
    ]
    run = NativeRunner(program_of(steps, [x], [y]))
    (long, long_seconds), (short, short_seconds) = run.profile([np.arange(8)], rounds=2)
    assert (long, short) == ("long", "short")
    assert 0 < short_seconds < long_seconds < 1


# the guarded mode


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIMMEL_GUARD", "1")


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("threads", THREADS)
def test_guarded_programs_give_the_same(threads: int) -> None:
    with num_threads(threads):
        x, w, v = np.arange(10), np.arange(10) * 3, np.arange(10) * 7
        run, out = NativeRunner(prepared_program()), np.zeros(10, np.int64)
        np.testing.assert_array_equal(run([x, w, v])[0], expected(x, w, v))
        assert run([x, w, v], out=[out])[0] is out
        np.testing.assert_array_equal(out, expected(x, w, v))
        with pytest.raises(Refused):
            refusing()([np.full(100, -1)])
        empty = program_of([], [], [Buffer("float32", 0, "output")])
        assert NativeRunner(empty)([])[0].shape == (0,)


@pytest.mark.usefixtures("guarded")
def test_the_guard_finds_what_was_never_written() -> None:
    unwritten, y = numbers("unwritten", 4), numbers("y", 4, "output")
    run = NativeRunner(program_of([step(Count(), unwritten, y, tasks=4)], [], [y]))
    with pytest.raises(RuntimeError, match="output 0 depends on memory that was not written"):
        run([])


@pytest.mark.usefixtures("guarded")
def test_the_guard_finds_an_input_that_is_written_to() -> None:
    x = numbers("x", 4, "input")
    run = NativeRunner(program_of([step(Tally(), x, tasks=4)], [x], []))
    with pytest.raises(RuntimeError, match="wrote to the input 'x'"):
        run([np.arange(4)])
