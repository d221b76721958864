"""Uniform random numbers by Philox-4x32-10, many counters at a time: bit for bit those of the definition."""

from __future__ import annotations

from dataclasses import dataclass

from wimmel.compiler.chain import Chain
from wimmel.compiler.kernels.elements import plan_elements
from wimmel.compiler.language import INDEX, Builder, Function, Type, Value
from wimmel.compiler.steps import KIND_OF, Buffer, Place, Step, row_major
from wimmel.compiler.targets import Target
from wimmel.graph.primitives.random import KEY_STEPS, MULTIPLIERS, ROUNDS

TASK_ELEMENTS = 1 << 13
"""What one task draws: some microseconds of work."""

INSTRUCTIONS = 20 * ROUNDS
"""For one vector of counters, about."""

WORD = 0xFFFFFFFF


@dataclass(frozen=True)
class RandomUniformSchedule:
    """Numbers of one dtype drawn from front to back, four for each counter; so many counters in the lanes."""

    dtype: str
    lanes: int

    def kernel(self, target: Target, name: str) -> Function:
        return _RandomUniform(self, target, name).write()


def plan_random_uniform(key: Place, stream: int, result: Place, target: Target, label: str = "") -> list[Step]:
    """The steps that write uniform random numbers, 0 <= u < 1.

    Parameters
    ----------
    key : Place
        Four uint32: seed (low, high) and step (low, high).
    stream : int
        Below 2**32; a run-time argument, so that all draws share a kernel.
    result : Place
        float32 or float64. Its elements are drawn in the order of its shape, wherever they lie.
    target : Target
    label : str
        For people.

    Returns
    -------
    list of Step, empty where there are no elements

    References
    ----------
    Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    if result.size == 0:
        return []
    flat = result.reshaped((result.size,))
    if flat is None or flat.strides != (1,):
        drawn = row_major(Buffer(result.dtype, result.size), result.shape)
        copied = plan_elements(Chain.identity(result.dtype), [drawn], [result], target, label)
        return [*plan_random_uniform(key, stream, drawn, target, label), *copied]
    schedule = RandomUniformSchedule(result.dtype, target.lanes("i64"))
    counters = -(-result.size // 4)
    counters_of_task = TASK_ELEMENTS // 4
    numbers = [stream, key.strides[0], counters_of_task, result.size]
    tasks = -(-counters // counters_of_task)
    operations = counters / schedule.lanes * INSTRUCTIONS
    return [Step(schedule, (key, result, *numbers), (result.buffer,), tasks, label, operations)]


class _RandomUniform:
    def __init__(self, schedule: RandomUniformSchedule, target: Target, name: str) -> None:
        self.schedule = schedule
        self.target = target
        self.builder = Builder(name)

    def write(self) -> Function:
        builder, lanes = self.builder, self.schedule.lanes
        block, begin, end, _ = builder.kernel()
        key, result, stream, step, counters_of_task, size = builder.arguments(block, "ppiiii")
        words = [builder.load(key, step * place, Type("i32")) for place in range(4)]
        wide = [builder.convert(word, "i64", signed=False) for word in words]
        keys = [
            [self.everywhere((wide[place] + turn * KEY_STEPS[place]) & WORD) for place in range(2)]
            for turn in range(ROUNDS)
        ]
        rest = [self.everywhere(word) for word in (stream, wide[2], wide[3])]
        type_ = Type(KIND_OF[self.schedule.dtype], 4 * lanes)

        def draw(counter: Value) -> Value:
            numbers = self.everywhere(counter) + builder.lane_numbers(INDEX.of(lanes))
            return self.uniform(self.philox([numbers, *rest], keys))

        def task(number: Value) -> None:
            first = number * counters_of_task
            last = builder.minimum((first + counters_of_task) * 4, size)
            whole = first + ((last - first * 4) // (4 * lanes)) * lanes
            builder.loop(first, whole, lanes, lambda counter: builder.store(draw(counter), result, counter * 4))

            def remaining() -> None:
                builder.store(draw(whole), result, whole * 4, builder.mask(last - whole * 4, type_.lanes))

            builder.when(builder.compare("lt", whole * 4, last), remaining)

        builder.loop(begin, end, 1, task)
        return builder.function()

    def everywhere(self, value: Value) -> Value:
        return self.builder.broadcast(value, self.schedule.lanes)

    def philox(self, words: list[Value], keys: list[list[Value]]) -> list[Value]:
        """The four words of each counter. They stand in lanes of 64 bits, in which their products fit; what is above
        the low 32 bits of a word is of no meaning."""
        builder = self.builder
        high = builder.constant(INDEX.of(self.schedule.lanes), 32)
        for turn in keys:
            products = [(words[2 * place] & WORD) * int(MULTIPLIERS[place]) for place in range(2)]
            upper = [builder.binary("shift_right", product, high) for product in products]
            words = [upper[1] ^ words[1] ^ turn[0], products[1], upper[0] ^ words[3] ^ turn[1], products[0]]
        return words

    def uniform(self, words: list[Value]) -> Value:
        """Numbers in the order of counters, of each counter in the order of its words."""
        builder, lanes = self.builder, self.schedule.lanes
        high = builder.constant(INDEX.of(lanes), 32)
        first, second = (
            (words[place] & WORD) | builder.binary("shift_left", words[place + 1], high) for place in (0, 2)
        )
        side_by_side = [place + pair * lanes for place in range(lanes) for pair in range(2)]
        bits = builder.let("bitcast", Type("i32", 4 * lanes), builder.shuffle(first, second, side_by_side))
        kept = 24 if self.schedule.dtype == "float32" else 32  # what the significand holds, so that 1 is never reached
        if kept < 32:
            bits = builder.binary("shift_right", bits, builder.constant(bits.type, 32 - kept))
        numbers = builder.convert(bits, KIND_OF[self.schedule.dtype], signed=kept < 32)
        scaled: Value = numbers * 2.0**-kept
        return scaled
