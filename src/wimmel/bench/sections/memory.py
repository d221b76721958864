"""The most memory that a process holds which answers with ResNet-50, trains ResNet-20 for some steps, or searches a
picture larger than that."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from wimmel.bench.networks import Network
from wimmel.bench.peers import programs
from wimmel.bench.section import OURS, Case, Contender, Ready, Section


def contender(library: str, needs: tuple[str, ...] = ()) -> Contender:
    def prepare(case: tuple[str, Network | int], threads: int) -> Ready | None:
        what, size = case
        if sys.platform == "win32":
            return None
        kept = tempfile.TemporaryDirectory()
        if isinstance(size, int):
            program = programs.sweeping(library, size, Path(kept.name))
        elif what == "training":
            program = programs.training(library, size, threads)
        else:
            program = programs.starting(library, size, threads, Path(kept.name))
        if program is None:
            return None
        programs.run(program, Path(kept.name))  # compiles what later processes find

        def task() -> list[float]:
            return [float(programs.run(program + programs.PEAK, Path(kept.name))[1])]

        return Ready(task, measures=True)

    return Contender(library, prepare, needs)


SECTION = Section(
    "memory",
    "Most memory held",
    (
        Case("ResNet-50, 1 picture", "inference", ("inference", Network("resnet50", 1))),
        Case("ResNet-50, 16 pictures", "inference", ("inference", Network("resnet50", 16))),
        Case("ResNet-20, training, batch 128", "training", ("training", Network("resnet20", 128))),
        Case("10,000 x 10,000 pixels searched", "search", ("searching", 10_000)),
    ),
    (
        contender(OURS),
        contender("torch", ("torch",)),
        contender("onnxruntime", ("onnxruntime", "onnx")),
    ),
    unit="bytes",
    seconds=0,
    least=1,
    most_rounds=3,
)
