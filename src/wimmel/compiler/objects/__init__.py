"""From kernels to addresses: LLVM IR compiled in processes of its own, objects kept on disk, code loaded.

`kernels` gives the addresses of schedules' kernels by the shortest way: loaded already, on disk, or compiled now.
`load_functions` does so for code without a schedule.
"""

from wimmel.compiler.objects.table import assembly, kernels, load_function, load_functions
from wimmel.compiler.objects.workers import CompilationFailed, compile_modules
from wimmel.compiler.targets import NativeUnavailable

__all__ = [
    "CompilationFailed",
    "NativeUnavailable",
    "assembly",
    "compile_modules",
    "kernels",
    "load_function",
    "load_functions",
]
