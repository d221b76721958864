"""Times of what exists today: importing, the demo, a LeNet training step; with PyTorch beside it where it is installed.

    python benchmarks/spine.py [--rounds 5] [--json]

Every measurement is a process of its own, contenders alternate, and best and median are shown. The reference backend is
the oracle, not the product: it is here so that the compiler has something to be compared with.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STEP = """
import time, numpy as np
pictures = np.random.default_rng(0).integers(0, 256, (64, 1, 28, 28)).astype(np.uint8)
labels = np.arange(64) % 10
"""

WIMMEL_STEP = (
    STEP
    + """
import wimmel as wm
net = wm.models.lenet(seed=0)
x = pictures.astype(np.float32) / 255
step = wm.compile(wm.grad(lambda net, x, y: wm.cross_entropy(net(x), y)))
run = lambda: step(net, x, labels)
"""
)

TORCH_STEP = (
    STEP
    + """
import torch
net = torch.nn.Sequential(
    torch.nn.Conv2d(1, 6, 5, padding=2), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
    torch.nn.Conv2d(6, 16, 5), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Flatten(),
    torch.nn.Linear(400, 120), torch.nn.ReLU(), torch.nn.Linear(120, 84), torch.nn.ReLU(), torch.nn.Linear(84, 10))
x, y = torch.tensor(pictures).float() / 255, torch.tensor(labels)
def run():
    net.zero_grad()
    torch.nn.functional.cross_entropy(net(x), y).backward()
"""
)

TIMED = """
for _ in range(3):
    run()
times = []
for _ in range(15):
    start = time.perf_counter()
    run()
    times.append(time.perf_counter() - start)
print(min(times))
"""


def whole_process(*command: str) -> float:
    """Seconds that a command takes from start to end."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def printed(code: str) -> float:
    """The number that a Python process prints last."""
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(result.stdout.split()[-1])


def demo() -> float:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "wimmel", "demo", "-o", str(Path(folder) / "demo")]
        return whole_process(*command)


def sections() -> dict[str, dict[str, object]]:
    """What is measured: for every section its contenders, each a function that gives seconds."""
    python = sys.executable
    peers = importlib.util.find_spec("torch") is not None
    found: dict[str, dict[str, object]] = {
        "start and import": {
            "python alone": lambda: whole_process(python, "-c", "pass"),
            "import numpy": lambda: whole_process(python, "-c", "import numpy"),
            "import wimmel": lambda: whole_process(python, "-c", "import wimmel"),
        },
        "LeNet, 64 pictures, forward and backward": {"wimmel, reference backend": lambda: printed(WIMMEL_STEP + TIMED)},
        "wimmel demo, whole process": {"wimmel demo": demo},
    }
    if peers:
        found["start and import"]["import torch"] = lambda: whole_process(python, "-c", "import torch")
        found["LeNet, 64 pictures, forward and backward"]["torch, eager"] = lambda: printed(TORCH_STEP + TIMED)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="runs of every contender (the demo runs at most twice)")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    options = parser.parse_args()
    report = {}
    for title, contenders in sections().items():
        rounds = min(options.rounds, 2) if "demo" in title else options.rounds
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, measure in contenders.items():
                times[name].append(measure())  # type: ignore[operator]
        report[title] = {
            name: {"best_seconds": min(taken), "median_seconds": statistics.median(taken)}
            for name, taken in times.items()
        }
    if options.json:
        print(json.dumps({"processors": os.cpu_count(), "sections": report}, indent=2))
        return
    for title, rows in report.items():
        print(f"\n{title}")
        for name, row in rows.items():
            print(f"  {name:28} best {row['best_seconds']:8.3f} s   median {row['median_seconds']:8.3f} s")


if __name__ == "__main__":
    main()
