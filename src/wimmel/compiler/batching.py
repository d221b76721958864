"""Batches a few pictures at a time: where neighbouring regions hand a batch from one to the next, they run for so many
pictures as the caches hold, again and again, so that what one has written is still at hand when the next reads it.

A `Stretch` is such a sequence of regions with the number of pictures; `Shrunk` has its regions for that many.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from wimmel.compiler.costs import typical
from wimmel.compiler.layouts import POOLING, pictures
from wimmel.compiler.regions import VIEWS, Region, base
from wimmel.compiler.targets import Target
from wimmel.graph.tensor import Tensor

BY_PICTURE = frozenset(("convolution", "convolution_input_gradient", "concatenate", "pad")) | POOLING
"""Anchors of whose result each picture follows from one picture of what they read."""

SWITCH = 2e-5
"""Seconds that another number of pictures must save."""


@dataclass(frozen=True)
class Stretch:
    """Regions that follow each other.

    Attributes
    ----------
    regions : tuple of Region
    pictures : int
        How many pictures they run for at a time; 0: for all there is, picture or not.
    """

    regions: tuple[Region, ...]
    pictures: int = 0

    @property
    def batch(self) -> int:
        """How many pictures there are, if they take turns."""
        return self.regions[0].shape[0]

    @property
    def firsts(self) -> tuple[int, ...]:
        """The first picture of each turn. The last turn ends with the batch, and may repeat what the one before did."""
        return (*range(0, self.batch - self.pictures, self.pictures), self.batch - self.pictures)


def stretches(
    regions: Sequence[Region],
    prepared: set[Tensor],
    handed_out: set[Tensor],
    layouts: Container[Tensor],
    enlarged: Callable[[Tensor], float],
    target: Target,
) -> list[Stretch]:
    """The regions in their order, cut where another number of pictures at a time is better.

    Parameters
    ----------
    regions : sequence of Region
    prepared, handed_out : set of Tensor
        What is computed once for many calls, and what the graph gives.
    layouts : container of Tensor
        The values that are stored channels last; others are copied for whoever reads pictures.
    enlarged : callable
        How many times larger an anchor's weights are in the form that its kernel reads.
    target : Target
        Its caches decide, alone: not the number of threads.
    """
    batch = _batch(regions)
    if batch < 2:
        return [Stretch(tuple(regions))] if regions else []
    found: list[Stretch] = []
    for run, is_batch in _runs(regions, batch, prepared):
        if not is_batch:
            found.append(Stretch(tuple(run)))
            continue
        needed = read_by(set(regions) - set(run))
        works = _works(run, batch, needed, handed_out, layouts, enlarged)
        start = 0
        for end, at_once in _cuts(works, batch, target):
            found.append(Stretch(tuple(run[start:end]), at_once if at_once < batch else 0))
            start = end
    return found


def _batch(regions: Sequence[Region]) -> int:
    """How many pictures most anchors read; 0 if none reads pictures."""
    read = (pictures(region.anchor) for region in regions if region.anchor is not None)
    sizes = Counter(first.shape[0] for first, *_ in filter(None, read))
    return max(sizes, key=lambda size: (sizes[size], size), default=0)


def _runs(regions: Sequence[Region], batch: int, prepared: set[Tensor]) -> Iterator[tuple[list[Region], bool]]:
    """Neighbouring regions that all go picture by picture, or all do not, and which it is. Of those that do, none reads
    in whole what another computes or reads by pictures."""
    run: list[Region] = []
    before = False
    whole: set[Tensor] = set()
    sliced: set[Tensor] = set()
    for region in regions:
        found = None if prepared.issuperset(region.results) else _reading(region, batch)
        goes = found is not None
        if found is not None:
            now_whole, now_sliced = whole | found[1], sliced | found[0] | set(region.results)
            goes_on = before and not now_whole & now_sliced
        else:
            goes_on = not before
        if run and not goes_on:
            yield run, before
            run, whole, sliced = [], set(), set()
        if found is not None:
            sliced |= found[0] | set(region.results)
            whole |= found[1]
        run.append(region)
        before = goes
    if run:
        yield run, before


def _reading(region: Region, batch: int) -> tuple[set[Tensor], set[Tensor]] | None:
    """What the region reads picture by picture, and what in whole; None if it does not go picture by picture."""
    anchor, rank = region.anchor, len(region.shape)
    if rank < 2 or any(result.shape[:1] != (batch,) for result in region.results):
        return None
    sources: list[Tensor] = list(region.operands)
    weights: tuple[Tensor, ...] = ()
    if anchor is not None:
        if anchor.primitive.name not in BY_PICTURE or _joins_pictures(anchor):
            return None
        read = _read(anchor)
        sources += read
        weights = anchor.inputs[len(read) :]
    sliced: set[Tensor] = set()
    whole = {base(weight) for weight in weights}
    for source in sources:
        if source.ndim < rank or source.shape[0] == 1:
            whole.add(base(source))
            continue
        origin = _origin(source, batch)
        if origin is None:
            return None
        tensor, repeats = origin
        (whole if repeats else sliced).add(tensor)
    return (sliced, whole) if sliced else None


def _joins_pictures(anchor: Tensor) -> bool:
    """Whether it puts something before, between or behind the pictures."""
    attributes = anchor.attributes
    if anchor.primitive.name == "pad":
        return any(attributes[where][0] != 0 for where in ("low", "high", "interior"))
    return anchor.primitive.name == "concatenate" and attributes["axis"] == 0


def _read(anchor: Tensor) -> tuple[Tensor, ...]:
    """The anchor's inputs that have its pictures."""
    return anchor.inputs if anchor.primitive.name in ("concatenate", "pad") else pictures(anchor)


