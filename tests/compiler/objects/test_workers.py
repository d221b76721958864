"""Code generation in processes of its own: what comes back, and what happens when something goes wrong."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from wimmel.compiler.objects import CompilationFailed, NativeUnavailable, compile_modules, worker, workers
from wimmel.compiler.targets import KNOWN

PLAIN = KNOWN["plain"]
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and descriptors as POSIX has them")


def text(name, lines=1):
    """A function of that many multiplications."""
    body = "\n".join(f"  %v{i + 1} = fmul float %v{i}, %v{max(i - 1, 0)}" for i in range(lines))
    return f"define float @{name}(float %v0) nounwind {{\n{body}\n  ret float %v{lines}\n}}\n"


SLOW = text("slow", 60_000)
"""Takes LLVM some seconds."""


def children():
    """The processes this one has started and not waited for."""
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += (task / "children").read_text().split()
    return found


def test_objects_come_in_the_order_of_the_modules():
    names = [f"kernel_{number}" for number in range(9)]
    lines = [5, 900, 1, 400, 30, 2000, 3, 3, 700]
    modules = [(text(name, count), PLAIN) for name, count in zip(names, lines, strict=True)]
    for count in (1, 2, 3, None):
        emitted = compile_modules(modules, count)
        assert [content.count(name.encode()) for content, name in zip(emitted, names, strict=True)] == [1] * 9


def test_no_modules_give_no_objects():
    assert compile_modules([]) == []


def test_the_same_module_gives_the_same_object():
    first, second = compile_modules([(text("f", 50), PLAIN)] * 2)
    assert first == second == compile_modules([(text("f", 50), PLAIN)])[0]


def test_modules_for_every_processor_can_be_compiled_anywhere():
    emitted = compile_modules([(text("f"), target) for target in KNOWN.values()])
    processors = [int.from_bytes(content[18:20], "little") for content in emitted]
    assert processors == [62, 62, 62, 62, 183]


def test_much_to_do_gets_several_workers(monkeypatch):
    started = []
    start = workers._Worker.__init__
    monkeypatch.setattr(workers._Worker, "__init__", lambda self: (started.append(self), start(self))[1])
    compile_modules([(text("f", 9000), PLAIN)] * 3, 2)
    assert len(started) == 2
    started.clear()
    compile_modules([(text("f", 10), PLAIN)] * 30, 2)
    assert len(started) == 1


def test_where_no_second_worker_can_be_started_the_first_does_all(monkeypatch):
    start, started = workers._Worker.__init__, []

    def once(self):
        started.append(self)
        if len(started) > 1:
            raise NativeUnavailable("too many processes")
        start(self)

    monkeypatch.setattr(workers._Worker, "__init__", once)
    assert len(compile_modules([(text("f", 9000), PLAIN)] * 3, 2)) == 3
    assert len(started) == 2


def test_assembly_can_be_read():
    (assembly,) = compile_modules([(text("f"), PLAIN)], assembly=True)
    assert "mulss" in assembly.decode()


@pytest.mark.parametrize(
    "module, sentence",
    [
        ("nonsense", "expected top-level entity"),
        ("define i32 @f() { ret i64 0 }", "value doesn't match function result type"),
        (f"{text('good')}\n define void @f() {{ br label %x\nx:\n %a = phi i32 [ 0, %x ]\n ret void }}", "PHI"),
    ],
)
def test_what_llvm_refuses_is_said(module, sentence):
    with pytest.raises(CompilationFailed, match="LLVM refuses a kernel") as caught:
        compile_modules([(text("fine"), PLAIN), (module, PLAIN)], 1)
    assert sentence in str(caught.value)
    assert caught.value.module == 1


def test_a_mistake_while_modules_are_written_comes_through():
    def modules():
        yield text("f"), PLAIN
        raise ZeroDivisionError("in the middle")

    with pytest.raises(ZeroDivisionError, match="in the middle"):
        compile_modules(modules())


def test_what_ends_llvm_is_said():
    # there is no such instruction on this processor: LLVM ends the process
    module = """
