"""exp, log, log1p, tanh, erf and power are within a unit or two in the last place of the exact results, everywhere."""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache

import numpy as np
import pytest
from scipy import special

from compiler.machine import at, run_steps
from wimmel.compiler import llvm
from wimmel.compiler.language import Builder, Function, Type, Value
from wimmel.compiler.mathematics import FUNCTIONS
from wimmel.compiler.steps import KIND_OF, Buffer, Step, row_major
from wimmel.compiler.targets import KNOWN, Target

LIMIT = {"float32": 2.0, "float64": 2.0 if np.finfo(np.longdouble).nmant > 52 else 3.0}
"""Where no format is wider than doubles, the oracle errs too."""
INF, NAN = np.inf, np.nan
UNARY = ("exp", "log", "log1p", "tanh", "erf")
DTYPES = ("float32", "float64")
BITS = {"float32": np.uint32, "float64": np.uint64}
WIDER = {"float32": np.float64, "float64": np.longdouble}
SEAMS = (0.55, 1.0, 0.5**0.5, 2**0.5, 2**0.5 - 1, 2**0.5 / 2 - 1, 4.0, 6.0, np.log(2) / 2)
"""Where one piece of a function meets the next."""

each_target = pytest.mark.parametrize("name", ["avx512", "avx2", "sse4.2", "plain"])
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


@dataclass(frozen=True)
class Applied:
    """A function applied to arrays of whole vectors, in one task."""

    function: str
    operands: int
    kind: str
    lanes: int

    def kernel(self, target: Target, name: str) -> Function:
        builder = Builder(name)
        block, begin, end, _ = builder.kernel()
        *inputs, output, vectors = builder.arguments(block, "p" * self.operands + "pi")
        type_ = Type(self.kind, self.lanes)

        def vector(number: Value) -> None:
            values = [builder.load(pointer, number * self.lanes, type_) for pointer in inputs]
            builder.store(FUNCTIONS[self.function](builder, *values, target), output, number * self.lanes)

        builder.loop(begin, end, 1, lambda _: builder.loop(0, vectors, 1, vector))
        return builder.function()


