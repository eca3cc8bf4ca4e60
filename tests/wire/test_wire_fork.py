"""A forked child works at once, and shares no socket with its parent.

Each test runs a program of its own, because forking the tests would take their threads along.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

from tests.wire.authority import Authority
from tests.wire.scripted import READ, Answer, Forever, Peer, Recorded, ScriptedServer, Step, ok

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

OPENING = """
import faulthandler, os, re, signal, sys, threading, time, traceback
import s3kv

store = s3kv.Store(bucket="bucket", endpoint=sys.argv[1], aws_region="us-east-1",
                   aws_credentials={"type": "anonymous"})

def check(key):
    found = store.get(key)
    assert found == f"/bucket/{key}".encode(), (key, found)

def descriptors(kinds):
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if re.match(kinds, target) and int(name) > 2:
            found.add((int(name), target))
    return found

def sockets():
    return {target for _, target in descriptors("socket:")}

class Traffic:
    def __init__(self, threads, settled=True):
        self.stopping = False
        self.errors = []
        self.turns = [0] * threads
        self.threads = [threading.Thread(target=self.run, args=(n,), daemon=True) for n in range(threads)]
        for thread in self.threads: thread.start()
        while settled and not self.errors and min(self.turns) < 5: time.sleep(0.001)

    def run(self, number):
        try:
            while not self.stopping:
                check(f"parent-{number}-{self.turns[number]}")
                self.turns[number] += 1
        except BaseException:
            self.errors.append(traceback.format_exc())

    def stop(self):
        self.stopping = True
        for thread in self.threads: thread.join()
        assert not self.errors, self.errors[0]

def forked(work):
    child = os.fork()
    if child == 0:
        # A child that hangs says where, and is killed, so that the parent can tell.
        faulthandler.register(signal.SIGALRM, chain=True)
        signal.alarm(6)
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return child

def wait(child):
    status = os.waitpid(child, 0)[1]
    if status:
        words = "hung" if status == signal.SIGALRM else f"ended with {status}"
        print(f"the child {words}", file=sys.stderr, flush=True)
        os._exit(1)
"""


def _echo(request: Recorded) -> bytes:
    return ok(request.path.encode())


ECHO = [Forever(READ, Answer(_echo))]


def _run(code: str, *arguments: str, seconds: float = 12, variables: dict[str, str] | None = None) -> str:
    """The output of a program, which must end well and complain about nothing."""
    # Python 3.12 and later warn of every fork of a process with threads.
    command = [
        sys.executable,
        "-W",
        "error",
        "-W",
        "ignore:.*fork.*:DeprecationWarning",
        "-c",
        OPENING + code,
    ]
    done = subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        timeout=seconds,
        env={**os.environ, **(variables or {})},
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


def test_a_child_works_at_once_in_the_middle_of_traffic() -> None:
    """Many times, so that locks and queues are met in every state; the parent goes on unharmed."""
    code = """
traffic = Traffic(6)
def work():
    for turn in range(3): check(f"child-{os.getpid()}-{turn}")
for _ in range(25):
    wait(forked(work))
traffic.stop()
check("last")
"""
    with ScriptedServer(then=ECHO) as server:
        _run(code, server.url)
        children = [request for request in server.requests if "child" in request.path]
        assert len(children) == 75


@pytest.mark.parametrize("credentials", ["anonymous", "environment"])
@pytest.mark.parametrize("delay", [0.0, 0.02])
def test_a_child_works_that_is_forked_during_the_first_requests(
    credentials: str, delay: float, keys: None
) -> None:
    """Modules are imported then, by threads that the child does not have: it must not wait for them."""
    code = """
store = s3kv.Store(bucket="bucket", endpoint=sys.argv[1], aws_region="us-east-1",
                   aws_credentials={"type": sys.argv[2]})
traffic = Traffic(3, settled=False)
time.sleep(float(sys.argv[3]))
def work():
    for turn in range(3): check(f"child-{os.getpid()}-{turn}")
for _ in range(3):
    wait(forked(work))
traffic.stop()
check("last")
"""
    with ScriptedServer(then=ECHO) as server:
        _run(code, server.url, credentials, str(delay))


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="there is no /proc here")


@needs_proc
def test_a_child_shares_no_socket_with_its_parent() -> None:
    """Neither before its first request nor after: the inodes are compared."""
    code = """
for n in range(4): check(f"warm-{n}")
together = [threading.Thread(target=check, args=(f"together-{n}",)) for n in range(6)]
for thread in together: thread.start()
for thread in together: thread.join()
mine = sockets()
assert mine, "the parent keeps no connection"
def work():
    first = sockets()
    assert not first & mine, f"shared from the start: {first & mine}"
    check("child")
    then = sockets()
    assert then and not then & mine, (then, mine)
