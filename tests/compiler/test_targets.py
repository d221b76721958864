"""What this processor is, and what is asked of it instead."""

import sys

import pytest

from wimmel.compiler import targets
from wimmel.compiler.targets import KNOWN, NativeUnavailable, host, runs_here

X86_FLAGS = "fpu sse sse2 pni ssse3 sse4_1 sse4_2 popcnt"
AVX2_FLAGS = X86_FLAGS + " avx avx2 fma f16c bmi1 bmi2 abm"
AVX512_FLAGS = AVX2_FLAGS + " avx512f avx512vl avx512bw avx512dq avx512cd"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A made-up machine: the system, the processor, its flags as Linux lists them, its caches."""

    def made(platform="linux", name="x86_64", flags="", caches=(0, 0, 0)):
        monkeypatch.setattr(sys, "platform", platform)
        monkeypatch.setattr(targets, "_machine", lambda: name)
        monkeypatch.setattr(targets, "_caches", lambda: caches)
        file = tmp_path / "cpuinfo"
        file.write_text(f"processor : 0\nmodel name : some\nflags\t\t: {flags}\n\nprocessor : 1\nflags : nonsense\n")
        listed = targets._cpuinfo_flags(file)
        monkeypatch.setattr(targets, "_cpuinfo_flags", lambda path: listed)
        monkeypatch.setattr(targets, "_llvm_flags", lambda: {"sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "avx"})
        targets._runnable.cache_clear()

    monkeypatch.delenv("WIMMEL_TARGET", raising=False)
    yield made
    targets._runnable.cache_clear()


def test_this_machine_has_a_target_and_says_the_same_twice():
    assert host() == host()
    assert host() is host()
    assert runs_here(host())


@pytest.mark.skipif(sys.platform != "linux", reason="the other systems are asked by way of LLVM to begin with")
def test_what_linux_lists_is_what_llvm_finds():
    pytest.importorskip("llvmlite")
    if targets._machine() != "x86_64":
        pytest.skip("no flags to compare")
    listed, found = targets._linux_flags(), targets._llvm_flags()
    for name in ("sse4.2", "avx2", "avx512"):
        assert listed.issuperset(targets._needs(name)) == found.issuperset(targets._needs(name)), name


@pytest.mark.parametrize(
    "flags, name",
    [
        ("fpu sse sse2", "plain"),
        (X86_FLAGS, "sse4.2"),
        (X86_FLAGS + " avx", "sse4.2"),
        (AVX2_FLAGS, "avx2"),
        (AVX2_FLAGS.replace(" fma", ""), "sse4.2"),
        (AVX2_FLAGS + " avx512f avx512cd avx512er avx512pf", "avx2"),
        (AVX512_FLAGS, "avx512"),
        (AVX512_FLAGS.replace(" avx2", ""), "sse4.2"),
    ],
)
def test_a_target_needs_all_its_instruction_sets(machine, flags, name):
    machine(flags=flags)
    assert host().name == name


@pytest.mark.parametrize(
    "platform, name, triple, target",
    [
        ("linux", "x86_64", "x86_64-unknown-linux-gnu", "avx2"),
        ("linux", "aarch64", "aarch64-unknown-linux-gnu", "neon"),
        ("darwin", "arm64", "arm64-apple-macosx11.0-elf", "neon"),
        ("darwin", "x86_64", "x86_64-apple-macosx10.15-elf", "sse4.2"),
        ("win32", "amd64", "x86_64-pc-windows-msvc-elf", "sse4.2"),
        ("win32", "arm64", "aarch64-pc-windows-msvc-elf", "neon"),
    ],
)
def test_each_system_has_its_triple(machine, platform, name, triple, target):
    machine(platform, name, AVX2_FLAGS)
    assert (host().triple, host().name) == (triple, target)


@pytest.mark.parametrize("platform, name", [("linux", "riscv64"), ("freebsd14", "x86_64"), ("linux", "i686")])
def test_other_machines_are_told_what_there_is(machine, platform, name):
    machine(platform, name)
    with pytest.raises(NativeUnavailable, match="64-bit ones on x86-64 and aarch64 under Linux, macOS and Windows"):
        host()
    assert not runs_here(KNOWN["avx2"])


def test_a_32_bit_process_has_no_target(machine, monkeypatch):
    machine(flags=AVX2_FLAGS)
    monkeypatch.setattr(targets.struct, "calcsize", lambda form: 4)
    with pytest.raises(NativeUnavailable, match="for a 32-bit process on x86_64"):
        host()


def test_where_linux_lists_nothing_llvm_is_asked(machine, monkeypatch):
    machine(flags=AVX2_FLAGS)

    def no_such_file(path):
        raise OSError("no /proc here")

    monkeypatch.setattr(targets, "_cpuinfo_flags", no_such_file)
    assert host().name == "sse4.2"


def test_without_llvmlite_too_there_is_still_a_target(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    assert targets._llvm_flags() == set()


def test_the_environment_asks_for_less(machine, monkeypatch):
    machine(flags=AVX512_FLAGS)
    best = host()
    for name in ("plain", "sse4.2", "avx2", "avx512"):
        monkeypatch.setenv("WIMMEL_TARGET", name)
        assert host().name == name
        assert (host().triple, host().l1_bytes) == (best.triple, best.l1_bytes)
        assert runs_here(host())
    monkeypatch.setenv("WIMMEL_TARGET", "")
    assert host() is best


def test_an_argument_goes_before_the_environment(machine, monkeypatch):
    machine(flags=AVX2_FLAGS)
    monkeypatch.setenv("WIMMEL_TARGET", "nonsense")
    assert host("plain").name == "plain"


@pytest.mark.parametrize(
    "name, sentence",
    [
        ("avx1024", "WIMMEL_TARGET is 'avx1024', which is none of avx512, avx2, sse4.2, plain, neon; "
                    "this processor can run plain, sse4.2, avx2"),
        ("avx512", "WIMMEL_TARGET is 'avx512', which this processor cannot run; "
                   "this processor can run plain, sse4.2, avx2"),
        ("neon", "WIMMEL_TARGET is 'neon', which this processor cannot run; "
                 "this processor can run plain, sse4.2, avx2"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_refused_in_a_sentence(machine, monkeypatch, name, sentence):
    machine(flags=AVX2_FLAGS)
    monkeypatch.setenv("WIMMEL_TARGET", name)
    with pytest.raises(ValueError) as caught:
        host()
    assert str(caught.value) == sentence


def test_a_target_runs_where_its_instructions_and_its_system_are(machine):
    machine(flags=AVX2_FLAGS)
    runnable = {name for name, target in KNOWN.items() if runs_here(target)}
    assert runnable == {"plain", "sse4.2", "avx2"}
    machine("darwin", "x86_64")
    assert not any(runs_here(target) for target in KNOWN.values())


def test_caches_are_rounded_and_have_defaults(machine):
    machine(flags=AVX2_FLAGS, caches=(48 * 1024, 1280 * 1024, 35 * 2**20 + 77))
    assert (host().l1_bytes, host().l2_bytes, host().l3_bytes) == (48 * 1024, 2**20, 32 * 2**20)
    machine(flags=AVX2_FLAGS, caches=(0, 0, 0))
    known = KNOWN["avx2"]
    assert (host().l1_bytes, host().l2_bytes, host().l3_bytes) == (known.l1_bytes, known.l2_bytes, known.l3_bytes)


def test_linux_tells_its_caches(tmp_path):
    rows = [(1, "Data", "48K"), (1, "Instruction", "32K"), (2, "Unified", "2M"), (3, "Unified", "32768K")]
    for index, row in enumerate(rows):
        (tmp_path / f"index{index}").mkdir()
        for name, content in zip(("level", "type", "size"), row, strict=True):
            (tmp_path / f"index{index}" / name).write_text(f"{content}\n")
    assert targets._linux_caches(tmp_path) == (48 * 2**10, 2 * 2**20, 32 * 2**20)
    (tmp_path / "index2" / "size").write_text("unknown\n")
    assert targets._linux_caches(tmp_path) == (48 * 2**10, 0, 32 * 2**20)
    assert targets._linux_caches(tmp_path / "nothing") == (0, 0, 0)
