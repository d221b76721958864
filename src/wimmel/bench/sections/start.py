"""How soon the first answer comes: whole processes, from starting Python to the answer.

A first process finds an empty folder of compiled kernels, later ones what the first left there. Inputs of another
size are timed in a running process.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from wimmel.bench.networks import Network
from wimmel.bench.peers import programs
from wimmel.bench.section import OURS, Case, Contender, Ready, Section


def contender(library: str, needs: tuple[str, ...] = ()) -> Contender:
    def prepare(case: Start, threads: int) -> Ready | None:
        kept = tempfile.TemporaryDirectory()
        program = _program(library, case, threads, Path(kept.name))
        if program is None:
            return None

        def task() -> list[float]:
            with tempfile.TemporaryDirectory() as fresh:
                kernels = Path(fresh) / "kernels" if case.is_first else None
                seconds, printed = programs.run(program, Path(kept.name), kernels)
            return [float(printed) if case.again else seconds]

        task()  # writes Python's bytecode, which an installed package has
        programs.run(program, Path(kept.name))
        return Ready(task, measures=True)

    return Contender(library, prepare, needs)


@dataclass(frozen=True)
class Start:
    """A program: ``import``, ``convolution``, or a network.

    Attributes
    ----------
    is_first : bool
        Whether it finds no compiled kernels.
    again : tuple of int
        The shape of a second input; what counts then is only the time until that is answered.
    """

    what: str | Network
    is_first: bool = False
    again: tuple[int, ...] = ()


def _program(library: str, case: Start, threads: int, folder: Path) -> str | None:
    if case.what == "import":
        return programs.importing(library)
    if isinstance(case.what, str):
        return programs.convolving(library)
    return programs.starting(library, case.what, threads, folder, case.again or None)


LENET, RESNET50 = Network("lenet", 1), Network("resnet50", 1)
PROGRAMS: dict[str, str | Network] = {"one convolution": "convolution", "LeNet": LENET, "ResNet-50": RESNET50}

SECTION = Section(
    "start",
    "How soon the first answer comes",
    (
        Case("import", "import", Start("import")),
        *(Case(f"{name}, first process", "first process", Start(what, True)) for name, what in PROGRAMS.items()),
        *(Case(f"{name}, later processes", "later processes", Start(what)) for name, what in PROGRAMS.items()),
        Case("LeNet, first batch of 5", "another size", Start(LENET, again=(5, 1, 28, 28))),
        Case("ResNet-50, first batch of 5", "another size", Start(RESNET50, again=(5, 3, 224, 224))),
        Case("ResNet-50, first picture of 192x256", "another size", Start(RESNET50, again=(1, 3, 192, 256))),
    ),
    (
        contender(OURS),
        contender("torch", ("torch",)),
        contender("onnxruntime", ("onnxruntime", "onnx")),
        contender("jax", ("jax",)),
    ),
    is_threaded=False,
    seconds=0,
    least=1,
    most_rounds=5,
)
