"""Code generation in processes of its own, which live as long as one batch of modules takes."""

from __future__ import annotations

import heapq
import importlib.util
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

from wimmel.compiler.objects import worker
from wimmel.compiler.targets import NativeUnavailable, Target

NESTED = "WIMMEL_WORKER"
"""Set in workers. Where an application that embeds Python is started in place of Python, this ends the recursion."""

_undivided = threading.Lock()
"""Held where Python itself takes a lock: a process forked by another thread in the middle would never get it back."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_undivided.acquire, after_in_parent=_undivided.release, after_in_child=_undivided.release
    )

BACKLOG = 1 << 18
"""Characters of LLVM IR waiting that make another worker worth its start: some 50 ms of work."""


class CompilationFailed(RuntimeError):
    """LLVM did not accept a module, or its process ended: a mistake in the compiler, or a machine short of memory.

    Attributes
    ----------
    module : int or None
        The number of the module, where one is to blame.
    """

    module: int | None = None


def compile_modules(
    modules: Iterable[tuple[str, Target]], workers: int | None = None, assembly: bool = False
) -> list[bytes]:
    """The object code of each module.

    Parameters
    ----------
    modules : iterable of (LLVM IR, target)
        Drawn one by one while the first worker starts, so a generator that writes them loses no time.
    workers : int, optional
        How many processes there may be; the number of cores this process may use, if not given. There are fewer when
        there is little to do.
    assembly : bool
        Whether to give assembly text instead.

    Returns
    -------
    list of bytes, in the order of the modules: ELF objects on every system

    Raises
    ------
    NativeUnavailable
        Where no worker can be started, or llvmlite is missing.
    CompilationFailed
        If LLVM refuses a module, or a worker dies.
    """
    batch = _Batch(worker.ASSEMBLY if assembly else worker.OBJECT)
    helpers: list[threading.Thread] = []
    limit = workers or _cores()
    try:
        first = _Worker()
        batch.workers.append(first)
        for module in modules:
            waiting = batch.add(module)
            if waiting > BACKLOG * (len(helpers) + 1) and len(helpers) + 1 < limit:
                helper = threading.Thread(target=batch.help, daemon=True, name="wimmel compiles")
                try:
                    helper.start()
                except RuntimeError:  # no more threads: one worker does it
                    limit = 1
                else:
                    helpers.append(helper)
        batch.close()
        try:
            batch.serve(first)
        except Exception as error:
            batch.fail(error)
        for thread in helpers:
            thread.join()
        batch.check()
    finally:
        # also after Ctrl-C: a helper whose worker is gone ends by itself
        batch.stop()
    return [batch.emitted[number] for number in range(batch.count)]


class _Batch:
    """The modules that wait, the longest first, and what was made of the others."""

    def __init__(self, what: bytes) -> None:
        self.what = what
        self.workers: list[_Worker] = []
        self.emitted: dict[int, bytes] = {}
        self.count = 0
        self._heap: list[tuple[int, int, str, Target]] = []
        self._changed = threading.Condition()
        self._complete = False
        self._error: BaseException | None = None

    def add(self, module: tuple[str, Target]) -> int:
        """Gives how many characters are waiting now."""
        text, target = module
        with self._changed:
            self._check()
            heapq.heappush(self._heap, (-len(text), self.count, text, target))
            self.count += 1
            self._changed.notify()
            return -sum(length for length, *_ in self._heap)

    def close(self) -> None:
        """No more are coming."""
        with self._changed:
            self._complete = True
            self._changed.notify_all()

    def serve(self, process: _Worker) -> None:
        """Has a worker compile until nothing is left."""
        while (waiting := self._next()) is not None:
            _, number, text, target = waiting
            try:
                self.emitted[number] = process.emitted(self.what, text, target)
            except CompilationFailed as error:
                error.module = number
                raise

    def help(self) -> None:
        """What a second thread does, with a worker of its own."""
        try:
            process = _Worker()
        except NativeUnavailable:  # too many processes: the first does it
            return
        try:
            with self._changed:
                stopped = self._error is not None
                if not stopped:
                    self.workers.append(process)
            if stopped:
                process.stop()
            else:
                self.serve(process)
        except BaseException as error:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """The first error counts. Nobody goes on then."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()
            for process in self.workers:
                process.kill()

    def stop(self) -> None:
        """Ends the processes."""
        self.fail(CompilationFailed("the compilation was abandoned"))
        with self._changed:
            workers, self.workers = self.workers, []
        for process in workers:
            process.stop()

    def check(self) -> None:
        with self._changed:
            self._check()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error

    def _next(self) -> tuple[int, int, str, Target] | None:
        with self._changed:
            while not self._heap and not self._complete and self._error is None:
                self._changed.wait()
            return heapq.heappop(self._heap) if self._heap and self._error is None else None