def _origin(tensor: Tensor, batch: int) -> tuple[Tensor, bool] | None:
    """What the tensor is a view of, and whether it is the same for every picture; if not, each picture is a view of one
    picture. None where it is neither."""
    while tensor.shape[:1] == (batch,):
        if tensor.primitive.name not in VIEWS:
            return tensor, False
        attributes, (source,) = tensor.attributes, tensor.inputs
        match tensor.primitive.name:
            case "broadcast" if _repeats(tensor):
                return base(source), True
            case "transpose" if attributes["axes"][0] != 0:
                return None
            case "slice" if attributes["start"][0] != 0 or attributes["step"][0] != 1:
                return None
            case "flip" if 0 in attributes["axes"]:
                return None
        tensor = source
    return None


def read_by(regions: Iterable[Region]) -> set[Tensor]:
    """What is read by any of them."""
    read: set[Tensor] = set()
    for region in regions:
        read.update(map(base, (*region.operands, *(() if region.anchor is None else region.anchor.inputs))))
    return read


@dataclass(frozen=True)
class _Work:
    """What a region of a run moves, in bytes: its weights; the pictures that it reads from another region of the run or
    from a copy of what was given, and those that it computes for these alone; and all its pictures."""

    weights: float
    read: float
    written: float
    moved: float


def _works(
    run: Sequence[Region],
    batch: int,
    needed: set[Tensor],
    handed_out: set[Tensor],
    layouts: Container[Tensor],
    enlarged: Callable[[Tensor], float],
) -> list[_Work]:
    """What the regions of a run move. What is needed outside is written to memory in any case."""
    computed = {result for region in run for result in region.results}
    works = []
    for region in run:
        reading = _reading(region, batch)
        assert reading is not None
        sliced, whole = reading
        results, anchor = set(region.results), region.anchor
        given = set() if anchor is None else {each for each in map(base, pictures(anchor)) if each not in layouts}
        given_back = {each for each in results & handed_out if each in layouts}
        copied = _bytes(given) + _bytes(given_back - needed)
        works.append(
            _Work(
                weights=_bytes(whole) * (1 if anchor is None else enlarged(anchor)),
                read=_bytes((sliced & computed) - given) + copied,
                written=_bytes(results - needed - handed_out) + copied,
                moved=(_bytes(sliced) + _bytes(results)) / batch,
            )
        )
    return works


def _bytes(tensors: set[Tensor]) -> int:
    return sum(tensor.size * tensor.dtype.itemsize for tensor in tensors)


