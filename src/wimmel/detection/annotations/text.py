"""Annotation files as text and JSON, with sentences for what is neither."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_text(path: Path) -> str:
    """The file's text, UTF-8 with or without a mark, or UTF-16 with one.

    Raises
    ------
    OSError
        If it cannot be opened.
    ValueError
        If it is no text.
    """
    data = path.read_bytes()
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {line}: it is no text in UTF-8; save it as UTF-8.") from error


def read_json(path: Path) -> Any:
    """What the JSON file holds.

    Raises
    ------
    OSError
        If it cannot be opened.
    ValueError
        If it is no JSON.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}, line {error.lineno}: it is not JSON ({error.msg}).") from error
    except RecursionError as error:
        raise ValueError(f"{path}: its JSON is nested too deeply for annotations.") from error
