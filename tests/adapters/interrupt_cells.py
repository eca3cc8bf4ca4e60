"""Interrupts cells of a notebook that wait for a store, and prints as JSON what became of each.

In a process of its own, because Jupyter needs an event loop, and sockets that it closes in its own time.
"""

from __future__ import annotations

import contextlib
import json
import time
from queue import Empty
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

# Seconds to wait for anything that the kernel says.
_PATIENCE = 60

# A store whose server takes requests and never answers; the cell that waits for it says so itself.
PREPARE = """
import socket, threading
import s3kv
from s3kv.testing import LocalServer

listener = socket.create_server(("127.0.0.1", 0), backlog=100)
waiting = threading.Event()

def listen():
    while True:
        connection, _ = listener.accept()
        kept.append(connection)
        if connection.recv(65536):
            waiting.set()

kept = []
threading.Thread(target=listen, daemon=True).start()
silent = s3kv.Store(
    bucket="bucket",
    endpoint=f"http://127.0.0.1:{listener.getsockname()[1]}",
    aws_region="us-east-1",
    aws_credentials={"type": "anonymous"},
)
server = LocalServer()
server.__enter__()
store = server.store()

def tell():
    waiting.wait()
    waiting.clear()
    print("waiting", flush=True)
"""
CELLS = {
    "get": "silent.get('key')",
    "get_many": "silent.get_many([str(number) for number in range(100)], progress=True)",
    "futures": "silent.futures.get('key').result()",
    "doctor": "silent.doctor(write=True)",
}


def main() -> None:
    """Run the cells one after the other in one kernel, each interrupted and followed by another."""
    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=_PATIENCE)
    found: dict[str, Any] = {}
    try:
        run(client, PREPARE)
        for name, code in CELLS.items():
            # A request of the cell before may have come late.
            start = "waiting.clear()\nthreading.Thread(target=tell, daemon=True).start()"
            cell = client.execute(f"{start}\n{code}")
            until(client, lambda message: "waiting" in message["content"].get("text", ""))
            error, seconds = interrupt(manager, client, cell)
            after = run(client, f"store['key'] = b'{name}'\nassert store['key'] == b'{name}'")
            found[name] = {"error": error, "seconds": seconds, "after": after}
        run(client, "silent.close()\nserver.__exit__(None, None, None)")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    print(json.dumps(found))


def run(client: BlockingKernelClient, code: str) -> str:
    """Run a cell to its end, and return the name of the exception that ended it, or an empty string."""
    return finish(client, client.execute(code))


def interrupt(manager: Any, client: BlockingKernelClient, cell: str) -> tuple[str, float]:
    """Interrupt a cell; the name of the exception that ended it, and how many seconds that took.

    The interpreter drops an interrupt that comes in the middle of a finalizer, whoever's that is: then
    another one is needed, as it would be from a user.
    """
    for patience in (15, _PATIENCE):
        started = time.monotonic()
        manager.interrupt_kernel()
        with contextlib.suppress(Empty):
            return finish(client, cell, patience), time.monotonic() - started
    raise TimeoutError(f"the cell goes on after two interrupts: {cell}")


def finish(client: BlockingKernelClient, cell: str, patience: float = _PATIENCE) -> str:
    """Wait for the end of a cell, by its message's id, and return the name of its exception, if any."""
    while True:
        reply: Any = client.get_shell_msg(timeout=patience)
        if reply["parent_header"].get("msg_id") == cell:
            return str(reply["content"].get("ename", ""))


def until(client: BlockingKernelClient, holds: Any) -> None:
    """Wait for a message of the kernel's output."""
    while not holds(client.get_iopub_msg(timeout=_PATIENCE)):
        pass


if __name__ == "__main__":
    main()
