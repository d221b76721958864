"""The command line: `wimmel demo`, `train`, `evaluate`, `predict`, `teach`, `find`, `inspect` and `bench`, one
file for each.

Loading this loads next to nothing, so that Ctrl-C while the rest is loaded ends in a sentence too.
"""

from __future__ import annotations

import sys

__all__ = ["main"]

_FAILED, _INTERRUPTED = 1, 130


def main() -> None:
    """Runs the command line that the program was started with."""
    try:
        from wimmel.cli.failures import complain, debugging, drop_output
        from wimmel.cli.program import app

        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")  # a terminal that lacks a character shows a question mark
        try:
            app()
        finally:
            sys.stdout.flush()  # what does not fit on a full disk shows here, and not after the last line
    except KeyboardInterrupt:
        # The commands say so themselves; this is before them, where nothing may have been loaded to say it with.
        print("Stopped by Ctrl-C.", file=sys.stderr)
        raise SystemExit(_INTERRUPTED) from None
    except BrokenPipeError:
        drop_output()
        raise SystemExit(_FAILED) from None
    except OSError as error:
        if debugging():
            raise
        drop_output()
        complain(f"Error: the output could not be written: {error.strerror or error}.")
        raise SystemExit(_FAILED) from None
