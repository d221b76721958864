"""Recording functions: nested arguments and results, variables, what makes a recording stale, and running it."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict, namedtuple
from typing import Any

import numpy as np
import pytest

from oracles import recorded
from wimmel.graph import (
    Graph,
    Tensor,
    Variable,
    active_recording,
    array,
    evaluate,
    first_not_finite,
    flatten,
    trace,
    unflatten,
)
from wimmel.graph.structure import map_items

Point = namedtuple("Point", "x y")


class MappingOfOurs(dict):
    pass


# structures

NESTED: list[Any] = [
    np.ones(2),
    [np.ones(2), (np.zeros(1), np.float32(3))],
    {"a": np.ones(2), "b": {"c": [np.zeros(3), 5, "text", None]}, 3: ()},
    Point(np.ones(2), [np.zeros(1)]),
    (1, 2.5, True, None, "text", b"bytes", ..., int),
    [],
    {},
]


@pytest.mark.parametrize("value", NESTED)
def test_what_is_taken_apart_is_put_together_again(value: Any) -> None:
    leaves, structure = flatten(value)
    assert all(isinstance(leaf, (np.ndarray, np.generic)) for leaf in leaves)
    again = unflatten(structure, leaves)
    assert repr(again) == repr(value)
    assert flatten(unflatten(structure, [leaf + 1 for leaf in leaves]))[1] == structure
    assert hash(structure) == hash(flatten(again)[1])


def test_structures_differ_where_anything_but_a_leaf_does() -> None:
    values = [
        (1,), [1],
        (1.0,), (True,), ("1",), (1, ()), {"a": 1}, {"b": 1}, {"a": 1, "b": 1}, {"b": 1, "a": 1}, Point(1, 2),
        (1, 2), 0.0, -0.0, float("nan"), 0j, -0.0j, np.ones(1), [np.ones(1)], None,
    ]  # fmt: skip
    structures = [flatten(value)[1] for value in values]
    assert len(set(structures)) == len(values)


def test_nan_equals_nan_and_minus_zero_comes_back_as_it_was() -> None:
    assert flatten(float("nan"))[1] == flatten(float("nan"))[1]
    assert str(unflatten(flatten([-0.0])[1], [])) == "[-0.0]"


@pytest.mark.parametrize("value", [{1, 2}, bytearray(b"x"), [{"deep": {1}}]])
def test_what_cannot_be_compared_is_refused_in_a_sentence(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot be compared from call to call; pass arrays"):
        flatten(value)


def test_every_kind_of_dict_is_one_and_comes_back_plain() -> None:
    plain = {"b": np.ones(2), "a": [1, np.zeros(1)]}
    for special in (OrderedDict(plain), defaultdict(list, plain), MappingOfOurs(plain)):
        leaves, structure = flatten(special)
        assert structure == flatten(plain)[1]
        again = unflatten(structure, leaves)
        assert type(again) is dict
        assert list(again) == ["b", "a"]
        assert map_items(type, special) == {"b": np.ndarray, "a": [int, np.ndarray]}


def test_map_items_reaches_everything_that_is_no_container() -> None:
    value = {"a": [1, None], "b": Point((2.5, "c"), np.array(3))}
    assert map_items(lambda item: type(item).__name__, value) == {
        "a": ["int", "NoneType"],
        "b": Point(("float", "str"), "ndarray"),
    }


# recording


def test_nested_arguments_and_results_keep_their_structure() -> None:
    def function(pair: Any, *, scale: Any) -> Any:
        return {"sum": pair[0] + pair[1]["x"], "parts": [pair[0], (scale, "text", None)], "point": Point(scale * 2, 1)}

    found = recorded(function, (np.ones(2), {"x": np.ones(2)}), scale=np.array(3.0))
    np.testing.assert_array_equal(found["sum"], [2, 2])
    assert found["parts"][1][1:] == ("text", None)
    assert isinstance(found["point"], Point)
    assert (float(found["point"].x), found["point"].y) == (6.0, 1)


def test_only_shape_and_dtype_of_arrays_matter_and_all_else_is_recorded() -> None:
    traced = trace(lambda x, times: x * times, np.zeros((2, 0), np.float32), 3)
    (only,) = traced.graph.inputs
    assert (only.shape, only.dtype, only.attributes["name"]) == ((2, 0), np.float32, "x")
    assert evaluate(traced.graph, [np.ones((2, 0), np.float32)])[0].shape == (2, 0)


def test_a_graph_is_shown_by_its_counts_and_printed_whole() -> None:
    graph = trace(lambda x, y: x * 2 + y, np.ones(3), np.ones(3)).graph
    assert repr(graph) == "Graph(2 inputs, 1 output, 2 operations)"
    assert repr(trace(lambda x: x, np.ones(3)).graph) == "Graph(1 input, 1 output, 0 operations)"
    assert "multiply" in str(graph)


def test_a_recorded_function_sees_no_numbers() -> None:
    seen = []
    trace(lambda x: seen.append(x) or x, np.ones(3))
    assert isinstance(seen[0], Tensor)


def test_results_may_be_inputs_constants_numbers_or_the_same_twice() -> None:
    x = np.array([1.0, 2.0])
    constant = np.array([5, 6])

    def function(x: Any) -> Any:
        y = x * 2
        return x, constant, 7, y, y, np.float32(3), x

    first, second, third, fourth, fifth, sixth, last = recorded(function, x)
    np.testing.assert_array_equal([first, fourth, fifth, last], [x, 2 * x, 2 * x, x])
    np.testing.assert_array_equal(second, [5, 6])
    assert third == 7 and type(third) is int
    assert sixth == 3 and sixth.dtype == np.float32


def test_results_share_no_memory_with_inputs_constants_or_each_other() -> None:
    x, constant = np.arange(6.0).reshape(2, 3), np.zeros(3)

    def function(x: Any) -> Any:
        y = x + 1
        return x, x[0], x.T, array.broadcast_to(x[0], (2, 3)), array.reshape(x, -1), y, y, y[0], constant, constant

    results = recorded(function, x)
    for i, result in enumerate(results):
        assert result.flags.writeable and result.flags.c_contiguous
        others = [*results[:i], *results[i + 1 :], x, constant]
        assert not any(np.shares_memory(result, other) for other in others)


def test_a_function_without_arguments_or_with_none_used_can_be_recorded() -> None:
    np.testing.assert_array_equal(recorded(lambda: array.add(np.ones(2), 1)), [2, 2])
    np.testing.assert_array_equal(recorded(lambda x, y: x, np.ones(2), np.zeros(5)), [1, 1])


def test_what_leads_to_no_result_is_no_part_of_the_graph() -> None:
    def function(x: Any) -> Any:
        array.exp(x)
        return x + 1

    assert [node.primitive.name for node in trace(function, np.ones(1)).graph.nodes()] == ["input", "constant", "add"]


@pytest.mark.parametrize("bad", [np.zeros(2, np.float16), np.zeros(2, complex), np.array(["a"]), np.array([None])])
def test_arrays_that_cannot_be_computed_with_are_refused_before_the_function_is_called(bad: np.ndarray) -> None:
    called = []
    with pytest.raises(TypeError, match=r"the function was given .* values; wimmel computes with float32 and float64"):
        trace(lambda x: called.append(x), bad)
    assert not called


def test_a_function_that_raises_leaves_no_recording_behind() -> None:
    variable = Variable(np.ones(2))

    def function(x: Any) -> Any:
        assert active_recording() is not None
        variable.read()
        raise KeyError("inside")

    with pytest.raises(KeyError, match="inside"):
        trace(function, np.ones(2))
    assert active_recording() is None
    assert isinstance(variable.read(), np.ndarray)


def test_recordings_of_two_threads_do_not_meet() -> None:
    variable = Variable(np.ones(2))
    inside, done = threading.Event(), threading.Event()
    outcomes: list[Any] = []

    def function(x: Any) -> Any:
        inside.set()
        assert done.wait(10)
        return x + variable.read()

    thread = threading.Thread(target=lambda: outcomes.append(trace(function, np.ones(2))))
    thread.start()
    assert inside.wait(10)
    outcomes.append(active_recording())
    outcomes.append(variable.read())
    done.set()
    thread.join()
    assert outcomes[0] is None
    assert isinstance(outcomes[1], np.ndarray)
    assert outcomes[2].variables == (variable,)


# variables


def test_a_variable_that_is_read_becomes_an_input_once() -> None:
    weight = Variable(np.array([2.0, 3.0]), "weight")
    traced = trace(lambda x: x * weight.read() + weight.read(), np.ones(2))
    assert traced.variables == (weight,)
    assert [tensor.attributes["name"] for tensor in traced.graph.inputs] == ["x", "weight"]
    assert not any(node.primitive.name == "constant" for node in traced.graph.nodes())
    np.testing.assert_array_equal(evaluate(traced.graph, [np.ones(2), weight.value])[0], [4, 6])


def test_a_variable_that_is_written_becomes_an_output_and_is_read_as_written() -> None:
    count = Variable(np.array(1.0))

    def function(x: Any) -> Any:
        count.write(count.read() + 1)
        count.write(count.read() * 10)
        return x + count.read()

    traced = trace(function, np.array(0.0))
    assert traced.updated == (count,)
    assert count.value == 1 and count.version == 0
    result, new = evaluate(traced.graph, [np.array(0.0), count.value])
    assert (float(result), float(new)) == (20.0, 20.0)


def test_a_variable_can_be_written_without_being_read_and_with_an_array() -> None:
    last = Variable(np.zeros(2))

    def function(x: Any) -> Any:
        last.write([5.0, 6.0])
        return x

    traced = trace(function, np.ones(2))
    assert (traced.variables, traced.updated) == ((), (last,))
    np.testing.assert_array_equal(evaluate(traced.graph, [np.ones(2)])[1], [5, 6])


def test_writing_outside_a_recording_replaces_the_value_and_raises_the_version() -> None:
    weight = Variable(np.zeros(2))
    weight.write(np.ones(3))
    assert weight.version == 1
    assert weight.value.shape == (3,)


def test_a_recording_is_stale_when_a_variable_changes_its_shape_or_dtype_but_not_its_value() -> None:
    weight = Variable(np.zeros(2))
    traced = trace(lambda x: x + weight.read(), np.ones(2))
    weight.write(np.ones(2))
    assert traced.is_current()
    for changed in (np.ones(1), np.ones((1, 2)), np.ones(2, np.float32)):
        weight.write(changed)
        assert not traced.is_current()


def test_a_recording_is_stale_when_a_setting_it_depends_on_changes() -> None:
    class Setting:
        value = 0

        def settings_state(self) -> int:
            return self.value

    setting = Setting()

    def function(x: Any) -> Any:
        active_recording().depend_on(setting)
        return x

    traced = trace(function, np.ones(2))
    assert traced.is_current()
    setting.value += 1
    assert not traced.is_current()


# graphs


def test_nodes_come_after_what_they_are_made_from_and_once_each() -> None:
    def function(x: Any) -> Any:
        y = x * x
        return [y + y, y - x, x]

    nodes = trace(function, np.ones(2)).graph.nodes()
    place = {node: i for i, node in enumerate(nodes)}
    assert len(place) == len(nodes) == 4
    assert all(place[source] < place[node] for node in nodes for source in node.inputs)


def test_deep_graphs_are_recorded_and_run_without_recursion() -> None:
    def function(x: Any) -> Any:
        for _ in range(10_000):
            x = x + 1
        return x

    traced = trace(function, np.zeros(1))
    assert len(traced.graph.nodes()) == 20_001
    np.testing.assert_array_equal(evaluate(traced.graph, [np.zeros(1)])[0], [10_000])
    del traced


def test_wide_graphs_that_reuse_everything_are_run_once_per_node() -> None:
    def function(x: Any) -> Any:
        for _ in range(200):
            x = x * 0.5 + x * 0.5
        return x

    np.testing.assert_array_equal(recorded(function, np.ones(1)), [1.0])


def test_running_needs_as_many_values_as_inputs() -> None:
    graph = trace(lambda x: x, np.ones(1)).graph
    with pytest.raises(ValueError):
        evaluate(graph, [])


def test_the_graph_of_nothing_runs() -> None:
    assert evaluate(Graph((), ()), []) == []


def test_the_first_value_that_is_not_finite_is_named() -> None:
    traced = trace(lambda x: array.exp(array.log(x) * 2), np.ones(2))
    assert first_not_finite(traced.graph, [np.ones(2)]) is None
    assert first_not_finite(traced.graph, [np.array([1.0, -1.0])]).primitive.name == "log"
    assert first_not_finite(traced.graph, [np.array([1.0, 0.0])]) is None, "log 0 is -inf, but the result is 0"
    assert first_not_finite(traced.graph, [np.array([1.0, 1e300])]).primitive.name == "exp"
    assert first_not_finite(traced.graph, [np.array([np.nan, 1.0])]).primitive.name == "input"


def test_whole_numbers_and_booleans_count_as_finite() -> None:
    traced = trace(lambda x: array.isfinite(x), np.ones(2, np.int64))
    assert first_not_finite(traced.graph, [np.ones(2, np.int64)]) is None