def _cuts(works: Sequence[_Work], batch: int, target: Target) -> list[tuple[int, int]]:
    """Where stretches end, and how many pictures each takes at once, so that all take the least time: the shortest way
    through the regions, with a number of pictures chosen for each."""
    choices = [batch]
    while choices[-1] > 1:
        choices.append(-(-choices[-1] // 2))
    all_weights = sum(work.weights for work in works)
    rates = typical(target)

    def seconds(read: float, written: float, held: float) -> float:
        """For so many bytes where so many are in use; what the second-level cache holds costs nothing."""
        if held <= target.l2_bytes / 2:
            return 0.0
        level = 2 if held <= target.l3_bytes / 2 else 3
        return read * rates.reading[level] + written * rates.writing[level]

    def alone(work: _Work, at_once: int) -> float:
        turns, moved = -(-batch // at_once), at_once * work.moved
        for_pictures = seconds(work.read, work.written, moved)
        for_weights = seconds(work.weights, 0, all_weights + moved)
        return for_pictures + turns * (for_weights + rates.step)

    best = {at_once: (alone(works[0], at_once), [(0, at_once)]) for at_once in choices}
    for number, work in enumerate(works[1:], 1):
        handed = seconds(work.read, work.read, work.read) + SWITCH
        cheapest = min(best.values(), key=lambda way: way[0])
        following = {}
        for at_once in choices:
            time, way = best[at_once]
            if cheapest[0] + handed < time:
                time, way = cheapest[0] + handed, [*cheapest[1], (number, at_once)]
            following[at_once] = (time + alone(work, at_once), way)
        best = following
    _, way = min(best.values(), key=lambda way: way[0])
    ends = [begin for begin, _ in way[1:]] + [len(works)]
    return [(end, at_once) for end, (_, at_once) in zip(ends, way, strict=True)]


class Shrunk:
    """A stretch for its first turn: regions and tensors that have so many pictures.

    Attributes
    ----------
    regions : list of Region
    computed : dict of Tensor to Tensor
        For each of these tensors that is no view of another, the one it has the first pictures of.
    """

    def __init__(self, stretch: Stretch) -> None:
        self.batch, self.pictures = stretch.batch, stretch.pictures
        self.computed: dict[Tensor, Tensor] = {}
        self._shrunk: dict[Tensor, Tensor] = {}
        self.regions = [self._region(region) for region in stretch.regions]

    def has(self, tensor: Tensor, computed: set[Tensor]) -> bool:
        """Whether the tensor's pictures are views of the pictures of one of these."""
        origin = _origin(tensor, self.batch)
        return origin is not None and not origin[1] and origin[0] in computed

    def _region(self, region: Region) -> Region:
        anchor, rank = region.anchor, len(region.shape)
        if anchor is not None:
            read = _read(anchor)
            inputs = (*(self.tensor(each) for each in read), *anchor.inputs[len(read) :])
            small = self._with_pictures(anchor, inputs)
            if anchor in set(region.results):
                self.computed[small] = anchor
            anchor = small
        operands = tuple(
            self.tensor(each) if each.ndim == rank and each.shape[0] == self.batch else each for each in region.operands
        )
        results = tuple(map(self.tensor, region.results))
        shape = (self.pictures, *region.shape[1:])
        pool = None if region.pool is None else results[0]
        return replace(region, anchor=anchor, operands=operands, results=results, shape=shape, pool=pool)

    def tensor(self, tensor: Tensor) -> Tensor:
        """The tensor's first pictures."""
        found = self._shrunk.get(tensor)
        if found is not None:
            return found
        if tensor.primitive.name in VIEWS:
            return self._with_pictures(tensor, tensor.inputs if _repeats(tensor) else (self.tensor(tensor.inputs[0]),))
        found = self._with_pictures(tensor, tensor.inputs)
        self.computed[found] = tensor
        return found

    def _with_pictures(self, tensor: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        shape, attributes = (self.pictures, *tensor.shape[1:]), tensor.attributes
        if "shape" in attributes:
            attributes = {**attributes, "shape": shape}
        small = Tensor(tensor.primitive, inputs, attributes, shape, tensor.dtype)
        small.scope = tensor.scope
        self._shrunk[tensor] = small
        return small


def _repeats(tensor: Tensor) -> bool:
    """Whether it is the same for every picture."""
    source = tensor.inputs[0] if tensor.primitive.name == "broadcast" else tensor
    return source.ndim < tensor.ndim or source.shape[:1] != tensor.shape[:1]
