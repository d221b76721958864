"""What figures were measured on and with: processor, target of the compiler, versions, the day."""

from __future__ import annotations

import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = {
    "numpy": "numpy", "llvmlite": "llvmlite", "torch": "torch", "onnxruntime": "onnxruntime", "onnx": "onnx",
    "jax": "jax", "cv2": "opencv-python-headless", "scipy": "scipy",
}  # fmt: skip
"""Modules that take part in benchmarks, and what pip calls them."""


def description() -> dict[str, Any]:
    """The machine and the software, as it is kept with figures."""
    return {
        "date": date.today().isoformat(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "target": _target(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in ("wimmel", *PACKAGES.values()) if (found := _version(name)) is not None},
    }


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def available_memory() -> float:
    """Bytes that could be had now, without limit where the system does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024.0 * int(line.split()[1])
    except OSError:
        pass
    return float("inf")


def _target() -> str:
    from wimmel.compiler.targets import NativeUnavailable, host

    try:
        return host().name
    except NativeUnavailable:
        return "none: the reference runs"


def _version(name: str) -> str | None:
    alternatives = {"opencv-python-headless": ("opencv-python", "opencv-contrib-python")}
    for candidate in (name, *alternatives.get(name, ())):
        try:
            return version(candidate)
        except PackageNotFoundError:
            continue
    return None
