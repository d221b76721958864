"""Writing a file whole or not at all: a finished file appears under its name, or the old one stays as it was.

Given a path and something to write; the bytes go to a temporary file beside it, which at the end takes the
name.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def write_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path in the same folder, which becomes `path` when the block ends without an error.

    Before it takes the name the file is flushed to the disk, so that a crash leaves the old file or the new
    one, never half of one. After any error, a full disk or Ctrl-C included, the temporary file is removed and
    whatever stood at `path` is untouched. A symbolic link is followed: the file it points to is replaced.

    Parameters
    ----------
    path : str or path
        The file to write. Its folder must exist. Permissions of an existing file are kept.

    Yields
    ------
    Path
        An empty file with the same suffix, to be written by the block in any way it likes.

    Raises
    ------
    OSError
        If the folder is missing, `path` is not an ordinary file, or writing fails. The kind of error and its
        `errno` stay those of the cause; the message is a sentence that names `path`.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> note = Path(folder.name) / "note.txt"
    >>> with write_whole(note) as unfinished:
    ...     _ = unfinished.write_text("all of it")
    >>> note.read_text()
    'all of it'
    >>> folder.cleanup()
    """
    target = Path(os.path.realpath(path))
    temporary = _temporary_beside(target)
    try:
        yield temporary
        _flush(temporary)
        if target.exists():
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
    except OSError as error:
        _discard(temporary)
        if _concerns(error, temporary, target):
            raise _as_sentence(error, target) from error
        raise
    except BaseException:
        _discard(temporary)
        raise
    _flush_folder(target.parent)


def write_bytes(path: str | os.PathLike[str], data: bytes | bytearray | memoryview) -> None:
    """Nothing; the file at `path` then holds exactly `data`, or is what it was before.

    Parameters
    ----------
    path : str or path
        The file to write, as in `write_whole`.
    data : bytes
        Everything the file shall hold.

    Raises
    ------
    OSError
        As in `write_whole`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_bytes(Path(folder, "three.bin"), b"abc")
    ...     Path(folder, "three.bin").read_bytes()
    b'abc'
    """
    with write_whole(path) as temporary, temporary.open("wb") as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Nothing; the file at `path` then holds `text` as UTF-8, line ends as given, or is what it was before.

    Parameters
    ----------
    path : str or path
        The file to write, as in `write_whole`.
    text : str
        Everything the file shall hold.

    Raises
    ------
    OSError
        As in `write_whole`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(Path(folder, "word.txt"), "Wimmelbild")
    ...     Path(folder, "word.txt").read_text(encoding="utf-8")
    'Wimmelbild'
    """
    write_bytes(path, text.encode("utf-8"))


def sentence_error(kind: type[OSError], code: int | None, sentence: str) -> OSError:
    """An OSError with the given `errno` that prints as the sentence alone, without '[Errno 28]' in front."""
    error = kind(sentence)
    error.errno = code
    return error


def _temporary_beside(target: Path) -> Path:
    """A new empty, hidden file in the target's folder, with its suffix (some writers choose by it)."""
    if target.exists() and not stat.S_ISREG(target.stat().st_mode):
        kind, code = (IsADirectoryError, errno.EISDIR) if target.is_dir() else (OSError, errno.EINVAL)
        what = "a folder" if target.is_dir() else "a device, not an ordinary file"
        raise sentence_error(kind, code, f"{target} is {what}; give the name of a file to write.")
    # The stem is cut short so that the longest permitted file name leaves room for the random part.
    temporary = target.with_name(f".{target.stem[:40]}-{os.urandom(6).hex()}{target.suffix}")
    try:
        # Unlike tempfile.mkstemp, this gives the new file the permissions that the person's umask asks for.
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        raise _as_sentence(error, target) from error
    return temporary


def _flush(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def _flush_folder(folder: Path) -> None:
    """Makes the new name itself durable, on systems where a folder can be opened."""
    if os.name != "posix":
        return
    with suppress(OSError):  # the file is complete; some network file systems refuse this
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def _discard(temporary: Path) -> None:
    with suppress(OSError):
        temporary.unlink()


def _concerns(error: OSError, temporary: Path, target: Path) -> bool:
    """Whether the error is about this file: the block may also fail at reading another, or say why itself."""
    about = error.filename
    return error.strerror is not None and (about is None or str(about) in (str(temporary), str(target)))


def _as_sentence(error: OSError, target: Path) -> OSError:
    untouched = "the file that was there is untouched" if target.exists() else "no file was left behind"
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        reason = "the disk is full; free some space or choose another folder"
    elif error.errno == errno.ENOENT or not target.parent.is_dir():
        reason = f"the folder {target.parent} does not exist; create it first"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason = "this account may not write there; choose another folder or change its permissions"
    else:
        reason = error.strerror or str(error)
    sentence = f"{target} could not be written ({untouched}): {reason}."
    return sentence_error(type(error), error.errno, sentence)
