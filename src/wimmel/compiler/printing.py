"""Kernels as text for people: one line for each statement, loops and branches indented, types in a column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from wimmel.compiler.language import Block, Function, If, Let, Loop, Repeat, Type, Value

INDENT = "    "
WIDEST = 72
"""Lines longer than this do not push the column of types further to the right."""

INFIX = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "quotient": "//", "remainder": "mod", "and": "&",
         "or": "|", "xor": "^", "shift_left": "<<", "shift_right": ">>"}  # fmt: skip
COMPARED = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}


def to_text(function: Function) -> str:
    """The function as text.

    Values are called %1, %2, ... in the order in which they were named. Memory is written as subscripts: what is read
    or written are as many elements as the value has lanes, from there on.

    Parameters
    ----------
    function : Function

    Returns
    -------
    str

    Examples
    --------
    >>> from wimmel.compiler.language import Builder
    >>> builder = Builder("double")
    >>> block, begin, end, _ = builder.kernel()
    >>> x, y = builder.arguments(block, "pp")
    >>> def body(i):
    ...     value = builder.load(x, i * 16, Type("f32", 16))
    ...     builder.store(value + value, y, i * 16)
    >>> _ = builder.loop(begin, end, 1, body)
    >>> print(to_text(builder.function()))
    double(%1: ptr, %2: i64, %3: i64, %4: i64)
        %5 = %1[0] : ptr
        %6 = %1[1] : ptr
        for %7 from %2 below %3
            %8 = %7 * 16  : i64
            %9 = %5[%8]   : f32 x 16
            %10 = %9 + %9 : f32 x 16
            %11 = %7 * 16 : i64
            %6[%11] = %10
    """
    parameters = ", ".join(f"{_name(value)}: {_type(value.type)}" for value in function.parameters)
    lines = [f"{function.name}({parameters})", *_indented(_block(function.body))]
    if function.result is not None:
        lines.append(f"{INDENT}return {_name(function.result)}")
    return "\n".join(lines)


def _indented(lines: Iterable[str]) -> list[str]:
    return [INDENT + line for line in lines]


def _block(block: Block) -> list[str]:
    lines: list[str] = []
    plain: list[Let] = []
    for statement in block:
        if isinstance(statement, Let):
            plain.append(statement)
            continue
        lines += _lets(plain)
        plain = []
        if isinstance(statement, Loop):
            lines += _loop(statement)
        elif isinstance(statement, Repeat):
            lines += _repeat(statement)
        else:
            lines += _branch(statement)
    return lines + _lets(plain)


def _lets(lets: Sequence[Let]) -> list[str]:
    """A run of single operations, their types under each other."""
    texts = [_let(let) for let in lets]
    named = [text for let, text in zip(lets, texts, strict=True) if let.result is not None]
    width = min(max(map(len, named), default=0), WIDEST)
    return [
        text if let.result is None else f"{text.ljust(width)} : {_type(let.result.type)}"
        for let, text in zip(lets, texts, strict=True)
    ]


def _let(let: Let) -> str:
    text = _TEXTS[let.operation](let) if let.operation in _TEXTS else _call(let.operation, let.operands)
    return text if let.result is None else f"{_name(let.result)} = {text}"


def _loop(loop: Loop) -> list[str]:
    step = "" if loop.step.literal == 1 else f" step {_name(loop.step)}"
    bounds = f"for {_name(loop.index)} from {_name(loop.begin)} below {_name(loop.end)}{step}"
    return [_results(loop.results) + bounds + _carried(loop.carried), *_body(loop.body, "next", loop.yields)]


def _repeat(repeat: Repeat) -> list[str]:
    head = _results(repeat.results) + "repeat" + _carried(repeat.carried)
    return [head, *_body(repeat.body, "next", repeat.yields), f"while {_name(repeat.condition)}"]


def _branch(branch: If) -> list[str]:
    lines = [
        f"{_results(branch.results)}if {_name(branch.condition)}",
        *_body(branch.then, "gives", branch.then_yields),
    ]
    otherwise = _body(branch.otherwise, "gives", branch.otherwise_yields)
    return [*lines, "else", *otherwise] if otherwise else lines


def _body(block: Block, word: str, yields: Sequence[Value]) -> list[str]:
    handed_on = [f"{word} {', '.join(map(_name, yields))}"] if yields else []
    return _indented([*_block(block), *handed_on])


def _results(results: Sequence[Value]) -> str:
    return ", ".join(map(_name, results)) + " = " if results else ""


def _carried(carried: Sequence[tuple[Value, Value]]) -> str:
    pairs = [f"{_name(inner)} = {_name(first)} : {_type(inner.type)}" for inner, first in carried]
    return f" with {', '.join(pairs)}" if pairs else ""


# values


def _type(type_: Type) -> str:
    return type_.kind if type_.lanes == 1 else f"{type_.kind} x {type_.lanes}"


def _name(value: Value) -> str:
    if value.literal is None:
        return f"%{value.number}"
    if isinstance(value.literal, tuple):
        return f"<{_numbers(value.literal, value.type.kind)}>"
    return _number(value.literal, value.type.kind)


def _number(number: float, kind: str) -> str:
    if kind == "i1":
        return "true" if number else "false"
    return f"{number:.9g}" if kind in ("f32", "f64") else str(int(number))


def _numbers(numbers: Sequence[float], kind: str = "i64") -> str:
    """Runs of whole numbers that count up or down by one are written as a..b."""
    runs: list[list[float]] = []
    for number in numbers:
        whole = kind not in ("f32", "f64", "i1") and bool(runs)
        if (
            whole
            and abs(number - runs[-1][-1]) == 1
            and (len(runs[-1]) == 1 or number - runs[-1][-1] == runs[-1][1] - runs[-1][0])
        ):
            runs[-1].append(number)
        else:
            runs.append([number])
    texts = []
    for run in runs:
        names = [_number(number, kind) for number in run]
        texts += names if len(run) < 4 else [f"{names[0]}..{names[-1]}"]
    return " ".join(texts)


# operations


def _call(name: str, operands: Sequence[Value]) -> str:
    return f"{name}({', '.join(map(_name, operands))})"


def _infix(sign: str) -> Callable[[Let], str]:
    def text(let: Let) -> str:
        a, b = map(_name, let.operands)
        kind = "unsigned" if let.attributes.get("unsigned") else "signed" if let.attributes.get("signed") else ""
        return f"{a} {sign} {b} {kind}".rstrip()

    return text


def _compare(let: Let) -> str:
    predicate = let.attributes["predicate"]
    if predicate == "unordered":
        return _call(predicate, let.operands)
    a, b = let.operands
    ordered = predicate not in ("eq", "ne") and not a.type.is_float
    return f"{_name(a)} {COMPARED[predicate]} {_name(b)}" + " unsigned" * (ordered and let.attributes["unsigned"])


def _convert(let: Let) -> str:
    (value,) = let.operands
    kind = let.attributes["kind"]
    whole = value.type.kind if value.type.kind[0] == "i" else kind
    unsigned = not let.attributes["signed"] and "i1" not in (value.type.kind, kind) and whole[0] == "i"
    return f"{_name(value)} to {kind}" + " unsigned" * unsigned


def _place(pointer: Value, index: Value, mask: Sequence[Value], each: str = "") -> str:
    masked = [_name(value) for value in mask if value.literal is None or not value.literal]
    return f"{_name(pointer)}[{each}{_name(index)}]" + "".join(f" where {name}" for name in masked)


def _load(let: Let) -> str:
    pointer, index, *mask = let.operands
    return _place(pointer, index, mask)


def _store(let: Let) -> str:
    value, pointer, index, *mask = let.operands
    return f"{_place(pointer, index, mask)} = {_name(value)}"


def _gather(let: Let) -> str:
    pointer, indices, mask = let.operands
    return _place(pointer, indices, [mask], "each ")


def _scatter(let: Let) -> str:
    value, pointer, indices, mask = let.operands
    return f"{_place(pointer, indices, [mask], 'each ')} = {_name(value)}"


def _shuffle(let: Let) -> str:
    a, b = let.operands
    lanes = f"lanes {_numbers(let.attributes['lanes'])} of {_name(a)}"
    return lanes if max(let.attributes["lanes"]) < a.type.lanes else f"{lanes}, {_name(b)}"


def _of_first(text: Callable[[str, dict[str, Any]], str]) -> Callable[[Let], str]:
    return lambda let: text(_name(let.operands[0]), let.attributes)


_TEXTS: dict[str, Callable[[Let], str]] = {
    **{operation: _infix(sign) for operation, sign in INFIX.items()},
    "negate": _of_first(lambda a, _: f"-{a}"),
    "compare": _compare,
    "select": lambda let: "{1} if {0} else {2}".format(*map(_name, let.operands)),
    "convert": _convert,
    "bitcast": _of_first(lambda a, _: f"bits of {a}"),
    "broadcast": _of_first(lambda a, _: f"{a} in every lane"),
    "extract": _of_first(lambda a, attributes: f"lane {attributes['lane']} of {a}"),
    "insert": lambda let: "{} with {} in lane {}".format(*map(_name, let.operands), let.attributes["lane"]),
    "shuffle": _shuffle,
    "load": _load,
    "store": _store,
    "gather": _gather,
    "scatter": _scatter,
    "offset": lambda let: "{0} + {2} * {1} bytes".format(*map(_name, let.operands), let.attributes["bytes"]),
    "call": lambda let: _call(f"call {_name(let.operands[0])}", let.operands[1:]),
    "intrinsic": lambda let: _call(let.attributes["name"], let.operands),
    "stack": lambda let: f"{let.attributes['bytes']} bytes of stack",
}
