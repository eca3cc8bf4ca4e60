"""Memory for large bodies: a ``bytes`` object that the network fills without another copy."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

# From so many bytes on, a thread of its own waits for a body: below, one thread takes those of all faster.
LARGE = 2 * 1024 * 1024
# Below this, joining the received pieces costs less than the set-up.
FRESH = 128 * 1024

# PyBUF_WRITE
_WRITABLE = 0x200
# The most that glibc keeps for the next who needs memory, instead of giving it back to the system.
# https://man7.org/linux/man-pages/man3/mallopt.3.html (M_MMAP_THRESHOLD, M_TRIM_THRESHOLD)
_KEPT = 32 * 1024 * 1024 - 64 * 1024

# Mutable state: memory was taken before, so that the allocator knows by now that large pieces come and go.
_known = False


class FreshBytes:
    """A ``bytes`` object not yet seen by anyone, and a writable view of its memory.

    Its pages are the usual ones. To ask for huge ones doubles the speed of some machines, and takes it down
    to a third on others: virtual ones that give free memory back to their host, huge pages first.

    CPython documents ``PyBytes_FromStringAndSize(NULL, n)`` for just this: the contents may be
    written until the object is handed out. https://docs.python.org/3/c-api/bytes.html

    Attributes:
        data: The object; not to be read, hashed or shared before it is full.
        owner: What keeps the memory of the view alive.
        view: A writable view of all its bytes.
    """

    __slots__ = ("data", "owner", "view")

    def __init__(self, size: int, start: bytes) -> None:
        """Make room for ``size`` bytes, the first of which are ``start``."""
        import ctypes

        make = ctypes.pythonapi.PyBytes_FromStringAndSize
        make.restype = ctypes.py_object
        make.argtypes = [ctypes.c_char_p, ctypes.c_ssize_t]
        _get_known(make)
        locate = ctypes.pythonapi.PyBytes_AsString
        locate.restype = ctypes.c_void_p
        locate.argtypes = [ctypes.py_object]
        self.data: bytes = make(None, size)
        self.owner: object = self.data
        address: int = locate(self.data)
        look = ctypes.pythonapi.PyMemoryView_FromMemory
        look.restype = ctypes.py_object
        look.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int]
        self.view: memoryview = look(address, size, _WRITABLE)
        self.write(0, start)

    def write(self, offset: int, piece: bytes | bytearray) -> None:
        """Copy ``piece`` to ``offset``; it must fit."""
        if offset + len(piece) > len(self.data):
            raise ValueError("the piece does not fit")
        self.view[offset : offset + len(piece)] = piece


def _get_known(make: Callable[[None, int], object]) -> None:
    """Have the allocator keep large pieces that are freed: the system would clear their pages again.

    It adapts to the largest piece that it has seen come and go, so it is shown one, which nobody writes to.
    """
    global _known
    if not _known:
        _known = True
        make(None, _KEPT)


class Room(NamedTuple):
    """Memory to be filled.

    Attributes:
        view: Where.
        owner: Keeps it from being freed for as long as somebody may write to it: a view of a
            :class:`FreshBytes` does not.
        ranged: It is for part of an object, and all of it must not get there.
        rest: It is for the rest of an object; all of it, if that comes instead, goes into new memory.
    """

    view: memoryview
    owner: object = None
    ranged: bool = False
    rest: bool = False

    def __repr__(self) -> str:
        return f"<room for {len(self.view):,} bytes>"


class GivenBuffer:
    """Somebody's memory, to be filled like :class:`FreshBytes`.

    Attributes:
        data: The part of it that is to be filled.
        owner: What keeps the memory of the view alive.
        view: The same.
    """

    __slots__ = ("data", "owner", "view")

    def __init__(self, room: Room, size: int, start: bytes) -> None:
        """Take the first ``size`` bytes, and fill in ``start``."""
        self.owner = room.owner
        self.data = self.view = room.view[:size]
        self.write(0, start)

    def write(self, offset: int, piece: bytes | bytearray) -> None:
        """Copy ``piece`` to ``offset``; it must fit."""
        self.view[offset : offset + len(piece)] = piece


def available() -> bool:
    """Whether this interpreter can hand out a ``bytes`` object before it is filled."""
    return sys.implementation.name == "cpython"


def let_go(error: BaseException, outer: BaseException | None) -> None:
    """Have an exception hold nothing of what was done: its tracebacks keep frames, and those their memory.

    Some are frames of other threads, in which they may go on, so that they cannot be cleared.

    Args:
        outer: What the caller was handling already, which is none of our business; None for nothing.
    """
    seen: list[BaseException | None] = [outer]
    current: BaseException | None = error
    while current is not None and not any(current is other for other in seen):
        seen.append(current)
        current.__traceback__ = None
        current = current.__cause__ or current.__context__