class _Worker:
    """One process. It is ready some 45 ms later, which the first request waits for."""

    def __init__(self) -> None:
        with _undivided:
            import subprocess
        if os.environ.get(NESTED):
            raise NativeUnavailable(
                f"this process was started to compile, as {NESTED} in its environment says, but is an application: "
                f"{sys.executable!r} is not Python itself"
            )
        flags = ["-I", "-S", *(["-B"] if sys.dont_write_bytecode else [])]
        command = [_interpreter(), *flags, worker.__file__, _llvmlite_folder()]
        detached: dict[str, Any]
        if sys.platform == "win32":
            detached = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
        else:
            detached = {"process_group": 0}  # so that Ctrl-C reaches only us, and we decide what becomes of the worker
        # a file, not a pipe: nobody reads it while the worker lives, and it must not fill up
        self._complaints = _scratch_file()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._complaints or subprocess.DEVNULL,
                env={**os.environ, NESTED: "1"},
                **detached,
            )
        except OSError as error:
            self._close_complaints()
            raise NativeUnavailable(f"the process that compiles cannot be started: {error}") from error
        self._ready = False

    def emitted(self, what: bytes, text: str, target: Target) -> bytes:
        """Object code or assembly text of one module."""
        if not self._ready:
            status, content = self._answer()
            if status != worker.READY:
                raise NativeUnavailable(f"llvmlite cannot be used: {content.decode(errors='replace')}")
            self._ready = True
        parts = [part.encode() for part in (target.triple, target.features, text)]
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(b"".join([worker.REQUEST.pack(what, *map(len, parts)), *parts]))
            self._process.stdin.flush()
        except (OSError, ValueError):
            pass  # it died: reading says so too, and why
        status, content = self._answer()
        if status != worker.DONE:
            raise CompilationFailed(f"LLVM refuses a kernel: {content.decode(errors='replace').strip()}")
        return content

    def kill(self) -> None:
        """Ends the process at once."""
        self._process.kill()

    def stop(self) -> None:
        """Ends the process, and waits for it."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            try:
                if stream is not None:
                    stream.close()
            except OSError:
                pass  # what was still to be written to a process that is gone
        self._process.wait()
        self._close_complaints()

    def _answer(self) -> tuple[bytes, bytes]:
        stream = self._process.stdout
        assert stream is not None
        try:
            head = stream.read(worker.ANSWER.size)
            status, length = worker.ANSWER.unpack(head) if len(head) == worker.ANSWER.size else (b"", 0)
            content = stream.read(length) if status in (worker.READY, worker.DONE, worker.REFUSED) else b""
        except ValueError:
            raise CompilationFailed("the compilation was abandoned") from None  # stopped by another thread
        if not status or len(content) != length:
            raise self._death()
        return status, content

    def _death(self) -> RuntimeError:
        from subprocess import TimeoutExpired

        try:
            code = self._process.wait(timeout=1)
        except TimeoutExpired:  # it speaks, but not as a worker
            self._process.kill()
            code = self._process.wait()
        said = ""
        if self._complaints is not None:
            self._complaints.seek(0)
            said = self._complaints.read(2000).decode(errors="replace").strip()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
        sentence = f"the process that compiles {how}" + (f", saying: {said}" if said else "")
        return CompilationFailed(sentence) if self._ready else NativeUnavailable(sentence)

    def _close_complaints(self) -> None:
        if self._complaints is not None:
            self._complaints.close()


def _scratch_file() -> IO[bytes] | None:
    with _undivided:
        import tempfile

        try:
            return tempfile.TemporaryFile()
        except OSError:
            return None


def _cores() -> int:
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        cores = os.cpu_count() or 1
    return min(cores, 16)  # each worker takes some 100 MB


def _llvmlite_folder() -> str:
    """The folder to be put on the worker's path."""
    try:
        spec = importlib.util.find_spec("llvmlite")
    except ValueError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise NativeUnavailable("llvmlite is not installed; `pip install llvmlite` brings it")
    return str(Path(next(iter(spec.submodule_search_locations))).parent)


def _interpreter() -> str:
    """Python itself, also where it is embedded in an application, whose name `sys.executable` may be."""
    if not getattr(sys, "frozen", False):
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        home = Path(sys.base_exec_prefix)
        found = [home / "python.exe"] if sys.platform == "win32" else [home / "bin" / f"python{version}"]
        if sys.executable:
            found.insert(0, Path(sys.executable))
        for path in found:
            if path.stem.lower().startswith(("python", "pypy")) and os.access(path, os.X_OK):
                return str(path)
    raise NativeUnavailable("this application has no Python interpreter of its own that could be started to compile")