declare <16 x float> @llvm.x86.avx512.vpermi2var.ps.512(<16 x float>, <16 x i32>, <16 x float>)
define <16 x float> @f(<16 x float> %a, <16 x i32> %i) nounwind {
  %r = call <16 x float> @llvm.x86.avx512.vpermi2var.ps.512(<16 x float> %a, <16 x i32> %i, <16 x float> %a)
  ret <16 x float> %r
}
"""
    with pytest.raises(CompilationFailed, match=r"(?s)the process that compiles (was ended by|ended with).*LLVM ERROR"):
        compile_modules([(module, PLAIN)])


@POSIX
@pytest.mark.parametrize("count", [1, 2])
def test_a_worker_that_is_killed_is_reported(monkeypatch, count):
    started = []
    start = workers._Worker.__init__
    monkeypatch.setattr(workers._Worker, "__init__", lambda self: (start(self), started.append(self))[0])

    def kill():
        while len(started) < count:
            time.sleep(0.01)
        time.sleep(0.3)
        os.kill(started[-1]._process.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises((CompilationFailed, NativeUnavailable), match="the process that compiles was ended by signal 9"):
        compile_modules([(SLOW, PLAIN)] * count, count)
    killer.join()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks Linux for its processes")
def test_no_process_is_left_behind():
    before = children()
    compile_modules([(text("f"), PLAIN)])
    with pytest.raises(CompilationFailed):
        compile_modules([("nonsense", PLAIN)])
    assert children() == before


def test_without_llvmlite_there_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    with pytest.raises(NativeUnavailable, match="llvmlite is not installed; `pip install llvmlite` brings it"):
        compile_modules([(text("f"), PLAIN)])


def test_a_broken_llvmlite_is_said(monkeypatch, tmp_path):
    (tmp_path / "llvmlite").mkdir()
    (tmp_path / "llvmlite" / "__init__.py").write_text("raise OSError('libllvm is gone')")
    monkeypatch.setattr(workers, "_llvmlite_folder", lambda: str(tmp_path))
    with pytest.raises(NativeUnavailable, match="llvmlite cannot be used: OSError: libllvm is gone"):
        compile_modules([(text("f"), PLAIN)])


def test_what_is_around_does_not_disturb_a_worker(monkeypatch, tmp_path):
    for name in ("struct", "ctypes", "sitecustomize", "usercustomize", "llvmlite"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('this must not be imported')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "struct.py"))
    monkeypatch.chdir(tmp_path)
    assert compile_modules([(text("f"), PLAIN)])


def test_an_application_that_embeds_python_is_not_started_instead(monkeypatch, tmp_path):
    application = tmp_path / "painter"
    application.write_text("#!/bin/sh\nexit 1\n")
    application.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(application))
    assert Path(workers._interpreter()).stem.startswith("python")
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(NativeUnavailable, match="no Python interpreter of its own"):
        compile_modules([(text("f"), PLAIN)])


@POSIX
def test_a_program_that_is_not_a_worker_is_noticed(monkeypatch):
    monkeypatch.setattr(workers, "_interpreter", lambda: "/bin/echo")
    with pytest.raises(NativeUnavailable, match="the process that compiles ended with status 0"):
        compile_modules([(text("f"), PLAIN)])
    monkeypatch.setattr(workers, "_interpreter", lambda: "/nonexistent/python")
    with pytest.raises(NativeUnavailable, match=r"the process that compiles cannot be started: .*No such file"):
        compile_modules([(text("f"), PLAIN)])


def test_a_worker_starts_no_workers(monkeypatch):
    monkeypatch.setenv(workers.NESTED, "1")
    with pytest.raises(NativeUnavailable, match="is not Python itself"):
        compile_modules([(text("f"), PLAIN)])


def test_the_worker_needs_nothing_of_ours():
    source = Path(worker.__file__).read_text(encoding="utf-8")
    assert "import wimmel" not in source and "from wimmel" not in source and "numpy" not in source


# Whole programs

COMPILE = """
import sys
from wimmel.compiler.objects import compile_modules
from wimmel.compiler.targets import KNOWN
text = "define void @f() nounwind { ret void }"
objects = compile_modules([(text, KNOWN["plain"])] * 3)
open(sys.argv[1], "w").write(f"{len(objects)} {'llvmlite' in sys.modules}")
"""


def test_a_script_without_a_main_guard_compiles(tmp_path):
    (tmp_path / "script.py").write_text(COMPILE)
    subprocess.run([sys.executable, tmp_path / "script.py", tmp_path / "said"], check=True, timeout=60)
    assert (tmp_path / "said").read_text() == "3 False"


@POSIX
def test_a_program_without_standard_streams_or_working_directory_compiles(tmp_path):
    (tmp_path / "script.py").write_text("import os\nos.rmdir(os.getcwd())\n" + COMPILE)
    (tmp_path / "gone").mkdir()
    command = f"cd {tmp_path}/gone && exec {sys.executable} {tmp_path}/script.py {tmp_path}/said <&- >&- 2>&-"
    subprocess.run(["/bin/sh", "-c", command], check=True, timeout=60)
    assert (tmp_path / "said").read_text() == "3 False"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks Linux for its processes")
def test_ctrl_c_ends_the_compilation_and_its_processes(tmp_path):
    script = """
import sys
from wimmel.compiler.objects import compile_modules
from wimmel.compiler.targets import KNOWN
text = sys.stdin.read()
print("ready", flush=True)
compile_modules([(text, KNOWN["plain"])] * 2, 2)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    process.stdin.write(SLOW)
    process.stdin.close()
    assert process.stdout.readline() == "ready\n"
    listed = Path(f"/proc/{process.pid}/task")
    started = []
    while len(started) < 2:
        started = [pid for task in listed.iterdir() for pid in (task / "children").read_text().split()]
        time.sleep(0.02)
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    process.wait(timeout=10)
    complaints = process.stderr.read()
    process.stdout.close()
    process.stderr.close()
    assert complaints.rstrip().endswith("KeyboardInterrupt")
    assert complaints.count("Traceback") == 1
    assert not any(Path(f"/proc/{pid}").exists() for pid in started)
