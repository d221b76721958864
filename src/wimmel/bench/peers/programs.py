"""Whole programs, as a person would write them, for what is measured of a process from outside: how soon it answers,
and how much memory it holds at most."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from wimmel.bench.networks import Network

PEAK = """
import resource, sys
def most_memory():
    try:  # what the kernel tells of a child's maximum counts its parent's memory in
        for line in open("/proc/self/status"):
            if line.startswith("VmHWM"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(most_memory())
"""
"""Prints the most bytes that the process held so far."""

_IMPORTS = {"wimmel": "import wimmel", "torch": "import torch", "onnxruntime": "import onnxruntime",
            "jax": "import jax"}  # fmt: skip
_NETWORKS = {
    "wimmel": """
import numpy as np, wimmel as wm
net = wm.models.{name}(seed=0)
def answer(*shape):
    net(np.zeros(shape, np.float32))
""",
    "torch": """
import sys, torch
sys.path.append({bench!r})
import twins
torch.set_num_threads({threads})
net = twins.TWINS["{name}"]().eval()
def answer(*shape):
    with torch.inference_mode():
        net(torch.zeros(shape))
""",
    "onnxruntime": """
import numpy as np, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = {threads}
session = onnxruntime.InferenceSession({model!r}, options, providers=["CPUExecutionProvider"])
def answer(*shape):
    session.run(None, {{"x": np.zeros(shape, np.float32)}})
""",
}
_BATCH = """
import numpy as np
x, y = np.zeros(({pictures}, *{shape}), np.float32), np.zeros({pictures}, np.int64)
"""
_TRAINING = {
    "wimmel": """
import wimmel as wm
from wimmel.train.step import TrainingStep
net = wm.models.{name}(seed=0)
update = TrainingStep(net, wm.optim.SGD(1e-3, momentum=0.9), wm.losses.cross_entropy)
def step():
    update(x, y, 1e-3, wm.random_key(0, 0))
""",
    "torch": """
import sys, torch
sys.path.append({bench!r})
import twins
torch.set_num_threads({threads})
net, x, y = twins.TWINS["{name}"]().train(), torch.from_numpy(x), torch.from_numpy(y)
optimizer = torch.optim.SGD(net.parameters(), 1e-3, momentum=0.9)
def step():
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(net(x), y).backward()
    optimizer.step()
""",
}
_SWEEPING = """
import numpy as np
from wimmel.detection import Detector
class Picture:
    shape = (3, {side}, {side})
    def piece(self, top, left, bottom, right):
        rows, columns = np.arange(top, bottom)[:, np.newaxis], np.arange(left, right)
        return np.stack([(rows ^ columns) % 256, (rows + columns) % 256, rows * columns % 256]).astype(np.uint8)
Detector.load({detector!r}).find(Picture())
"""
_AGAIN = """
import time
start = time.perf_counter()
answer(*{again})
print(time.perf_counter() - start)
"""
_CONVOLUTIONS = {
    "wimmel": """
import numpy as np, wimmel as wm
wm.conv2d(np.zeros((1, 16, 32, 32), np.float32), np.zeros((32, 16, 3, 3), np.float32), padding=1)
""",
    "torch": """
import torch
torch.nn.functional.conv2d(torch.zeros(1, 16, 32, 32), torch.zeros(32, 16, 3, 3), padding=1)
""",
    "jax": """
import numpy as np
from jax import lax
x, weight = np.zeros((1, 16, 32, 32), np.float32), np.zeros((32, 16, 3, 3), np.float32)
np.asarray(lax.conv_general_dilated(x, weight, (1, 1), "SAME"))
""",
}


def importing(library: str) -> str:
    """A program that does nothing but that."""
    return _IMPORTS[library]


def convolving(library: str) -> str | None:
    """A program that convolves once; None where the library has none here."""
    return _CONVOLUTIONS.get(library)


def starting(
    library: str, network: Network, threads: int, folder: Path, again: tuple[int, ...] | None = None
) -> str | None:
    """A program that answers once with a network; then, given another shape of the input, prints the seconds until it
    answers that. None where the library has no such program here.

    Files that it reads are put into the folder.
    """
    if library not in _NETWORKS:
        return None
    names = {**_names(network, threads), "model": str(folder / "network.onnx"), "again": again}
    if library == "onnxruntime":
        _write_model(network, folder / "network.onnx")
    return (_NETWORKS[library] + "answer({pictures}, *{shape})\n" + (_AGAIN if again else "")).format(**names)


def training(library: str, network: Network, threads: int) -> str | None:
    """A program that trains for three steps; None where the library has none here."""
    if library not in _TRAINING:
        return None
    text = _BATCH + _TRAINING[library] + "for _ in range(3):\n    step()\n"
    return text.format(**_names(network, threads))


def sweeping(library: str, side: int, folder: Path) -> str | None:
    """A program that searches a square picture, given in pieces, for people 26 to 61 pixels high; ours alone.

    The detector's file is put into the folder.
    """
    if library != "wimmel":
        return None
    from wimmel.detection import Detector

    path = folder / "detector.safetensors"
    picture, boxes = np.zeros((3, 90, 90), np.uint8), [[0, 0, 15, 26], [30, 20, 61, 81]]
    Detector(steps=1, rounds=0).fit([picture], [boxes]).save(path)
    return _SWEEPING.format(side=side, detector=str(path))


def run(program: str, folder: Path, kernels: Path | None = None) -> tuple[float, str]:
    """The seconds that the program takes in a Python process of its own, and the last word it prints.

    Python's bytecode is kept in the folder, and so are compiled kernels if no other place is given for them.

    Raises
    ------
    RuntimeError
        With what it complained of last.
    """
    environment = {
        **os.environ,
        "WIMMEL_CACHE_DIR": str(kernels or folder / "kernels"),
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
    }
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-P", "-c", program], env=environment, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if result.returncode:
        complaints = result.stderr.strip().splitlines() or ["nothing"]
        raise RuntimeError(f"a program ended with {result.returncode}: {complaints[-1]}")
    return seconds, (result.stdout.split() or [""])[-1]


def _names(network: Network, threads: int) -> dict[str, Any]:
    """What the texts above leave open. The twins are imported without the package that they belong to."""
    bench = str(Path(__file__).parents[1])
    return {"name": network.name, "shape": network.shape[1:], "pictures": network.pictures, "threads": threads,
            "bench": bench}  # fmt: skip


def _write_model(network: Network, path: Path) -> None:
    """A model file that takes any number of pictures, of any size where the network does."""
    from wimmel.bench.operations import of_network
    from wimmel.bench.peers.onnx_runtime import onnx_model

    channels = network.shape[1]
    sides: tuple[int | str, ...] = network.shape[2:] if network.name == "lenet" else ("rows", "columns")
    path.write_bytes(onnx_model(of_network(network.ours()), ("n", channels, *sides)))
