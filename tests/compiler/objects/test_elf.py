"""Objects of LLVM's as pieces of memory, and code in them that finds its constants and the functions it calls."""

import shutil
import struct
import subprocess
from dataclasses import replace

import numpy as np
import pytest

from compiler.objects.sample import KERNEL
from wimmel.compiler.objects import NativeUnavailable, compile_modules
from wimmel.compiler.objects.elf import AARCH64, X86_64, image
from wimmel.compiler.objects.loading import load
from wimmel.compiler.targets import KNOWN, runs_here

TABLES = """
@bytes = internal constant [4 x i8] [i8 1, i8 2, i8 3, i8 4]
@shorts = internal constant [4 x i16] [i16 10, i16 20, i16 30, i16 40]
@words = internal constant [4 x i32] [i32 100, i32 200, i32 300, i32 400]
@longs = internal constant [4 x i64] [i64 1000, i64 2000, i64 3000, i64 4000]
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

; y[0:4] = vector of constants + begin, y[4] = a number from each table, y[5:5+end] bytes = 0x55
define void @kernel(ptr %y, i64 %begin, i64 %end, i64 %thread) nounwind {
  %b8 = getelementptr i8, ptr @bytes, i64 2
  %v8 = load volatile i8, ptr %b8
  %b16 = getelementptr i16, ptr @shorts, i64 2
  %v16 = load volatile i16, ptr %b16
  %b32 = getelementptr i32, ptr @words, i64 2
  %v32 = load volatile i32, ptr %b32
  %b64 = getelementptr i64, ptr @longs, i64 %begin
  %v64 = load volatile i64, ptr %b64
  %w8 = zext i8 %v8 to i64
  %w16 = zext i16 %v16 to i64
  %w32 = zext i32 %v32 to i64
  %s1 = add i64 %w8, %w16
  %s2 = add i64 %w32, %v64
  %s3 = add i64 %s1, %s2
  %one = insertelement <4 x i64> poison, i64 %begin, i64 0
  %all = shufflevector <4 x i64> %one, <4 x i64> poison, <4 x i32> zeroinitializer
  %sum = add <4 x i64> %all, <i64 11, i64 22, i64 33, i64 44>
  store <4 x i64> %sum, ptr %y, align 8
  %p4 = getelementptr i64, ptr %y, i64 4
  store i64 %s3, ptr %p4
  %p5 = getelementptr i64, ptr %y, i64 5
  call void @llvm.memset.p0.i64(ptr %p5, i8 85, i64 %end, i1 false)
  ret void
}
"""
EXPECTED = [12, 23, 34, 45, 3 + 30 + 300 + 2000, 0x5555555555555555, 0x5555]


def compiled(text, target):
    return compile_modules([(f'target triple = "{target.triple}"\n{text}', target)])[0]


@pytest.mark.parametrize("name", ["plain", "avx2", "avx512"])
def test_code_finds_its_constants_and_calls_the_c_library(name):
    target = KNOWN[name]
    if not runs_here(target):
        pytest.skip(f"this processor does not run {name}")
    content = compiled(TABLES, target)
    assert image(content).external == ("memset",)
    addresses = load([content, content])
    for functions in addresses:
        y = np.zeros(8, np.int64)
        KERNEL(functions["kernel"])(y.ctypes.data, 1, 10, 0)
        assert y.tolist() == [*EXPECTED, 0]


def test_objects_of_one_batch_lie_side_by_side():
    if not runs_here(KNOWN["plain"]):
        pytest.skip("another processor")
    first, second = load([compiled(TABLES, KNOWN["plain"])] * 2)
    assert 0 < second["kernel"] - first["kernel"] < 4096


