"""The driver: native code that runs a table of steps, and shares the tasks of a step out over threads.

One call of `run` is one call of a program: it is a function of the interpreter's, and gives up its lock meanwhile. The
threads that help share one piece of memory, the pool, and a fork and join of a step goes like this:

1. The caller writes down the step (kernel, arguments, number of tasks), then adds to the *ticket*: its upper half says
   how many steps there have been, its lower half how many tasks of this one nobody has taken yet.
2. Whoever sees a ticket with tasks left takes some by compare-and-exchange of the whole ticket. That fails if anything
   happened since it was read; so a thread that comes late, however late, cannot take part in a step that is over, and
   what it reads of the step after it took tasks is the step those tasks are of.
3. Each counts the tasks it did into *finished*. The caller, who takes tasks like all others, waits for that count and
   not for threads: one that sleeps, or was put aside by the system, keeps nobody waiting.

The share taken shrinks with what is left (Polychronopoulos and Kuck, "Guided Self-Scheduling", 1987), half of an equal
part each time. Waiting threads look at the ticket over and over for a short time, measured by the processor's clock,
then sleep. Who is awake wakes the two after it, as in a heap, so that many wake as fast as few. Waking costs the waker
some microseconds and takes tens of them, so a call does so only if it took longer last time, or follows the last one at
once, as in a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

from wimmel.compiler.language import BOOLEAN, INDEX, POINTER, Builder, Function, Number, Type, Value
from wimmel.compiler.targets import Target
from wimmel.runtime.native.systems import NOTHING, system_of

LINE = 16
"""Words between what different threads write: two cache lines, for processors fetch them in pairs."""
MOST_TASKS = 2**31 - 1
GENERATION = 1 << 32
LEFT = GENERATION - 1
CALLER_SLEEPS = 1 << 31
"""Added to the count of finished tasks by a caller who sleeps until it changes."""


class Pool(IntEnum):
    """Words of the memory that threads share: the step, which the caller describes; what all count up; and what stays.

    PATIENCE is how long to look on before sleeping, in ticks of the clock, and REACH the first worker not to be woken.
    SPIN is what patience is where there are processors enough; SLEEP and WAKE are the system's functions; RELEASE and
    ACQUIRE the interpreter's, of its lock; and ANSWER is what makes an object of a number.
    """

    TICKET = 0
    KERNEL = 1
    ARGUMENTS = 2
    TASKS = 3
    THREADS = 4
    PATIENCE = 5
    REACH = 6
    FINISHED = LINE
    LOCK = 2 * LINE
    STOP = 3 * LINE
    SPIN = 3 * LINE + 1
    PROCESSORS = 3 * LINE + 2
    SLEEP = 3 * LINE + 3
    WAKE = 3 * LINE + 4
    RELEASE = 3 * LINE + 5
    ACQUIRE = 3 * LINE + 6
    ANSWER = 3 * LINE + 7
    SLOTS = 4 * LINE


class Slot(IntEnum):
    """Words of one worker. THREAD is the system's name of it, FORBIDDEN the processor it was kept off when woken."""

    ASLEEP = 0
    NUMBER = 1
    POOL = 2
    THREAD = 3
    FORBIDDEN = 4


class Call(IntEnum):
    """Words of one call of a program. A row of steps is kernel, arguments, tasks; a row of bindings is where to write
    an address, of which array, how many bytes further. THREADS is how many may take part. ENDED and TOOK tell when the
    last run ended and how long it was.
    """

    POOL = 0
    STEPS = 1
    STEP_COUNT = 2
    BINDINGS = 3
    BINDING_COUNT = 4
    ARRAYS = 5
    STATUS = 6
    ENDED = 7
    TOOK = 8
    THREADS = 9


ROW = 3
ASLEEP, STOPPED = 1, 2


def functions(target: Target, array_data: int) -> dict[str, Function]:
    """The driver's functions by name.

    Parameters
    ----------
    target : Target
    array_data : int
        Where an array object holds the address of its elements, in bytes.

    Returns
    -------
    dict of str to Function
        ``run(words, *arrays)``, as `interpreter.builtin` takes it, runs a program's steps and gives its status: the
        array of a call's words, and the first of the arrays that it is bound to. ``work(slot)`` is the life of one
        worker; ``stop(pool, workers)`` ends them; ``clock()`` is the processor's.
    """
    written = (_run(target, array_data), _work(target), _stop(target), _clock(target))
    return {function.name.removeprefix("wimmel_"): function for function in written}


