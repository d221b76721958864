"""What the compiler knows of a processor: vector width, registers, features, caches. Nothing else in the house says 16."""

from __future__ import annotations

from dataclasses import dataclass

from wimmel.compiler.language import KINDS


@dataclass(frozen=True)
class Target:
    """One kind of processor.

    Attributes
    ----------
    name : str
        ``avx512``, ``avx2``, ``sse4.2``, ``plain`` or ``neon``.
    triple : str
        LLVM's name of processor and system.
    features : str
        LLVM's names of the instruction sets in use.
    vector_bytes : int
        Width of a vector register.
    registers : int
        How many of those there are.
    has_fma : bool
        Whether a multiply-add rounds once; where not, ``fma`` multiplies, then adds.
    has_masks : bool
        Whether masked loads and stores are instructions; elsewhere they become branches.
    l1_bytes, l2_bytes, l3_bytes : int
        Data caches of one core (L3: of all).
    """

    name: str
    triple: str
    features: str
    vector_bytes: int
    registers: int
    has_fma: bool
    has_masks: bool
    l1_bytes: int = 32 * 2**10
    l2_bytes: int = 2**20
    l3_bytes: int = 16 * 2**20

    def lanes(self, kind: str) -> int:
        """How many numbers of a kind fill a vector register."""
        return max(1, self.vector_bytes // KINDS[kind])


X86 = "x86_64-unknown-linux-gnu"
_V2 = "+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt"
_V3 = _V2 + ",+avx,+avx2,+fma,+f16c,+bmi,+bmi2,+lzcnt"
_V4 = _V3 + ",+avx512f,+avx512vl,+avx512bw,+avx512dq,+avx512cd"
KNOWN = {
    "avx512": Target("avx512", X86, _V4, 64, 32, True, True),
    "avx2": Target("avx2", X86, _V3, 32, 16, True, True),
    "sse4.2": Target("sse4.2", X86, _V2, 16, 16, False, False),
    "plain": Target("plain", X86, "", 16, 16, False, False),
    "neon": Target("neon", "aarch64-unknown-linux-gnu", "+neon", 16, 32, True, False),
}