def test_code_for_arm_runs_under_an_emulator(tmp_path):
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if emulator is None:
        pytest.skip("there is no qemu-aarch64")
    linked = image(compiled(TABLES, KNOWN["neon"]))
    assert linked.machine == AARCH64
    base, start, data = 0x400000, 0x400100, 0x480000
    memset = start + 96
    kernel = 0x410000
    # x0 = data, x1 = 1, x2 = 10, call the kernel; write(1, data, 64); exit(0)
    begin = [0x580001C0, 0xD2800021, 0xD2800142, 0x580001B0, 0xD63F0200, 0xD2800020, 0x58000101, 0xD2800802,
             0xD2800808, 0xD4000001, 0xD2800000, 0xD2800BA8, 0xD4000001, 0xD503201F]  # fmt: skip
    # a byte at a time: mov x3, x0; cbz x2, end; strb w1, [x3], #1; subs x2, x2, #1; b.ne; ret
    fill = [0xAA0003E3, 0xB4000082, 0x38001461, 0xF1000442, 0x54FFFFC1, 0xD65F03C0]
    program = bytearray(data - base + 4096)
    # ELF head, and one segment that may be read, written and executed
    head = (b"\x7fELF\x02\x01\x01", 2, AARCH64, 1, start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    struct.pack_into("<16sHHIQQQIHHHHHH", program, 0, *head)
    struct.pack_into("<IIQQQQQQ", program, 64, 1, 7, 0, base, base, len(program), len(program), 4096)
    struct.pack_into("<14I2Q", program, start - base, *begin, data, kernel + linked.functions["kernel"])
    struct.pack_into("<6I", program, memset - base, *fill)
    code = linked.at(kernel, {"memset": memset})
    program[kernel - base : kernel - base + len(code)] = code
    path = tmp_path / "program"
    path.write_bytes(program)
    path.chmod(0o755)
    result = subprocess.run([emulator, str(path)], capture_output=True, check=True, timeout=60)
    assert list(struct.unpack("<8q", result.stdout)) == [*EXPECTED, 0]


@pytest.mark.parametrize("target", [KNOWN["avx512"], KNOWN["plain"], KNOWN["neon"]], ids=lambda target: target.name)
@pytest.mark.parametrize("system", ["unknown-linux-gnu", "apple-macosx11.0-elf", "pc-windows-msvc-elf"])
def test_objects_are_read_the_same_for_every_system(target, system):
    processor = target.triple.partition("-")[0]
    laid = image(compiled(TABLES, replace(target, triple=f"{processor}-{system}")))
    assert laid.machine == (AARCH64 if target.name == "neon" else X86_64)
    assert set(laid.functions) == {"kernel"}
    assert len(laid.at(1 << 46, dict.fromkeys(laid.external, 1 << 20))) == laid.size


def test_a_function_that_is_nowhere_is_named():
    text = """
declare float @mystery(float)
define float @kernel(float %x) nounwind {
  %y = call float @mystery(float %x)
  ret float %y
}
"""
    target = KNOWN["plain"]
    if not runs_here(target):
        pytest.skip("another processor")
    with pytest.raises(NativeUnavailable, match="calls the C function 'mystery'"):
        load([compiled(text, target)])
    with pytest.raises(NativeUnavailable, match="calls the C function 'system'"):  # there, but not for us
        load([compiled(text.replace("mystery", "system"), target)])


def test_variables_are_refused():
    text = """
@count = internal global i64 7
define i64 @kernel() nounwind {
  %old = load volatile i64, ptr @count
  ret i64 %old
}
"""
    with pytest.raises(NativeUnavailable, match=r"a kernel has variables \(section .data\)"):
        image(compiled(text, KNOWN["plain"]))


def test_other_processors_code_is_not_loaded():
    name = "plain" if not runs_here(KNOWN["plain"]) else "neon"
    with pytest.raises(NativeUnavailable, match="compiled for another kind of processor"):
        load([compiled(TABLES, KNOWN[name])])


@pytest.mark.parametrize("content", [b"", b"MZ", b"\x7fELF\x01\x01", b"\xcf\xfa\xed\xfe" + bytes(100)])
def test_what_is_no_object_is_refused(content):
    with pytest.raises(NativeUnavailable, match="not 64-bit little-endian ELF"):
        image(content)


def test_an_unknown_processor_is_refused():
    with pytest.raises(NativeUnavailable, match="ELF machine 243"):
        image(struct.pack("<16sHH", b"\x7fELF\x02\x01\x01", 1, 243) + bytes(100))