def _run(target: Target, array_data: int) -> Function:
    code = _Code("wimmel_run", target, POINTER, POINTER, INDEX)
    builder, (_, objects, count) = code.builder, code.parameters
    call = code.read(builder.offset(code.read(objects, 0, POINTER), array_data, "i8"), 0, POINTER)
    pool, steps, status = (code.read(call, word, POINTER) for word in (Call.POOL, Call.STEPS, Call.STATUS))
    threads = code.read(call, Call.THREADS)
    state = builder.let("call", POINTER, code.read(pool, Pool.RELEASE, POINTER))
    saved = code.floating_point()
    code.set_floating_point(None)
    _bind(code, call, objects, count, array_data)
    builder.store(builder.index(0), status, 0)
    began, lock = code.clock(), code.at(pool, Pool.LOCK)

    # more threads than processors must not spin: they would keep from running whom they wait for
    enough = builder.compare("le", threads, code.read(pool, Pool.PROCESSORS))
    patience = builder.select(enough, code.read(pool, Pool.SPIN), 0)
    in_a_loop = builder.compare("lt", began - code.read(call, Call.ENDED), patience)
    worth_waking = in_a_loop | builder.compare("gt", code.read(call, Call.TOOK), patience)

    def take_the_pool() -> Value:
        return builder.compare("eq", code.exchange(lock, 0, 1), 0)

    several = builder.compare("gt", threads, 1)
    shared = builder.when(several, take_the_pool, lambda: builder.constant(BOOLEAN, 0))[0]

    def step(number: Value) -> None:
        row = code.at(steps, number * ROW)
        kernel, arguments = code.read(row, 0, POINTER), code.read(row, 1, POINTER)
        tasks = code.read(row, 2)

        def together() -> None:
            builder.store(kernel, pool, Pool.KERNEL)
            builder.store(arguments, pool, Pool.ARGUMENTS)
            code.publish(tasks, pool, Pool.TASKS)
            code.publish(threads, pool, Pool.THREADS)
            code.publish(patience, pool, Pool.PATIENCE)
            code.publish(builder.select(worth_waking, builder.minimum(threads, tasks), 0), pool, Pool.REACH)
            _fork_and_join(code, pool, tasks, patience)

        def alone() -> None:
            builder.let("call", None, kernel, arguments, builder.index(0), tasks, builder.index(0))

        builder.when(shared & builder.compare("gt", tasks, 1), together, alone)

    builder.loop(0, code.read(call, Call.STEP_COUNT), 1, step)
    builder.when(shared, lambda: code.publish(builder.index(0), pool, Pool.LOCK))
    ended = code.clock()
    builder.store(ended, call, Call.ENDED)
    builder.store(ended - began, call, Call.TOOK)
    code.set_floating_point(saved)
    builder.let("call", None, code.read(pool, Pool.ACQUIRE, POINTER), state)
    answer = code.read(pool, Pool.ANSWER, POINTER)
    return builder.function(builder.let("call", POINTER, answer, builder.load(status, 0, INDEX)))


def _bind(code: _Code, call: Value, objects: Value, count: Value, array_data: int) -> None:
    """Writes the addresses of the caller's arrays where the kernels look for them."""
    bindings, arrays = code.read(call, Call.BINDINGS, POINTER), code.read(call, Call.ARRAYS, POINTER)

    def given(number: Value) -> None:
        code.builder.store(code.read(objects, number), code.at(arrays, number - 1), 0)

    code.builder.loop(1, count, 1, given)

    def bind(number: Value) -> None:
        row = code.at(bindings, number * ROW)
        array = code.read(arrays, code.read(row, 1), POINTER)
        elements = code.builder.load(code.builder.offset(array, array_data, "i8"), 0, INDEX)
        code.builder.store(elements + code.read(row, 2), code.read(row, 0, POINTER), 0)

    code.builder.loop(0, code.read(call, Call.BINDING_COUNT), 1, bind)


def _fork_and_join(code: _Code, pool: Value, tasks: Value, patience: Value) -> None:
    """The caller's side of the step that the pool describes: returns when all its tasks are done."""
    builder = code.builder
    finished = code.at(pool, Pool.FINISHED)
    code.publish(builder.index(0), pool, Pool.FINISHED)
    builder.let("atomic_add", INDEX, pool, tasks + GENERATION)  # the ticket: what is left of the last step is 0
    _wake_next(code, pool, builder.index(0))
    owed = tasks - _take(code, pool, builder.index(0))

    def unfinished(count: Value) -> Value:
        return builder.compare("ne", count & (CALLER_SLEEPS - 1), owed)

    deadline = code.clock() + patience

    def spin() -> tuple[Value]:
        builder.let("pause", None)
        return (unfinished(code.see(finished)) & builder.compare("lt", code.clock(), deadline),)

    def wait() -> None:
        builder.repeat(spin)
        builder.when(unfinished(code.see(finished)), lambda: _sleep_until(code, finished, pool, unfinished))

    builder.when(unfinished(code.see(finished)), wait)


