"""The interpreter's side of a call: machine code as one of its built-in functions, and what such a function must know.
All of it is in CPython's stable interface, but where an array keeps its elements: that is NumPy's.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from wimmel.compiler.targets import NativeUnavailable

_POSITIONAL = 0x80
"""METH_FASTCALL: function(self, arguments, count), the arguments as an array of objects."""


class _Method(ctypes.Structure):
    """PyMethodDef."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("documentation", ctypes.c_char_p),
    )


def builtin(name: str, address: int) -> Callable[..., Any]:
    """The machine code there as a function of the interpreter's, called with the interpreter's lock and without the
    conversions of ctypes.

    Parameters
    ----------
    name : str
    address : int
        Of ``object function(nothing, arguments, count)``, whose arguments are the objects that it is called with, and
        which gives an object of its own.
    """
    method = _Method(name.encode(), address, _POSITIONAL, None)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(method))  # functions refer to it, whoever holds them
    new = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
    function: Callable[..., Any] = new(("PyCFunction_NewEx", ctypes.pythonapi))(ctypes.addressof(method), None, None)
    return function


def lock_functions() -> tuple[int, int]:
    """Addresses of ``state release()`` and ``acquire(state)``, of the interpreter's lock."""
    return _address("PyEval_SaveThread"), _address("PyEval_RestoreThread")


def number_function() -> int:
    """The address of ``object number(i64)``."""
    return _address("PyLong_FromLongLong")


def _address(name: str) -> int:
    found = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
    assert found is not None
    return found


@cache
def array_data() -> int:
    """Where in an array object the address of its elements is: the first field after the object's head.

    Raises
    ------
    NativeUnavailable
        If it is not there.
    """
    offset = object.__basicsize__
    for array in (np.arange(7), np.zeros((3, 5), np.float32)[1:, 2:], np.zeros(())):
        if ctypes.c_void_p.from_address(id(array) + offset).value != array.ctypes.data:
            raise NativeUnavailable("this Python keeps its objects in another way than machine code expects")
    return offset
