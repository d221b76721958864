"""Keys of objects: equal where the code would be, different where it might not be."""

import os
import time
from dataclasses import dataclass, replace

import pytest

from compiler.objects.sample import Multiples
from wimmel.compiler.objects import identity
from wimmel.compiler.targets import KNOWN

TARGET = KNOWN["avx2"]


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A made-up compiler of two files, and a way to forget what was known of it."""
    folder = tmp_path / "compiler"
    (folder / "kernels").mkdir(parents=True)
    (folder / "llvm.py").write_text("one")
    (folder / "kernels" / "matmul.py").write_text("two")
    monkeypatch.setattr(identity, "COMPILER", folder)
    identity._makers.cache_clear()
    monkeypatch.setattr(identity, "_AT_START", identity._stamps())
    yield folder
    identity._makers.cache_clear()


def test_equal_schedules_have_equal_keys():
    assert identity.of_schedule(Multiples(3), TARGET) == identity.of_schedule(Multiples(3), TARGET)
    assert len(identity.of_schedule(Multiples(3), TARGET)) == 32


def test_whatever_could_change_the_code_changes_the_key():
    class Multiples2(Multiples):
        pass

    targets = [TARGET, KNOWN["avx512"], replace(TARGET, l1_bytes=1), replace(TARGET, triple="aarch64-apple-macosx")]
    keys = [identity.of_schedule(Multiples(3), target) for target in targets]
    keys += [identity.of_schedule(Multiples(4), TARGET), identity.of_schedule(Multiples2(3), TARGET)]
    keys += [identity.of_text("a", TARGET), identity.of_text("b", TARGET), identity.of_text("a", KNOWN["avx512"])]
    assert len(set(keys)) == len(keys)


def test_numbers_that_are_equal_but_not_the_same_have_keys_of_their_own():
    @dataclass(frozen=True)
    class Constant:
        value: float

    assert Constant(0.0) == Constant(-0.0)
    keys = {identity.of_schedule(Constant(value), TARGET) for value in (0.0, -0.0, 0, False)}
    assert len(keys) == 4
    assert len({identity.of_schedule(Constant(float("nan")), TARGET) for _ in range(2)}) == 1


def test_an_edited_compiler_has_other_keys(compiler):
    first = identity.of_text("a", TARGET)
    assert identity.of_text("a", TARGET) == first
    os.utime(compiler / "llvm.py", (1, 1))  # the content counts, not its age
    identity._makers.cache_clear()
    assert identity.of_text("a", TARGET) == first

    seen = {first}
    edits = [("llvm.py", "ONE"), ("kernels/matmul.py", "TWO"), ("kernels/new.py", ""), ("kernels/new.py", "three")]
    for name, text in edits:
        (compiler / name).write_text(text)
        identity._makers.cache_clear()
        seen.add(identity.of_text("a", TARGET))
    assert len(seen) == 5


def test_another_llvmlite_has_other_keys(compiler, tmp_path, monkeypatch):
    version, library = tmp_path / "_version.py", tmp_path / "libllvmlite.so"
    seen = set()
    for text, size in (("0.49", 100), ("0.50", 100), ("0.50", 101)):
        version.write_text(text)
        library.write_bytes(bytes(size))
        monkeypatch.setattr(identity, "_llvmlite_files", lambda: [version, library])
        identity._makers.cache_clear()
        seen.add(identity.of_text("a", TARGET))
    assert len(seen) == 3


def test_llvmlites_version_and_library_are_found_without_importing_it():
    pytest.importorskip("llvmlite")
    version, *libraries = identity._llvmlite_files()
    assert version.name == "_version.py" and version.exists()
    assert len(libraries) >= 1 and libraries[0].stat().st_size > 10**6


def test_an_edit_under_a_running_process_is_noticed(compiler):
    assert identity.unchanged()
    (compiler / "llvm.py").write_text("edited")
    assert not identity.unchanged()


def test_a_compiler_that_is_not_in_a_folder_keeps_nothing(tmp_path, monkeypatch):
    (tmp_path / "wimmel.zip").write_bytes(b"")
    monkeypatch.setattr(identity, "COMPILER", tmp_path / "wimmel.zip" / "compiler")
    monkeypatch.setattr(identity, "_AT_START", identity._stamps())
    assert not identity.unchanged()


def test_the_compiler_is_read_quickly():
    identity._makers.cache_clear()
    times = []
    for _ in range(5):
        identity._makers.cache_clear()
        start = time.perf_counter()
        identity._makers()
        times.append(time.perf_counter() - start)
    assert min(times) < 0.02