def _sleep_until(code: _Code, finished: Value, pool: Value, unfinished: Callable[[Value], Value]) -> None:
    builder = code.builder
    announced = builder.let("atomic_add", INDEX, finished, builder.index(CALLER_SLEEPS)) + CALLER_SLEEPS

    def turn(seen: Value) -> tuple[Value, Value]:
        builder.when(unfinished(seen), lambda: code.sleep(pool, finished, seen))
        now = code.see(finished)
        return unfinished(now), now

    builder.repeat(turn, [announced])


def _take(code: _Code, pool: Value, number: Value) -> Value:
    """Does tasks until none is left; gives how many it did."""
    builder = code.builder

    def turn(done: Value) -> tuple[Value, Value]:
        ticket, threads = code.see(pool), code.see(code.at(pool, Pool.THREADS))
        left = ticket & LEFT
        some = builder.compare("gt", left, 0) & builder.compare("lt", number, threads)

        def attempt() -> Value:
            size = builder.maximum(left // (threads * 2), 1)
            before = builder.let("compare_exchange", INDEX, pool, ticket, ticket - size)

            def work() -> Value:
                first = code.read(pool, Pool.TASKS) - left
                kernel, arguments = code.read(pool, Pool.KERNEL, POINTER), code.read(pool, Pool.ARGUMENTS, POINTER)
                builder.let("call", None, kernel, arguments, first, first + size, number)
                return done + size

            return builder.when(builder.compare("eq", before, ticket), work, lambda: done)[0]

        return some, builder.when(some, attempt, lambda: done)[0]

    return builder.repeat(turn, [builder.index(0)])[0]


def _wake_next(code: _Code, pool: Value, number: Value) -> None:
    """Wakes the two workers after this one, if they sleep and are within reach."""
    builder = code.builder
    reach, first = code.see(code.at(pool, Pool.REACH)), number * 2 + 1

    def check(worker: Value) -> None:
        asleep = code.slot(pool, worker)

        def wake() -> None:
            def rouse() -> None:
                code.forbid(pool, asleep)
                code.wake(pool, asleep)

            builder.when(builder.compare("eq", code.exchange(asleep, ASLEEP, 0), ASLEEP), rouse)

        builder.when(builder.compare("eq", code.see(asleep), ASLEEP), wake)

    builder.loop(first, builder.minimum(first + 2, reach), 1, check)


def _work(target: Target) -> Function:
    code = _Code("wimmel_work", target, POINTER)
    builder, (slot,) = code.builder, code.parameters
    pool, number = code.read(slot, Slot.POOL, POINTER), code.read(slot, Slot.NUMBER)
    finished, stop = code.at(pool, Pool.FINISHED), code.at(pool, Pool.STOP)

    def wanted() -> Value:
        ticket, threads = code.see(pool), code.see(code.at(pool, Pool.THREADS))
        return builder.compare("gt", ticket & LEFT, 0) & builder.compare("lt", number, threads)

    def until() -> Value:
        return code.clock() + code.see(code.at(pool, Pool.PATIENCE))

    def take_part() -> Value:
        _wake_next(code, pool, number)
        done = _take(code, pool, number)

        def report() -> None:
            before = builder.let("atomic_add", INDEX, finished, done)
            builder.when(builder.compare("ge", before, CALLER_SLEEPS), lambda: code.wake(pool, finished))

        builder.when(builder.compare("gt", done, 0), report)
        return until()

    def rest() -> Value:
        builder.let("atomic_add", INDEX, slot, builder.index(ASLEEP))
        # it may have been wanted before it was known to sleep
        builder.when(wanted(), lambda: (), lambda: code.sleep(pool, slot, builder.index(ASLEEP)))
        code.exchange(slot, ASLEEP, 0)
        code.allow(pool, slot)
        code.set_floating_point(None)
        return until()

    def wait(deadline: Value) -> Value:
        def spin() -> Value:
            builder.let("pause", None)
            return deadline

        return builder.when(builder.compare("lt", code.clock(), deadline), spin, rest)[0]

    def turn(deadline: Value) -> tuple[Value, Value]:
        later = builder.when(wanted(), take_part, lambda: wait(deadline))[0]
        return builder.compare("eq", code.see(stop), 0), later

    code.set_floating_point(None)
    code.publish(code.thread(pool), slot, Slot.THREAD)
    builder.repeat(turn, [until()])
    return builder.function(builder.index(0))


def _stop(target: Target) -> Function:
    code = _Code("wimmel_stop", target, POINTER, INDEX)
    builder, (pool, workers) = code.builder, code.parameters
    builder.let("atomic_add", INDEX, code.at(pool, Pool.STOP), builder.index(1))

    def rouse(worker: Value) -> None:
        asleep = code.slot(pool, worker)
        builder.let("atomic_add", INDEX, asleep, builder.index(STOPPED))  # who goes to sleep now finds it changed
        code.wake(pool, asleep)

    builder.loop(1, workers + 1, 1, rouse)
    return builder.function()


def _clock(target: Target) -> Function:
    code = _Code("wimmel_clock", target)
    return code.builder.function(code.clock())


class _Code:
    """A builder, with words for what the driver does all the time."""

    def __init__(self, name: str, target: Target, *parameters: Type) -> None:
        self.builder = Builder(name)
        self.parameters = [self.builder.parameter(type_) for type_ in parameters]
        self.target = target
        self.system = system_of(target.triple)
        self.is_x86 = target.triple.startswith("x86_64")
        self.scratch = self.builder.let("stack", POINTER, bytes=128)

    def at(self, base: Value, word: Number) -> Value:
        return self.builder.offset(base, word, "i64")

    def slot(self, pool: Value, worker: Value) -> Value:
        return self.at(pool, worker * LINE + Pool.SLOTS)

    def read(self, base: Value, word: Number, type_: Type = INDEX) -> Value:
        """What no other thread changes meanwhile."""
        return self.builder.load(base, word, type_)

    def see(self, address: Value) -> Value:
        return self.builder.let("atomic_load", INDEX, address)

    def publish(self, value: Value, base: Value, word: int) -> None:
        self.builder.let("atomic_store", None, value, self.at(base, word))

    def exchange(self, address: Value, expected: int, new: int) -> Value:
        index = self.builder.index
        return self.builder.let("compare_exchange", INDEX, address, index(expected), index(new))

    def clock(self) -> Value:
        return self.builder.let("intrinsic", INDEX, name="llvm.readcyclecounter")

    def sleep(self, pool: Value, address: Value, value: Value) -> None:
        function = self.read(pool, Pool.SLEEP, POINTER)
        self.system.sleep(self.builder, self.target, function, address, value, self.scratch)

    def wake(self, pool: Value, address: Value) -> None:
        function = self.read(pool, Pool.WAKE, POINTER)
        self.system.wake(self.builder, self.target, function, address)

    def thread(self, pool: Value) -> Value:
        return self.system.thread(self.builder, self.target, self.read(pool, Pool.SLEEP, POINTER))

    def forbid(self, pool: Value, slot: Value) -> None:
        """Keeps a worker that is to wake off this processor, until it has woken."""
        function, thread = self.read(pool, Pool.SLEEP, POINTER), self.see(self.at(slot, Slot.THREAD))
        forbidden = self.system.forbid(self.builder, self.target, function, thread, self.scratch)
        self.publish(forbidden, slot, Slot.FORBIDDEN)

    def allow(self, pool: Value, slot: Value) -> None:
        """Lets this worker go everywhere again."""
        function, forbidden = self.read(pool, Pool.SLEEP, POINTER), self.see(self.at(slot, Slot.FORBIDDEN))

        def allow() -> None:
            self.system.allow(self.builder, self.target, function, forbidden, self.scratch)
            self.publish(self.builder.index(NOTHING), slot, Slot.FORBIDDEN)

        self.builder.when(self.builder.compare("ne", forbidden, NOTHING), allow)

    def floating_point(self) -> Value:
        """The control word: how numbers are rounded, and whether small ones count as zero."""
        if not self.is_x86:
            return self.builder.let("intrinsic", INDEX, name="llvm.aarch64.get.fpcr")
        self.builder.let("intrinsic", None, self.scratch, name="llvm.x86.sse.stmxcsr")
        return self.builder.load(self.scratch, 0, Type("i32"))

    def set_floating_point(self, word: Value | None) -> None:
        """Sets the control word; None: to nearest, small numbers as they are, no traps."""
        if not self.is_x86:
            self.builder.let("intrinsic", None, word or self.builder.index(0), name="llvm.aarch64.set.fpcr")
            return
        self.builder.store(word or self.builder.constant(Type("i32"), 0x1F80), self.scratch, 0)
        self.builder.let("intrinsic", None, self.scratch, name="llvm.x86.sse.ldmxcsr")