def apply(function: str, *arrays: np.ndarray, target: Target = KNOWN["avx512"], lanes: int = 0) -> np.ndarray:
    dtype, count = arrays[0].dtype.name, arrays[0].size
    lanes = lanes or target.lanes(KIND_OF[dtype])
    whole = -(-count // lanes) * lanes
    places = [row_major(Buffer(dtype, whole), (whole,)) for _ in range(len(arrays) + 1)]
    schedule = Applied(function, len(arrays), KIND_OF[dtype], lanes)
    step = Step(schedule, (*places, whole // lanes), (places[-1].buffer,), 1)
    padded = [np.pad(array.ravel(), (0, whole - count), constant_values=0.75) for array in arrays]
    given = {place.buffer: array for place, array in zip(places, padded, strict=False)}
    return at(places[-1], run_steps([step], given, target))[:count]


def exact(function: str, *arrays: np.ndarray) -> np.ndarray:
    """In the next wider format; the error function of doubles only where SciPy need not be asked."""
    with np.errstate(all="ignore"):
        wide = [array.astype(WIDER[array.dtype.name]) for array in arrays]
        if function == "erf":
            return special.erf(wide[0]) if arrays[0].dtype == np.float32 else _exact_erf(arrays[0])
        return getattr(np, function)(*wide)


def _exact_erf(x: np.ndarray) -> np.ndarray:
    """Maclaurin's series in 70 decimal digits; for |x| from 6.2 on it is 1."""
    with localcontext(prec=70):
        return np.array([_erf(float(number)) for number in x], np.longdouble)


def _erf(x: float) -> np.longdouble:
    if not abs(x) < 6.2:
        return np.longdouble(x if np.isnan(x) else np.copysign(1.0, x))
    number = Decimal(x)
    term = total = 2 * number / _pi().sqrt()
    n = 0
    while abs(term) > Decimal(10) ** -40 * abs(number):
        n += 1
        term *= -number * number / n
        total += term / (2 * n + 1)
    return np.longdouble(str(total)) if total else np.longdouble(x)


@cache
def _pi() -> Decimal:
    """Machin's formula, in the digits of the context."""

    def arctan_of_inverse(n: int) -> Decimal:
        terms = ((-1) ** k / (Decimal(2 * k + 1) * Decimal(n) ** (2 * k + 1)) for k in range(60))
        return sum(terms, Decimal(0))

    return 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))


def errors(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """In units in the last place of the rounded wanted results; infinite for a wrong sign, infinity or NaN."""
    with np.errstate(all="ignore"):
        rounded = wanted.astype(found.dtype)
        units = np.spacing(np.abs(rounded)).astype(wanted.dtype)
        error = np.abs(found.astype(wanted.dtype) - wanted) / units
    error[~np.isfinite(rounded)] = 0
    wrong = (np.isnan(found) != np.isnan(rounded)) | (np.isinf(found) != np.isinf(rounded))
    wrong |= (np.signbit(found) != np.signbit(rounded)) & ~np.isnan(rounded)
    error[wrong] = INF
    return error


def assert_good(function: str, *arrays: np.ndarray, target: Target = KNOWN["avx512"]) -> None:
    found = apply(function, *arrays, target=target)
    error = errors(found, exact(function, *arrays))
    worst = int(np.argmax(error))
    assert error[worst] <= LIMIT[found.dtype.name], (
        function,
        *(array[worst] for array in arrays),
        found[worst],
        error[worst],
    )


def drawn(dtype: str, count: int, seed: int) -> np.ndarray:
    """A third are bits drawn at random, a third lie where the functions bend, the rest where their pieces meet."""
    random = np.random.default_rng(seed)
    share = count // 3
    bits = random.integers(0, np.iinfo(BITS[dtype]).max, share, BITS[dtype], endpoint=True).view(dtype)
    wide = np.concatenate([np.linspace(-3, 3, share // 2), np.linspace(-760, 720, share - share // 2)])
    near = random.choice(SEAMS, share) * (1 + random.normal(0, 0.02, share)) * random.choice([-1, 1], share)
    return np.concatenate([bits, wide.astype(dtype), near.astype(dtype)])


def bases_and_exponents(dtype: str, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """For powers of all sizes, and just beyond both ends."""
    random = np.random.default_rng(seed)
    range_ = np.log(float(np.finfo(dtype).max))
    bits = random.integers(0, np.iinfo(BITS[dtype]).max, count // 2, BITS[dtype], endpoint=True).view(dtype)
    near = random.uniform(0.9, 1.1, count // 4)
    x = np.concatenate([bits, near.astype(dtype), random.uniform(0, 4, count // 4).astype(dtype)])
    with np.errstate(all="ignore"):
        y = random.uniform(-1.1, 1.1, x.size) * range_ / np.log(np.abs(x).astype(np.float64))
        y = np.where(random.random(x.size) < 0.7, y, random.integers(-40, 40, x.size) / 2).astype(dtype)
    negative = np.where(random.random(x.size) < 0.3, np.rint(y), y).astype(dtype)
    return x, np.where(x < 0, negative, y).astype(dtype)


@each_target
@each_dtype
@pytest.mark.parametrize("function", UNARY)
def test_unary_functions_are_within_two_units(function: str, dtype: str, name: str) -> None:
    count = 3 * 2**18 if dtype == "float32" else 3 * 2**15
    x = drawn(dtype, 2**11 if (function, dtype) == ("erf", "float64") else count, seed=1)
    assert_good(function, x, target=KNOWN[name])


@each_target
@each_dtype
def test_power_is_within_two_units(dtype: str, name: str) -> None:
    assert_good("power", *bases_and_exponents(dtype, 2**18 if dtype == "float32" else 2**16, 2), target=KNOWN[name])


@each_target
@each_dtype
def test_subnormal_numbers_are_taken_and_given(dtype: str, name: str) -> None:
    tiny = np.finfo(dtype).tiny
    least = np.finfo(dtype).smallest_subnormal
    x = np.concatenate([np.geomspace(1, 1e6, 500) * least, np.linspace(0, 2, 1001) * tiny]).astype(dtype)
    for function in UNARY:
        assert_good(function, np.concatenate([x, -x]), target=KNOWN[name])
    low = np.linspace(np.log(float(least)) - 1 if dtype == "float32" else -746, np.log(float(tiny)) + 1, 5000)
    assert_good("exp", low.astype(dtype), target=KNOWN[name])
    assert_good("power", np.full(5000, 2, dtype), (low / np.log(2)).astype(dtype), target=KNOWN[name])
    assert_good("power", x, np.full(x.size, 0.75, dtype), target=KNOWN[name])
    assert np.count_nonzero(apply("exp", low.astype(dtype), target=KNOWN[name]) < tiny) > 1000


ENDS = {
    "exp": [(0, 1), (-0.0, 1), (INF, INF), (-INF, 0), (NAN, NAN), (1e4, INF), (-1e4, 0), (1e-30, 1)],
    "log": [(1, 0), (0, -INF), (-0.0, -INF), (-1, NAN), (-1e-40, NAN), (INF, INF), (-INF, NAN), (NAN, NAN)],
    "log1p": [(0, 0), (-0.0, -0.0), (-1, -INF), (-1.5, NAN), (INF, INF), (-INF, NAN), (NAN, NAN), (-1e-40, -1e-40)],
    "tanh": [(0, 0), (-0.0, -0.0), (INF, 1), (-INF, -1), (NAN, NAN), (50, 1), (-1e30, -1), (-1e-40, -1e-40)],
    "erf": [(0, 0), (-0.0, -0.0), (INF, 1), (-INF, -1), (NAN, NAN), (7, 1), (-1e30, -1)],
}


@each_target
@each_dtype
@pytest.mark.parametrize("function", UNARY)
def test_ends_are_exact(function: str, dtype: str, name: str) -> None:
    x, wanted = np.array(ENDS[function]).T.astype(dtype)
    found = apply(function, x, target=KNOWN[name])
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(np.signbit(found[found == found]), np.signbit(wanted[found == found]))


@each_target
@each_dtype
def test_special_powers_are_those_of_numpy(dtype: str, name: str) -> None:
    below = np.nextafter(np.ones((), dtype), 0)
    fraction = 2.0 ** np.finfo(dtype).nmant
    numbers = [0, 0.5, 1, 2, 2.5, 3, 4.5, below, 1e-40, 1e-30, 1e30, INF, NAN,
               np.finfo(dtype).max, np.finfo(dtype).tiny,
               fraction / 2 - 0.5, fraction / 2, fraction - 1, fraction, fraction + 1, 2 * fraction - 1, 2 * fraction,
               2 * fraction + 2, 2.0**80, 2.0**100, np.finfo(dtype).smallest_subnormal]  # fmt: skip
    signed = np.array([*numbers, *(-number for number in numbers)], dtype)
    x, y = (axis.ravel() for axis in np.meshgrid(signed, signed))
    assert_good("power", x, y, target=KNOWN[name])
    with np.errstate(all="ignore"):
        wanted = np.power(x, y)
    simple = ~np.isfinite(wanted) | np.isin(wanted, [0, 1, -1])
    found = apply("power", x, y, target=KNOWN[name])[simple]
    np.testing.assert_array_equal(found, wanted[simple])
    assert np.count_nonzero(simple) > 1000


@each_target
@each_dtype
def test_powers_that_are_numbers_come_out_as_those(dtype: str, name: str) -> None:
    limit = 2 ** (np.finfo(dtype).nmant + 1)
    pairs = [(n, k) for n in range(-120, 121) for k in range(40) if abs(n) ** k <= limit]
    pairs += [(n / 16, k) for n in range(1, 120) for k in range(20) if n**k <= limit]
    x, y = np.array(pairs, dtype).T
    found = apply("power", x, y, target=KNOWN[name])
    np.testing.assert_array_equal(found, np.array([float(base) ** int(k) for base, k in zip(x, y, strict=True)]))
    small = np.abs(x[np.abs(x) < 1000])
    roots = apply("power", small * small, np.full(small.size, 0.5, dtype), target=KNOWN[name])
    np.testing.assert_array_equal(roots, small)


@each_target
@each_dtype
@pytest.mark.parametrize("function", FUNCTIONS)
def test_bits_do_not_depend_on_the_number_of_lanes(function: str, dtype: str, name: str) -> None:
    x = drawn(dtype, 3 * 2**10, seed=3)
    operands = bases_and_exponents(dtype, 2**12, seed=4) if function == "power" else (x,)
    found = [apply(function, *operands, target=KNOWN[name], lanes=lanes) for lanes in (1, 3, 4, 16)]
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)
        np.testing.assert_array_equal(np.signbit(found[0][other == other]), np.signbit(other[other == other]))


@pytest.mark.parametrize("name", KNOWN)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_function_is_called_and_nothing_branches(function: str, name: str) -> None:
    import llvmlite.binding as llvmlite

    llvmlite.initialize_all_targets()
    llvmlite.initialize_all_asmprinters()
    target = KNOWN[name]
    calls = "\tbl\t" if target.triple.startswith("aarch64") else "\tcall"
    for kind in ("f32", "f64"):
        for lanes in (1, target.lanes(kind)):
            schedule = Applied(function, 2 if function == "power" else 1, kind, lanes)
            text = llvm.module([schedule.kernel(target, "kernel")], target)
            assert text.count("br i1") == 4  # of the two loops
            machine = llvmlite.Target.from_triple(target.triple).create_target_machine(opt=1, features=target.features)
            assert calls not in machine.emit_assembly(llvmlite.parse_assembly(text))


@pytest.mark.slow
@pytest.mark.parametrize("function", UNARY)
@pytest.mark.parametrize("name", ["avx512", "sse4.2"])
def test_singles_are_within_two_units_everywhere(function: str, name: str) -> None:
    stride, count = 13, 2**20
    for start in range(0, 2**32, stride * count):
        patterns = np.arange(start, min(start + stride * count, 2**32), stride, np.int64)
        assert_good(function, patterns.astype(np.uint32).view(np.float32), target=KNOWN[name])
