"""The language as LLVM IR text. One row of `_EMIT` for each operation; loops and branches become blocks with phis."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from wimmel.compiler.language import Block, Function, If, Let, Loop, Repeat, Type, Value
from wimmel.compiler.targets import Target

_MEMORY = {"i1": "i8"}
_PREDICATES = {"lt": ("olt", "slt", "ult"), "le": ("ole", "sle", "ule"), "gt": ("ogt", "sgt", "ugt"),
               "ge": ("oge", "sge", "uge"), "eq": ("oeq", "eq", "eq"), "ne": ("une", "ne", "ne"),
               "unordered": ("uno", "", "")}  # fmt: skip
_PLAIN = {"add": ("fadd", "add"), "subtract": ("fsub", "sub"), "multiply": ("fmul", "mul"), "divide": ("fdiv", ""),
          "and": ("", "and"), "or": ("", "or"), "xor": ("", "xor"), "shift_left": ("", "shl")}  # fmt: skip
_NAMED = {"absolute": "fabs", "sqrt": "sqrt", "floor": "floor", "round_even": "roundeven", "fma": "fma"}


def module(functions: list[Function], target: Target) -> str:
    """The functions as one LLVM module for a target."""
    texts: list[str] = []
    declared: dict[str, None] = {}
    for function in functions:
        writer = _Writer(function, target)
        texts.append(writer.text())
        declared.update(writer.declarations)
    width = 8 * target.vector_bytes
    attributes = ["nounwind", f'"prefer-vector-width"="{width}"', f'"min-legal-vector-width"="{width}"']
    attributes += [f'"target-features"="{target.features}"'] if target.features else []
    head = f'target triple = "{target.triple}"\n'
    return "\n".join([head, *texts, *sorted(declared), f"attributes #0 = {{ {' '.join(attributes)} }}", ""])


def type_text(type_: Type) -> str:
    kind = {"f32": "float", "f64": "double"}.get(type_.kind, type_.kind)
    return kind if type_.lanes == 1 else f"<{type_.lanes} x {kind}>"


def _memory_type(type_: Type) -> Type:
    return Type(_MEMORY.get(type_.kind, type_.kind), type_.lanes)


def _suffix(type_: Type) -> str:
    """How intrinsics name the type."""
    kind = "p0" if type_.kind == "ptr" else type_.kind
    return kind if type_.lanes == 1 else f"v{type_.lanes}{kind}"


def _number(kind: str, number: Any) -> str:
    if kind in ("f32", "f64"):
        value = struct.unpack("f", struct.pack("f", number))[0] if kind == "f32" else float(number)
        return "0x" + struct.pack(">d", value).hex().upper()
    if kind == "ptr":
        return "null" if not number else f"inttoptr (i64 {int(number)} to ptr)"
    return str(int(number))


class _Writer:
    def __init__(self, function: Function, target: Target) -> None:
        self.function = function
        self.target = target
        self.lines: list[str] = []
        self.declarations: dict[str, None] = {}
        self.label = "entry"
        self.count = 0

    def text(self) -> str:
        function = self.function
        parameters = ", ".join(f"{type_text(value.type)} {self.of(value)}" for value in function.parameters)
        result = "void" if function.result is None else type_text(function.result.type)
        self.block(function.body)
        self.line("ret void" if function.result is None else f"ret {self.typed(function.result)}")
        body = "\n".join(self.lines)
        return f"define {result} @{function.name}({parameters}) #0 {{\nentry:\n{body}\n}}\n"

    # names

    def of(self, value: Value) -> str:
        if value.literal is None:
            return f"%{value.number}"
        kind, lanes = value.type.kind, value.type.lanes
        if lanes == 1:
            return _number(kind, value.literal)
        numbers = value.literal if isinstance(value.literal, tuple) else (value.literal,) * lanes
        scalar = type_text(value.type.of(1))
        return "<" + ", ".join(f"{scalar} {_number(kind, number)}" for number in numbers) + ">"

    def typed(self, value: Value) -> str:
        return f"{type_text(value.type)} {self.of(value)}"

    def fresh(self) -> str:
        self.count += 1
        return f"%t{self.count}"

    def labels(self, *names: str) -> list[str]:
        self.count += 1
        return [f"{name}{self.count}" for name in names]

    def line(self, text: str) -> None:
        self.lines.append("  " + text)

    def begin(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.label = label

    def call(self, result: str, type_: str, name: str, *arguments: str) -> None:
        """A call of an intrinsic, declared by the types of its arguments."""
        types = ", ".join(_type_of(argument) for argument in arguments)
        self.declarations[f"declare {type_} @{name}({types})"] = None
        self.line(f"{result + ' = ' if result else ''}call {type_} @{name}({', '.join(arguments)})")

    # statements

    def block(self, block: Block) -> None:
        for statement in block:
            if isinstance(statement, Let):
                self.let(statement)
            elif isinstance(statement, Loop):
                self.loop(statement)
            elif isinstance(statement, Repeat):
                self.repeat(statement)
            else:
                self.branch(statement)

    def loop(self, loop: Loop) -> None:
        head, turn, after = self.labels("head", "turn", "after")
        before = self.label
        begin, end = self.of(loop.begin), self.of(loop.end)
        entered = self.fresh()
        self.line(f"{entered} = icmp slt i64 {begin}, {end}")
        self.line(f"br i1 {entered}, label %{head}, label %{after}")

        # the body is written first: its last label is known only then
        lines, self.lines = self.lines, []
        self.label = head
        self.block(loop.body)
        following, again = self.fresh(), self.fresh()
        self.line(f"{following} = add i64 {self.of(loop.index)}, {self.of(loop.step)}")
        self.line(f"{again} = icmp slt i64 {following}, {end}")
        self.line(f"br i1 {again}, label %{head}, label %{turn}")
        last, body, self.lines = self.label, self.lines, lines

        self.begin(head)
        self.line(f"{self.of(loop.index)} = phi i64 [ {begin}, %{before} ], [ {following}, %{last} ]")
        for (inner, first), following_value in zip(loop.carried, loop.yields, strict=True):
            type_ = type_text(inner.type)
            pairs = f"[ {self.of(first)}, %{before} ], [ {self.of(following_value)}, %{last} ]"
            self.line(f"{self.of(inner)} = phi {type_} {pairs}")
        self.lines += body
        self.begin(turn)
        self.line(f"br label %{after}")
        self.begin(after)
        for result, (_, first), final in zip(loop.results, loop.carried, loop.yields, strict=True):
            pairs = f"[ {self.of(first)}, %{before} ], [ {self.of(final)}, %{turn} ]"
            self.line(f"{self.of(result)} = phi {type_text(result.type)} {pairs}")

    def repeat(self, repeat: Repeat) -> None:
        head, after = self.labels("head", "after")
        before = self.label
        self.line(f"br label %{head}")
        lines, self.lines = self.lines, []
        self.label = head
        self.block(repeat.body)
        self.line(f"br i1 {self.of(repeat.condition)}, label %{head}, label %{after}")
        last, body, self.lines = self.label, self.lines, lines

        self.begin(head)
        for (inner, first), following in zip(repeat.carried, repeat.yields, strict=True):
            pairs = f"[ {self.of(first)}, %{before} ], [ {self.of(following)}, %{last} ]"
            self.line(f"{self.of(inner)} = phi {type_text(inner.type)} {pairs}")
        self.lines += body
        self.begin(after)
        for result, final in zip(repeat.results, repeat.yields, strict=True):
            self.line(f"{self.of(result)} = phi {type_text(result.type)} [ {self.of(final)}, %{last} ]")

    def branch(self, branch: If) -> None:
        then, otherwise, after = self.labels("then", "otherwise", "after")
        self.line(f"br i1 {self.of(branch.condition)}, label %{then}, label %{otherwise}")
        ends = []
        for label, block in ((then, branch.then), (otherwise, branch.otherwise)):
            self.begin(label)
            self.block(block)
            ends.append(self.label)
            self.line(f"br label %{after}")
        self.begin(after)
        for result, first, second in zip(branch.results, branch.then_yields, branch.otherwise_yields, strict=True):
            pairs = f"[ {self.of(first)}, %{ends[0]} ], [ {self.of(second)}, %{ends[1]} ]"
            self.line(f"{self.of(result)} = phi {type_text(result.type)} {pairs}")

    def let(self, let: Let) -> None:
        result = "" if let.result is None else self.of(let.result)
        if let.operation in _PLAIN:
            a, b = let.operands
            name = _PLAIN[let.operation][not a.type.is_float]
            self.line(f"{result} = {name} {self.typed(a)}, {self.of(b)}")
        elif let.operation == "fma" and not self.target.has_fma:
            a, b, c = let.operands
            product = self.fresh()
            self.line(f"{product} = fmul {self.typed(a)}, {self.of(b)}")
            self.line(f"{result} = fadd {type_text(a.type)} {product}, {self.of(c)}")
        elif let.operation in _NAMED:
            type_ = let.operands[0].type
            operands = [self.typed(value) for value in let.operands]
            self.call(result, type_text(type_), f"llvm.{_NAMED[let.operation]}.{_suffix(type_)}", *operands)
        else:
            _EMIT[let.operation](self, let, result)

    # memory

    def address(self, pointer: Value, index: Value, type_: Type) -> str:
        if index.literal == 0:
            return self.of(pointer)
        place = self.fresh()
        element = type_text(_memory_type(type_).of(1))
        self.line(f"{place} = getelementptr {element}, {self.typed(pointer)}, {self.typed(index)}")
        return place

    def to_memory(self, value: Value) -> str:
        """The value as it is stored, typed: booleans as bytes."""
        if value.type.kind != "i1":
            return self.typed(value)
        widened, type_ = self.fresh(), type_text(_memory_type(value.type))
        self.line(f"{widened} = zext {self.typed(value)} to {type_}")
        return f"{type_} {widened}"

    def from_memory(self, result: str, type_: Type, write: Callable[[str], None]) -> None:
        if type_.kind != "i1":
            write(result)
            return
        stored, memory = self.fresh(), type_text(_memory_type(type_))
        write(stored)
        self.line(f"{result} = icmp ne {memory} {stored}, zeroinitializer" if type_.lanes > 1 else
                  f"{result} = icmp ne {memory} {stored}, 0")  # fmt: skip


def _type_of(argument: str) -> str:
    """The type in front of a typed operand."""
    return argument[: argument.index(">") + 1] if argument.startswith("<") else argument.split(" ")[0]


def _load(writer: _Writer, let: Let, result: str) -> None:
    assert let.result is not None
    type_ = let.result.type
    memory = _memory_type(type_)
    pointer, index, *mask = let.operands
    address = writer.address(pointer, index, type_)
    align = memory.of(1).bytes

    def write(name: str) -> None:
        text = type_text(memory)
        if not mask:
            writer.line(f"{name} = load {text}, ptr {address}, align {align}")
            return
        _masked(writer, f"{name} = call {text} @llvm.masked.load.{_suffix(memory)}.p0",
                [f"ptr {address}", f"i32 {align}", writer.typed(mask[0]), f"{text} zeroinitializer"], text)  # fmt: skip

    writer.from_memory(result, type_, write)


def _masked(writer: _Writer, call: str, arguments: list[str], result: str) -> None:
    name = call[call.index("@") + 1 :]
    types = ", ".join("i32 immarg" if text.startswith("i32 ") else _type_of(text) for text in arguments)
    writer.declarations[f"declare {result} @{name}({types})"] = None
    writer.line(f"{call}({', '.join(arguments)})")


def _store(writer: _Writer, let: Let, result: str) -> None:
    value, pointer, index, *mask = let.operands
    memory = _memory_type(value.type)
    stored = writer.to_memory(value)
    address = writer.address(pointer, index, value.type)
    align = memory.of(1).bytes
    if mask:
        _masked(writer, f"call void @llvm.masked.store.{_suffix(memory)}.p0",
                [stored, f"ptr {address}", f"i32 {align}", writer.typed(mask[0])], "void")  # fmt: skip
    else:
        writer.line(f"store {stored}, ptr {address}, align {align}")


def _addresses(writer: _Writer, pointer: Value, indices: Value, type_: Type) -> str:
    places = writer.fresh()
    element = type_text(_memory_type(type_).of(1))
    writer.line(f"{places} = getelementptr {element}, {writer.typed(pointer)}, {writer.typed(indices)}")
    return f"<{indices.type.lanes} x ptr> {places}"


def _gather(writer: _Writer, let: Let, result: str) -> None:
    assert let.result is not None
    type_ = let.result.type
    pointer, indices, mask = let.operands
    memory = _memory_type(type_)
    text = type_text(memory)
    places = _addresses(writer, pointer, indices, type_)
    name = f"llvm.masked.gather.{_suffix(memory)}.v{type_.lanes}p0"
    arguments = [places, f"i32 {memory.of(1).bytes}", writer.typed(mask), f"{text} zeroinitializer"]
    writer.from_memory(
        result, type_, lambda stored: _masked(writer, f"{stored} = call {text} @{name}", arguments, text)
    )


def _scatter(writer: _Writer, let: Let, result: str) -> None:
    value, pointer, indices, mask = let.operands
    memory = _memory_type(value.type)
    stored = writer.to_memory(value)
    places = _addresses(writer, pointer, indices, value.type)
    name = f"llvm.masked.scatter.{_suffix(memory)}.v{value.type.lanes}p0"
    arguments = [stored, places, f"i32 {memory.of(1).bytes}", writer.typed(mask)]
    _masked(writer, f"call void @{name}", arguments, "void")


def _compare(writer: _Writer, let: Let, result: str) -> None:
    a, b = let.operands
    ordered, signed, unsigned = _PREDICATES[let.attributes["predicate"]]
    if a.type.is_float:
        writer.line(f"{result} = fcmp {ordered} {writer.typed(a)}, {writer.of(b)}")
    else:
        predicate = unsigned if let.attributes["unsigned"] else signed
        writer.line(f"{result} = icmp {predicate} {writer.typed(a)}, {writer.of(b)}")


def _convert(writer: _Writer, let: Let, result: str) -> None:
    assert let.result is not None
    (value,) = let.operands
    before, after, signed = value.type, let.result.type, let.attributes["signed"]
    if after.kind == "i1":
        zero = "zeroinitializer" if before.lanes > 1 else ("0.0" if before.is_float else "0")
        test = "fcmp une" if before.is_float else "icmp ne"
        writer.line(f"{result} = {test} {writer.typed(value)}, {zero}")
        return
    signed = signed and before.kind != "i1"
    bytes_before, bytes_after = before.of(1).bytes, after.of(1).bytes
    if before.is_float and after.is_float:
        name = "fpext" if after.kind == "f64" else "fptrunc"
    elif before.is_float:
        name = "fptosi" if signed else "fptoui"
    elif after.is_float:
        name = "sitofp" if signed else "uitofp"
    elif before.kind == "i1" or bytes_after > bytes_before:
        name = "sext" if signed else "zext"
    else:
        name = "trunc" if bytes_after < bytes_before else "bitcast"
    writer.line(f"{result} = {name} {writer.typed(value)} to {type_text(after)}")


def _broadcast(writer: _Writer, let: Let, result: str) -> None:
    assert let.result is not None
    (value,) = let.operands
    vector, lanes = type_text(let.result.type), let.result.type.lanes
    first = writer.fresh()
    writer.line(f"{first} = insertelement {vector} poison, {writer.typed(value)}, i64 0")
    writer.line(f"{result} = shufflevector {vector} {first}, {vector} poison, <{lanes} x i32> zeroinitializer")


def _shuffle(writer: _Writer, let: Let, result: str) -> None:
    a, b = let.operands
    lanes = let.attributes["lanes"]
    numbers = ", ".join(f"i32 {lane}" for lane in lanes)
    writer.line(f"{result} = shufflevector {writer.typed(a)}, {writer.typed(b)}, <{len(lanes)} x i32> <{numbers}>")


def _division(signed: str, unsigned: str) -> Callable[[_Writer, Let, str], None]:
    def emit(writer: _Writer, let: Let, result: str) -> None:
        a, b = let.operands
        name = unsigned if let.attributes.get("unsigned") else signed
        writer.line(f"{result} = {name} {writer.typed(a)}, {writer.of(b)}")

    return emit


def _offset(writer: _Writer, let: Let, result: str) -> None:
    pointer, index = let.operands
    element = f"i{8 * let.attributes['bytes']}"
    writer.line(f"{result} = getelementptr {element}, {writer.typed(pointer)}, {writer.typed(index)}")


def _call(writer: _Writer, let: Let, result: str) -> None:
    pointer, *arguments = let.operands
    type_ = "void" if let.result is None else type_text(let.result.type)
    prefix = f"{result} = " if result else ""
    writer.line(f"{prefix}call {type_} {writer.of(pointer)}({', '.join(map(writer.typed, arguments))})")


def _intrinsic(writer: _Writer, let: Let, result: str) -> None:
    type_ = "void" if let.result is None else type_text(let.result.type)
    writer.call(result, type_, let.attributes["name"], *map(writer.typed, let.operands))


def _prefetch(writer: _Writer, let: Let, result: str) -> None:
    pointer, index = let.operands
    address = writer.address(pointer, index, Type("i8"))
    locality = f"i32 {4 - let.attributes['level']}"
    _masked(writer, "call void @llvm.prefetch.p0", [f"ptr {address}", "i32 0", locality, "i32 1"], "void")


def _compare_exchange(writer: _Writer, let: Let, result: str) -> None:
    pointer, expected, new = let.operands
    pair = writer.fresh()
    values = f"{writer.typed(expected)}, {writer.typed(new)}"
    writer.line(f"{pair} = cmpxchg {writer.typed(pointer)}, {values} seq_cst seq_cst")
    writer.line(f"{result} = extractvalue {{ {type_text(expected.type)}, i1 }} {pair}, 0")


def _stack(writer: _Writer, let: Let, result: str) -> None:
    writer.line(f"{result} = alloca i8, i64 {let.attributes['bytes']}, align 64")


def _pause(writer: _Writer, let: Let, result: str) -> None:
    if writer.target.triple.startswith("x86_64"):
        writer.call("", "void", "llvm.x86.sse2.pause")
    else:
        writer.call("", "void", "llvm.aarch64.isb", "i32 15")  # waits longer than a hint to yield, which does nothing


_EMIT: dict[str, Callable[[_Writer, Let, str], None]] = {
    "quotient": _division("sdiv", "udiv"),
    "remainder": _division("srem", "urem"),
    "shift_right": lambda writer, let, result: writer.line(
        f"{result} = {'ashr' if let.attributes.get('signed') else 'lshr'} "
        f"{writer.typed(let.operands[0])}, {writer.of(let.operands[1])}"
    ),
    "negate": lambda writer, let, result: writer.line(f"{result} = fneg {writer.typed(let.operands[0])}"),
    "compare": _compare,
    "select": lambda writer, let, result: writer.line(
        f"{result} = select {', '.join(writer.typed(value) for value in let.operands)}"
    ),
    "convert": _convert,
    "bitcast": lambda writer, let, result: writer.line(
        f"{result} = bitcast {writer.typed(let.operands[0])} to {type_text(let.result.type)}"  # type: ignore[union-attr]
    ),
    "broadcast": _broadcast,
    "extract": lambda writer, let, result: writer.line(
        f"{result} = extractelement {writer.typed(let.operands[0])}, i64 {let.attributes['lane']}"
    ),
    "insert": lambda writer, let, result: writer.line(
        f"{result} = insertelement {writer.typed(let.operands[0])}, {writer.typed(let.operands[1])}, "
        f"i64 {let.attributes['lane']}"
    ),
    "shuffle": _shuffle,
    "load": _load,
    "store": _store,
    "gather": _gather,
    "scatter": _scatter,
    "offset": _offset,
    "address": lambda writer, let, result: writer.line(f"{result} = ptrtoint {writer.typed(let.operands[0])} to i64"),
    "prefetch": _prefetch,
    "fence": lambda writer, let, result: writer.line('fence syncscope("singlethread") seq_cst'),
    "atomic_load": lambda writer, let, result: writer.line(
        f"{result} = load atomic {type_text(let.result.type)}, {writer.typed(let.operands[0])} acquire, "  # type: ignore[union-attr]
        f"align {let.result.type.bytes}"  # type: ignore[union-attr]
    ),
    "atomic_store": lambda writer, let, result: writer.line(
        f"store atomic {writer.typed(let.operands[0])}, {writer.typed(let.operands[1])} release, "
        f"align {let.operands[0].type.bytes}"
    ),
    "atomic_add": lambda writer, let, result: writer.line(
        f"{result} = atomicrmw add {writer.typed(let.operands[0])}, {writer.typed(let.operands[1])} seq_cst"
    ),
    "compare_exchange": _compare_exchange,
    "pause": _pause,
    "call": _call,
    "intrinsic": _intrinsic,
    "stack": _stack,
}