wait(forked(work))
assert sockets() == mine, "the child has changed the parent's sockets"
check("last")
assert sockets() == mine, "the parent's connection did not survive"
"""
    with ScriptedServer(then=ECHO) as server:
        _run(code, server.url)


@needs_proc
def test_a_child_shares_no_socket_with_its_busy_parent() -> None:
    """Connections that carry a request at that moment belong to the parent alone."""
    code = """
traffic = Traffic(6)
def work():
    first = sockets()
    check("child")
    print("child", *(first | sockets()), flush=True)
for _ in range(5):
    before = sockets()
    child = forked(work)
    wait(child)
    print("parent", *(before | sockets()), flush=True)
traffic.stop()
"""
    with ScriptedServer(then=ECHO) as server:
        lines = [line.split() for line in _run(code, server.url).splitlines()]
    parents = {inode for line in lines if line[0] == "parent" for inode in line[1:]}
    children = {inode for line in lines if line[0] == "child" for inode in line[1:]}
    assert parents
    assert len(children) >= 5
    assert not parents & children


OPENING_STAGES = {
    "connecting": """
import socket
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(0)
crowd = [socket.socket() for _ in range(4)]
for each in crowd:
    each.setblocking(False)
    each.connect_ex(listener.getsockname())
url = f"http://127.0.0.1:{listener.getsockname()[1]}"
""",
    "a handshake": """
import socket
listener = socket.create_server(("127.0.0.1", 0))
url = f"https://127.0.0.1:{listener.getsockname()[1]}"
""",
}


@needs_proc
@pytest.mark.parametrize("stage", OPENING_STAGES.values(), ids=OPENING_STAGES)
def test_a_child_shares_no_socket_that_is_being_opened(stage: str) -> None:
    """It would keep the connection open when the parent closes it."""
    code = f"""
check("warm")
{stage}
ours = sockets()
slow = s3kv.Store(bucket="bucket", endpoint=url, aws_region="us-east-1", timeout=2,
                  aws_credentials={{"type": "anonymous"}})
threading.Thread(target=lambda: slow.get("key"), daemon=True).start()
while not sockets() - ours: time.sleep(0.001)
time.sleep(0.1)
opening = sockets() - ours
assert opening
def work():
    shared = sockets() & opening
    assert not shared, f"shared: {{shared}}"
    check("child")
wait(forked(work))
os._exit(0)
"""
    with ScriptedServer(then=ECHO) as server:
        _run(code, server.url)


@needs_proc
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_child_shares_no_socket_of_a_session(scheme: str, trusted: Authority) -> None:
    """Two processes on one connection would get each other's answers."""
    code = """
import requests
session = requests.Session()
session.verify = os.environ["AWS_CA_BUNDLE"]
store = s3kv.Store(bucket="bucket", endpoint=sys.argv[1], aws_region="us-east-1",
                   aws_credentials={"type": "anonymous"}, session=session)
check("warm")
# OpenSSL cleans up after the thread that carried it, with a lock that the child would inherit.
time.sleep(0.1)
mine = sockets()
assert mine, "the session keeps no connection"
def work():
    first = sockets()
    assert not first & mine, f"shared from the start: {first & mine}"
    for turn in range(3): check(f"child-{turn}")
    assert not sockets() & mine
wait(forked(work))
assert sockets() == mine, "the child has changed the parent's sockets"
check("last")
assert sockets() == mine, "the parent's connection did not survive"
"""
    tls = trusted.server_context("127.0.0.1") if scheme == "https" else None
    with ScriptedServer(then=ECHO, tls=tls) as server:
        _run(code, server.url)


def test_a_child_has_a_session_in_the_middle_of_traffic() -> None:
    """Locks of the session's pools may be held by threads that the child does not have."""
    code = """
import requests
store = s3kv.Store(bucket="bucket", endpoint=sys.argv[1], aws_region="us-east-1",
                   aws_credentials={"type": "anonymous"}, session=requests.Session())
traffic = Traffic(6)
def work():
    for turn in range(3): check(f"child-{os.getpid()}-{turn}")
for _ in range(15): wait(forked(work))
traffic.stop()
"""
    with ScriptedServer(then=ECHO) as server:
        _run(code, server.url)


@needs_proc
def test_a_child_keeps_none_of_its_parents_pollers() -> None:
    """An event queue shared by two processes would wake the wrong one."""
    code = """
for n in range(3): check(f"warm-{n}")
mine = {number for number, _ in descriptors("anon_inode:")}
def work():
    left = {number for number, _ in descriptors("anon_inode:")}
    assert not left, f"still open in the child: {left}"
    for n in range(3): check(f"child-{n}")
wait(forked(work))
for n in range(3): check(f"after-{n}")
assert {number for number, _ in descriptors("anon_inode:")} == mine
"""
    with ScriptedServer(then=ECHO) as server:
        _run(code, server.url)


