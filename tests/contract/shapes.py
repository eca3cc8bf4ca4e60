"""The shapes of keys, as parameters of tests."""

from __future__ import annotations

import pytest

from tests.servers import KEY_SHAPES, departure

MAX_KEY_BYTES = 1024

each_shape = pytest.mark.parametrize(
    "shape",
    [pytest.param(key, id=name, marks=pytest.mark.feature(name)) for name, key in KEY_SHAPES.items()],
)


def fitted(path: str, key: str) -> str:
    """Return the key, one of the long ones cut so that with the path it has 1,024 bytes."""
    room = MAX_KEY_BYTES - len(path.encode())
    return key[:room] if key.isascii() else key


def shapes_of(server: str, path: str) -> list[str]:
    """Return the keys of every shape that a server has, in the order of their bytes."""
    keys = [fitted(path, key) for name, key in KEY_SHAPES.items() if departure(server, name) is None]
    return sorted(keys, key=str.encode)
