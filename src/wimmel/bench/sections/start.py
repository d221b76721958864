"""How soon the first answer comes: whole processes, from starting Python to the answer.

A first process finds an empty folder of compiled kernels, later ones what the first left there. A batch of another size
is timed in a running process.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from wimmel.bench.networks import Network
from wimmel.bench.peers import programs
from wimmel.bench.section import OURS, Case, Contender, Ready, Section


def contender(library: str, needs: tuple[str, ...] = ()) -> Contender:
    def prepare(case: tuple[str, Network | None], threads: int) -> Ready | None:
        what, network = case
        kept = tempfile.TemporaryDirectory()
        program = programs.starting(library, network, threads, Path(kept.name), larger=what == "larger")
        if program is None:
            return None

        def run(folder: str) -> list[float]:
            seconds, printed = programs.run(program, Path(folder))
            return [float(printed) if what == "larger" else seconds]

        def task() -> list[float]:
            if what != "first":
                return run(kept.name)
            with tempfile.TemporaryDirectory() as fresh:
                return run(fresh)

        run(kept.name)  # writes Python's bytecode, which an installed package has
        return Ready(task, measures=True)

    return Contender(library, prepare, needs)


LENET, RESNET50 = Network("lenet", 1), Network("resnet50", 1)

SECTION = Section(
    "start",
    "How soon the first answer comes",
    (
        Case("import", "import", ("import", None)),
        Case("LeNet, first process", "first process", ("first", LENET)),
        Case("LeNet, later processes", "later processes", ("again", LENET)),
        Case("ResNet-50, first process", "first process", ("first", RESNET50)),
        Case("ResNet-50, later processes", "later processes", ("again", RESNET50)),
        Case("LeNet, first batch of another size", "another size", ("larger", LENET)),
        Case("ResNet-50, first batch of another size", "another size", ("larger", RESNET50)),
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
