"""TensorStore's own S3 driver, in a process of its own: it keeps connections and threads for good."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Theirs:
    """A key-value store of the tensorstore package; the environment's credentials are used.

    Args:
        spec: The JSON spec to open.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "tests.contract.theirs"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # It logs what it retries.
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
        )
        self._send(spec)

    def __enter__(self) -> Theirs:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def _send(self, message: Any) -> None:
        assert self._process.stdin is not None
        pickle.dump(message, self._process.stdin)
        self._process.stdin.flush()

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method in the other process; a ValueError there is one here."""
        self._send((method, arguments, options))
        assert self._process.stdout is not None
        done, result = pickle.load(self._process.stdout)
        if not done:
            raise ValueError(result)
        return result

    def read(self, key: str, **options: Any) -> tuple[str, bytes, bytes]:
        """Return the state, the value and the generation, which is bytes."""
        state, value, generation = self.call("read", key, **options)
        return state, value, generation

    def write(self, key: str, value: bytes | None, **options: Any) -> bytes:
        """Write, or delete, and return the generation."""
        generation = self.call("write", key, value, **options)
        assert isinstance(generation, bytes)
        return generation

    def list(self) -> list[str]:
        """Return all keys, in no order."""
        return [key.decode() for key in self.call("list")]


def main() -> None:
    """Carry out what comes in, until nobody asks any more."""
    import tensorstore

    asked, told = sys.stdin.buffer, sys.stdout.buffer
    store: Any = tensorstore.KvStore.open(pickle.load(asked)).result()
    while True:
        try:
            method, arguments, options = pickle.load(asked)
        except EOFError:
            return
        try:
            result = getattr(store, method)(*arguments, **options).result()
        except ValueError as error:
            answer: Any = (False, str(error))
        else:
            if method == "read":
                result = (result.state, result.value, result.stamp.generation)
            elif method == "write":
                result = result.generation
            answer = (True, result)
        pickle.dump(answer, told)
        told.flush()


if __name__ == "__main__":
    main()
