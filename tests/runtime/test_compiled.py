"""Compiled functions: when they are recorded and when not, what changes between calls, and what calls give back."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import namedtuple
from typing import Any

import numpy as np
import pytest

import wimmel as wm
from wimmel.graph import Tensor, Variable, active_recording, array
from wimmel.runtime import Compiled, compile

Pair = namedtuple("Pair", "first second")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no forks")
def test_a_forked_child_records_though_another_thread_was_recording() -> None:
    program = """
import os, signal, sys
import numpy as np
from wimmel.runtime import compile
double = compile(lambda x: x * 2, backend="reference")
with sys.modules["wimmel.runtime.compiled"]._lock:
    child = os.fork()
    if not child:
        signal.alarm(10)
        double(np.ones(2))
        os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


class Counted:
    """A function that counts how often it is called, that is, recorded."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.calls = 0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.calls += 1
        return self.function(*arguments, **named)


def test_it_gives_what_the_function_gives() -> None:
    found = compile(lambda x, y: array.sum(x * y) + 1)(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    assert isinstance(found, np.ndarray)
    assert found == 12


def test_it_is_recorded_once_for_each_set_of_shapes_dtypes_and_settings() -> None:
    function = Counted(lambda x, power=2: x**power)
    compiled = compile(function)
    calls: list[tuple[Any, dict[str, Any]]] = [
        (np.ones(2), {}),
        (np.ones(3), {}),
        (np.ones((2, 1)), {}),
        (np.ones(2, np.float32), {}),
        (np.ones(2), {"power": 3}),
        (np.ones(2), {"power": 3.0}),
        (np.ones(2), {"power": True}),
        (np.float64(1), {}),
        (1.0, {}),
        ([np.ones(2)][0], {"power": np.array(2.0)}),
    ]
    for expected, (x, named) in enumerate(calls, 1):
        compiled(x, **named)
        assert function.calls == expected
    for x, named in calls:
        compiled(x, **named)
    compiled(np.full(2, 7.0))
    compiled(np.ones(4)[::2])
    compiled(np.asfortranarray(np.ones((2, 1))))
    compiled(np.ones(2).astype(">f8"))
    assert function.calls == len(calls)


def test_numbers_of_equal_value_but_other_type_or_sign_are_other_settings() -> None:
    divided = compile(lambda x, by: x / (x * by))
    with np.errstate(all="ignore"):
        assert divided(np.ones(1), 0.0) == np.inf
        assert divided(np.ones(1), -0.0) == -np.inf
    typed = compile(lambda x, number: type(number).__name__)
    assert [typed(np.ones(1), number) for number in (1, 1.0, True)] == ["int", "float", "bool"]
    counted = Counted(lambda x, number: x + number)
    for _ in range(3):
        np.testing.assert_array_equal(compile(counted)(np.ones(1), float("nan")), [np.nan])
    many = compile(counted := Counted(lambda x, number: x + number))
    for _ in range(3):
        many(np.ones(1), float("nan"))
    assert counted.calls == 1


def test_examples_are_recorded_right_away_and_serve_the_calls() -> None:
    function = Counted(lambda x, y: x + y["z"])
    compiled = compile(function, np.zeros(2), {"z": np.zeros((3, 1), ">f4")})
    assert function.calls == 1
    assert compiled.graph is not None
    np.testing.assert_array_equal(compiled(np.ones(2), {"z": np.ones((3, 1), np.float32)}), np.full((3, 2), 2.0))
    assert function.calls == 1


def test_results_keep_their_structure() -> None:
    compiled = compile(lambda x, y: {"sum": x + y, "rest": [x, (Pair(y, "text"), None, 3)]})
    found = compiled(np.ones(2), np.zeros(2))
    np.testing.assert_array_equal(found["sum"], [1, 1])
    pair, nothing, three = found["rest"][1]
    assert isinstance(pair, Pair)
    assert (pair.second, nothing, three) == ("text", None, 3)


def test_results_may_be_constants_inputs_and_python_numbers() -> None:
    table = np.array([1, 2, 3])
    x = np.ones(2)
    compiled = compile(lambda x: (table, x, x, 5, 2.5, "text"))
    for _ in range(2):
        constant, first, second, *rest = compiled(x)
        np.testing.assert_array_equal(constant, table)
        assert rest == [5, 2.5, "text"]
        constant[:] = first[:] = 99
        np.testing.assert_array_equal(second, [1, 1])
        np.testing.assert_array_equal(x, [1, 1])


def test_arguments_may_be_read_only_and_are_never_written() -> None:
    x = np.arange(6.0)
    x.flags.writeable = False
    np.testing.assert_array_equal(compile(lambda x: array.flip(x) * 2)(x[::2]), [8, 4, 0])


@pytest.mark.parametrize(
    "view", [lambda x: x[::-1], lambda x: x[:, ::2], np.asfortranarray, lambda x: x.astype(">f8"), lambda x: x[:0]]
)
def test_any_view_of_an_array_is_a_fit_argument(view: Any) -> None:
    x = view(np.arange(12.0).reshape(3, 4))
    found = compile(lambda x: x * 2)(x)
    np.testing.assert_array_equal(found, np.asarray(x, np.float64) * 2)
    assert found.dtype.isnative


# variables


def test_variables_are_read_anew_at_each_call_without_recording_again() -> None:
    weight = Variable(np.array([1.0, 2.0]), "weight")
    function = Counted(lambda x: array.sum(x * weight.read()))
    compiled = compile(function)
    assert compiled(np.ones(2)) == 3
    for value in ([5.0, 6.0], [0.0, -1.0]):
        weight.write(np.array(value))
        assert compiled(np.ones(2)) == sum(value)
    assert function.calls == 1


def test_a_variable_of_another_shape_or_dtype_is_recorded_again() -> None:
    weight = Variable(np.ones(2))
    function = Counted(lambda x: x + weight.read())
    compiled = compile(function)
    compiled(np.ones(2))
    for value in (np.ones((3, 2)), np.ones(2, np.float32), np.ones(2, np.float32)):
        weight.write(value)
        np.testing.assert_array_equal(compiled(np.ones(2)), np.ones(2) + value)
    assert function.calls == 3


def test_what_a_function_writes_is_there_after_each_call() -> None:
    count, total = Variable(np.array(0)), Variable(np.zeros(2))

    def function(x: Any) -> Any:
        count.write(count.read() + 1)
        total.write(total.read() + x)
        return total.read() / count.read()

    compiled = compile(function)
    for call, mean in ((1, 1.0), (2, 2.0), (3, 3.0)):
        np.testing.assert_array_equal(compiled(np.full(2, 2.0 * call - 1)), [mean, mean])
        assert (int(count.value), count.version) == (call, call)
    assert not total.value.flags.writeable


def test_a_result_is_not_the_variable_it_was_written_to() -> None:
    state = Variable(np.zeros(2))

    def function(x: Any) -> Any:
        state.write(state.read() + x)
        return state.read()

    found = compile(function)(np.ones(2))
    found[:] = 50
    np.testing.assert_array_equal(state.value, [1, 1])


def test_an_error_while_running_leaves_variables_as_they_were() -> None:
    state = Variable(np.zeros(2))

    def function(x: Any, places: Any) -> Any:
        state.write(state.read() + 1)
        return array.take(x, places)

    compiled = compile(function)
    with pytest.raises(IndexError, match="take was given indices from 7 to 7"):
        compiled(np.ones(3), np.array([7]))
    np.testing.assert_array_equal(state.value, [0, 0])
    assert compiled(np.ones(3), np.array([2])) == 1


# calls within calls


def test_inside_a_recorded_function_it_records_into_that() -> None:
    inner = Counted(lambda x: x * 2)
    twice = compile(inner)
    outer = compile(lambda x: twice(x) + twice(twice(x)))
    np.testing.assert_array_equal(outer(np.ones(2)), [6, 6])
    assert outer.graph is not None
    assert twice.graph is None
    assert inner.calls == 3
    assert [n.primitive.name for n in outer.graph.nodes()].count("multiply") >= 1


def test_a_compiled_function_may_call_itself() -> None:
    def power(x: Any, n: int) -> Any:
        return x if n == 0 else x * compiled(x, n - 1)

    compiled = compile(power)
    np.testing.assert_array_equal(compiled(np.array([2.0]), 5), [64.0])


def test_given_a_tensor_it_gives_a_tensor() -> None:
    seen: list[Any] = []
    double = compile(lambda x: x * 2)
    compile(lambda x: seen.append(double(x)) or x)(np.ones(2))
    assert isinstance(seen[0], Tensor)


def test_threads_may_call_at_once_and_record_at_first_only() -> None:
    weight = Variable(np.full((4, 4), 2.0))

    def slowly_recorded(x: Any) -> Any:
        time.sleep(0.05)
        return array.tanh(x @ weight.read()) * 3

    function = Counted(slowly_recorded)
    compiled = compile(function)
    barrier = threading.Barrier(8)
    outcomes: dict[int, Any] = {}

    def call(number: int) -> None:
        barrier.wait(10)
        outcomes[number] = [compiled(np.full((2, 4), number / 10)) for _ in range(20)]

    threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert function.calls <= 8, "no thread records twice"
    for number, found in outcomes.items():
        np.testing.assert_allclose(found, np.full((20, 2, 4), np.tanh(0.8 * number) * 3), rtol=1e-14)


# refusals


def test_a_function_that_raises_is_recorded_at_the_next_call_and_leaves_no_recording_behind() -> None:
    broken = [True]

    def function(x: Any) -> Any:
        if broken:
            raise RuntimeError("not yet")
        return x

    compiled = compile(function)
    with pytest.raises(RuntimeError, match="not yet"):
        compiled(np.ones(1))
    assert active_recording() is None
    broken.clear()
    assert compiled(np.ones(1)) == 1


@pytest.mark.parametrize("argument", [{1, 2}, bytearray(b"x"), [{"deep": {1}}]])
def test_arguments_that_cannot_be_compared_are_refused_in_a_sentence(argument: Any) -> None:
    with pytest.raises(TypeError, match="cannot be compared from call to call; pass arrays"):
        compile(lambda x, y: x)(np.ones(1), argument)


@pytest.mark.parametrize("dtype", ["float16", "complex64", "object", "str"])
def test_arrays_of_other_dtypes_are_refused_in_a_sentence(dtype: str) -> None:
    for call in (compile(lambda x: x), lambda x: compile(lambda x: x, x)):
        with pytest.raises(TypeError, match=r"convert first, for example with x\.astype"):
            call(np.zeros(1, dtype))


def test_results_that_are_no_arrays_of_ours_are_refused() -> None:
    with pytest.raises(TypeError, match="wimmel computes with float32 and float64"):
        compile(lambda x: np.zeros(2, np.float16))(np.ones(1))


def test_depending_on_the_numbers_is_refused() -> None:
    with pytest.raises(TypeError, match=r"choose between values with wm\.where"):
        compile(lambda x: x if array.sum(x) > 0 else -x)(np.ones(1))


def test_what_cannot_be_called_and_backends_that_do_not_exist_are_refused() -> None:
    with pytest.raises(TypeError, match="compile was given 3; it takes a function or a module"):
        compile(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="there is no backend 'fast'; there are: native, reference"):
        compile(lambda x: x, backend="fast")


def test_it_says_what_it_is() -> None:
    def loss(x: Any) -> Any:
        return x

    assert repr(compile(loss)) == "<compiled loss, backend native>"
    assert isinstance(compile(loss), Compiled)


def test_recordings_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[Compiled.__module__]
    monkeypatch.setattr(module, "RECORDINGS", 3)
    compiled = Compiled(lambda x, factor: x * factor)
    for factor in range(10):
        assert compiled(np.ones(2), float(factor))[0] == factor
    assert len(compiled._traces) == 3
    assert compiled(np.ones(2), 0.0)[0] == 0


def test_a_function_may_wait_for_a_thread_that_calls_it_too() -> None:
    found = []

    def function(x: Any, first: bool) -> Any:
        if first:
            thread = threading.Thread(target=lambda: found.append(compiled(np.ones(2), False)))
            thread.start()
            thread.join(10)
        return x * 2

    compiled = compile(function)
    compiled(np.ones(2), True)
    np.testing.assert_array_equal(found, [[2.0, 2.0]])


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_results_are_written_to_given_arrays(backend):
    step = wm.compile(lambda x: {"sum": x + 1, "twice": [x * 2]}, backend=backend)
    x = np.arange(6, dtype=np.float32)
    out = {"sum": np.empty(6, np.float32), "twice": [x]}  # the second takes the argument's place
    result = step(x, out=out)
    assert result["sum"] is out["sum"]
    assert result["twice"][0] is x
    np.testing.assert_array_equal(out["sum"], np.arange(6) + 1)
    np.testing.assert_array_equal(x, np.arange(6) * 2)


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_arrays_that_do_not_fit_the_result_are_refused(backend):
    double = wm.compile(lambda x: x * 2, backend=backend)
    with pytest.raises(ValueError, match=r"float32 and shape \(3,\)"):
        double(np.zeros(3, np.float32), out=np.zeros(4, np.float32))
    with pytest.raises(ValueError, match="not built as the result"):
        double(np.zeros(3, np.float32), out=[np.zeros(3, np.float32)])
    with pytest.raises(ValueError, match="recorded"):
        wm.compile(lambda x: double(x, out=np.zeros(3)))(np.zeros(3))


def test_a_network_writes_to_an_array_and_64_threads_call_it_at_once():
    net = wm.models.lenet(10).initialize(0)
    x = np.random.default_rng(0).random((64, 3, 1, 28, 28)).astype(np.float32)
    expected = [net(pictures) for pictures in x]
    results = np.empty((64, 3, 10), np.float32)
    barrier = threading.Barrier(64)

    def call(number):
        barrier.wait()
        for _ in range(20):
            net(x[number], out=results[number])

    threads = [threading.Thread(target=call, args=(number,)) for number in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(results, expected)


def test_variables_keep_their_values_where_a_result_is_not_accepted() -> None:
    total = Variable(np.zeros(2), "total")

    def added(x: Any) -> Any:
        total.write(total.read() + x)
        return wm.sum(x)

    add = wm.compile(added)
    add.accepts = lambda result: result < 10
    assert [float(add(np.full(2, x))) for x in (1.0, 7.0, 2.0)] == [2, 14, 4]
    np.testing.assert_array_equal(total.value, [3, 3])
