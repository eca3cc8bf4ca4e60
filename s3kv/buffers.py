"""Memory for large bodies: a ``bytes`` object that the network fills without another copy."""

from __future__ import annotations

import sys

# Below this, joining the received pieces costs less than the set-up.
LARGE = 1024 * 1024


class FreshBytes:
    """A ``bytes`` object not yet seen by anyone, and a writable view of its memory.

    CPython documents ``PyBytes_FromStringAndSize(NULL, n)`` for just this: the contents may be
    written until the object is handed out. https://docs.python.org/3/c-api/bytes.html

    Attributes:
        data: The object; not to be read, hashed or shared before it is full.
        view: A writable view of all its bytes.
    """

    __slots__ = ("_address", "data", "view")

    def __init__(self, size: int, start: bytes) -> None:
        """Make room for ``size`` bytes, the first of which are ``start``."""
        import ctypes

        make = ctypes.pythonapi.PyBytes_FromStringAndSize
        make.restype = ctypes.py_object
        make.argtypes = [ctypes.c_char_p, ctypes.c_ssize_t]
        locate = ctypes.pythonapi.PyBytes_AsString
        locate.restype = ctypes.c_void_p
        locate.argtypes = [ctypes.py_object]
        self.data: bytes = make(None, size)
        self._address: int = locate(self.data)
        self.view = memoryview((ctypes.c_ubyte * size).from_address(self._address))
        self.write(0, start)

    def write(self, offset: int, piece: bytes) -> None:
        """Copy ``piece`` to ``offset``; it must fit."""
        import ctypes

        if offset + len(piece) > len(self.data):
            raise ValueError("the piece does not fit")
        ctypes.memmove(self._address + offset, piece, len(piece))


def available() -> bool:
    """Whether this interpreter can hand out a ``bytes`` object before it is filled."""
    return sys.implementation.name == "cpython"
