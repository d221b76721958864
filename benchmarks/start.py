"""How soon the first answer comes: whole processes, from starting Python to the answer, with an empty folder of
compiled kernels (cold) and with the one that the run before left (warm); and new batch and picture sizes in a running
process.

    python benchmarks/start.py [--rounds 3] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LENET = """
import numpy as np, wimmel as wm
net = wm.models.lenet(10).initialize(0)
net(np.zeros((1, 1, 28, 28), np.float32))
"""
CONVOLUTION = """
import numpy as np, wimmel as wm
wm.conv2d(np.zeros((1, 16, 32, 32), np.float32), np.zeros((32, 16, 3, 3), np.float32), padding=1)
"""
RESNET50 = """
import numpy as np, wimmel as wm
net = wm.models.resnet50(seed=0)
net(np.zeros((1, 3, 224, 224), np.float32))
"""
AGAIN = """
import time
from wimmel.compiler.objects import table
def refused(*_, **__):
    raise SystemExit("something was compiled")
table.compile_modules = refused
def answered(*shape):
    x = np.zeros(shape, np.float32)
    start = time.perf_counter()
    net(x)
    return time.perf_counter() - start
print(answered(5, *SHAPE))
print(answered(2, *LARGER))
"""
PROGRAMS = {"numpy alone": "import numpy", "LeNet": LENET, "lone convolution": CONVOLUTION, "ResNet-50": RESNET50}
BYTECODE = str(Path(tempfile.gettempdir()) / "wimmel-benchmark-bytecode")
AGAINST = {
    "LeNet": LENET + AGAIN.replace("SHAPE", "(1, 28, 28)").replace("*LARGER", "1, 28, 28"),
    "ResNet-50": RESNET50 + AGAIN.replace("SHAPE", "(3, 224, 224)").replace("LARGER", "(3, 192, 256)"),
    "convolution and pooling": """
import numpy as np, wimmel as wm
net = wm.nn.Sequential(wm.nn.Conv2d(3, 16, 3, padding=1), wm.nn.ReLU(), wm.nn.MaxPool2d(2)).initialize(0)
net(np.zeros((1, 3, 64, 64), np.float32))
"""
    + AGAIN.replace("SHAPE", "(3, 64, 64)").replace("LARGER", "(3, 100, 37)"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        _run(RESNET50, folder)  # writes Python's bytecode, which an installed package has
    for _ in range(options.rounds):
        for name, program in PROGRAMS.items():
            with tempfile.TemporaryDirectory() as folder:
                for state in ("cold", "warm"):
                    seconds.setdefault(f"{name}, {state}", []).append(_process_time(program, folder))
        for name, program in AGAINST.items():
            with tempfile.TemporaryDirectory() as folder:
                batch, size = map(float, _run(program, folder).split())
                seconds.setdefault(f"{name}, new batch size", []).append(batch)
                seconds.setdefault(f"{name}, new picture size", []).append(size)
    table = {name: {"best": min(times), "median": statistics.median(times)} for name, times in seconds.items()}
    if options.json:
        print(json.dumps(table, indent=1))
        return
    for name, row in table.items():
        print(f"{name:<42}{1e3 * row['best']:>10.1f} ms{1e3 * row['median']:>10.1f} ms")


def _process_time(program: str, folder: str) -> float:
    start = time.perf_counter()
    _run(program, folder)
    return time.perf_counter() - start


def _run(program: str, folder: str) -> str:
    environment = {**os.environ, "WIMMEL_CACHE_DIR": str(Path(folder) / "kernels"), "PYTHONPYCACHEPREFIX": BYTECODE}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    here = Path(__file__).parent
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=here, capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise SystemExit(result.stderr or result.stdout)
    return result.stdout


if __name__ == "__main__":
    main()
