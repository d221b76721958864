"""Ctrl-C at a good moment: while a block runs, it is kept until the block asks for it, between two steps.

Parameters are replaced one after another at the end of a step. An interruption there would leave a network of two
minds, so it waits; a second one does not.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """A context in which Ctrl-C is kept back until `raise_if_asked`, and a second Ctrl-C acts at once.

    Only in the main thread, the one that Python interrupts, and only where Ctrl-C does what Python does by itself: a
    program with a handler of its own keeps that.

    Attributes
    ----------
    impatient : bool
        Whether there was a second Ctrl-C.
    """

    def __init__(self) -> None:
        self.impatient = False
        self._asked = False
        self._before: Any = None

    def raise_if_asked(self) -> None:
        """Raises the KeyboardInterrupt that was kept back, if there was one."""
        if self._asked:
            self._asked = False
            raise KeyboardInterrupt

    def __enter__(self) -> Interrupts:
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._keep)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _keep(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            self.impatient = True
            raise KeyboardInterrupt
        self._asked = True