def test_a_child_works_over_tls(trusted: Authority) -> None:
    """The state of a TLS connection cannot be shared at all."""
    code = """
traffic = Traffic(3)
def work():
    for turn in range(3): check(f"child-{turn}")
for _ in range(5): wait(forked(work))
traffic.stop()
"""
    tls = trusted.server_context("127.0.0.1")
    with ScriptedServer(then=ECHO, tls=tls) as server:
        _run(code, server.url)


def test_a_child_of_a_child_works() -> None:
    """And each can go on with its own traffic."""
    code = """
check("parent")
def grandchild():
    check("grandchild")
def work():
    check("child")
    traffic = Traffic(2)
    inner = forked(grandchild)
    wait(inner)
    traffic.stop()
wait(forked(work))
check("last")
"""
    with ScriptedServer(then=ECHO) as server:
        _run(code, server.url)


def test_a_child_that_ends_as_usual_does_so_at_once() -> None:
    """The parent's threads, which it does not have, are not waited for; nor does it disturb the parent."""
    code = """
traffic = Traffic(4)
start = time.monotonic()
child = os.fork()
if child == 0:
    traffic.errors = []
    check("child")
    sys.exit(0)
wait(child)
took = time.monotonic() - start
traffic.stop()
check("last")
assert took < 1, took
"""
    with ScriptedServer(then=ECHO) as server:
        _run(code, server.url)


def test_many_children_at_once_work() -> None:
    """As a pool of processes makes them."""
    code = """
import multiprocessing

def work(number):
    check(f"pool-{os.getpid()}-{number}")
    return number

check("warm")
traffic = Traffic(2)
context = multiprocessing.get_context("fork")
with context.Pool(4) as pool:
    assert sorted(pool.map(work, range(40))) == list(range(40))
    pool.close()
    pool.join()
traffic.stop()
"""
    with ScriptedServer(then=ECHO) as server:
        _run(code, server.url)
        assert sum("pool-" in request.path for request in server.requests) == 40


def test_a_call_that_was_waiting_for_its_turn_is_the_parents() -> None:
    """With a limit of one, a queue at the fork: the child starts with an empty one, and its own place."""

    @dataclass(frozen=True)
    class Slow(Step):
        def run(self, peer: Peer) -> None:
            peer.server.stopping.wait(0.02)
            peer.send(ok(peer.requests[-1].path.encode()))

    code = """
traffic = Traffic(6)
def work():
    start = time.monotonic()
    check(f"child-{os.getpid()}")
    assert time.monotonic() - start < 1
for _ in range(5): wait(forked(work))
traffic.stop()
"""
    variables = {"TENSORSTORE_S3_REQUEST_CONCURRENCY": "1"}
    with ScriptedServer(then=[Forever(READ, Slow())]) as server:
        _run(code, server.url, variables=variables)
        names = [request.path for request in server.requests]
        assert len(set(names)) == len(names), "a request of the parent was sent by a child too"
        assert sum("child" in name for name in names) == 5


def test_a_batch_of_the_parents_ends_in_a_child() -> None:
    """With an error, for nobody works on it there; the parent's goes on."""
    code = """
found = store.iter_many([f"k{number}" for number in range(2000)])
next(found)
def work():
    try:
        for _ in found: pass
    except s3kv.StoreClosed as error:
        assert "fork" in str(error), error
    else:
        raise AssertionError("it came to its end")
    check("child")
wait(forked(work))
assert sum(1 for _ in found) == 1999
"""
    with ScriptedServer(then=ECHO) as server:
        _run(code, server.url)


def test_a_store_made_before_the_fork_and_first_used_in_the_child_works() -> None:
    """Nothing had been started; nothing is missed."""
    code = """
def work():
    for turn in range(3): check(f"child-{turn}")
wait(forked(work))
check("parent")
"""
    with ScriptedServer(then=ECHO) as server:
        _run(code, server.url)


def test_credentials_work_in_a_child(keys: None) -> None:
    """Their lock may have been held by a thread that the child does not have."""
    code = """
store = s3kv.Store(bucket="bucket", endpoint=sys.argv[1], aws_region="us-east-1",
                   aws_credentials={"type": "environment"})
check("first")
traffic = Traffic(2)
def work():
    check("child")
for _ in range(3): wait(forked(work))
traffic.stop()
"""
    with ScriptedServer(then=ECHO) as server:
        _run(code, server.url)
        for request in server.requests:
            assert request.header("authorization")


def test_a_parent_may_close_its_store_while_the_child_uses_it() -> None:
    """They are two stores from the fork on."""
    code = """
check("warm")
reading, writing = os.pipe()
def work():
    os.read(reading, 1)
    check("child")
child = forked(work)
store.close()
os.write(writing, b"x")
wait(child)
"""
    with ScriptedServer(then=ECHO) as server:
        _run(code, server.url)
