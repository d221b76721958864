"""What installing takes on disk: a library with everything that it needs, as pip brought it."""

from __future__ import annotations

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from wimmel.bench.section import OURS, Case, Contender, Ready, Section


def needed(name: str) -> dict[str, Distribution]:
    """The distribution and those that it needs, directly and indirectly, by name; extras are left out.

    Examples
    --------
    >>> "numpy" in needed("wimmel")
    True
    """
    found: dict[str, Distribution] = {}
    waiting = [name]
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue  # needed on other systems
        required = [each.partition(";") for each in found[name].requires or ()]
        waiting += [re.split(r"[^\w.-]", each[0])[0] for each in required if "extra" not in each[2]]
    return found


def size_of(of: Distribution) -> int:
    """Bytes of its files, without Python's bytecode."""
    paths = [Path(str(path.locate())) for path in of.files or () if path.suffix != ".pyc"]
    total = sum(path.stat().st_size for path in paths if path.is_file())
    if of.name == "wimmel" and not any(path.name == "tensor.py" for path in paths):  # installed as a link
        package = Path(__file__).parents[2]
        total += sum(path.stat().st_size for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return total


def contender(name: str, title: str = "", needs: tuple[str, ...] = ()) -> Contender:
    def prepare(case: str, threads: int) -> Ready | None:
        chosen = {name: distribution(name)} if case == "alone" else needed(name)
        total = float(sum(map(size_of, chosen.values())))
        return Ready(lambda: [total], measures=True)

    return Contender(title or name, prepare, needs)


SECTION = Section(
    "size",
    "Size installed",
    (
        Case("with all that it needs", "with all that it needs", "all"),
        Case("the package alone", "the package alone", "alone"),
    ),
    (
        contender(OURS),
        contender("torch", needs=("torch",)),
        contender("onnxruntime", needs=("onnxruntime",)),
        contender("jax", needs=("jax",)),
        contender("opencv-python-headless", "opencv", ("cv2",)),
    ),
    unit="bytes",
    is_threaded=False,
    seconds=0,
    least=1,
    most_rounds=1,
)
