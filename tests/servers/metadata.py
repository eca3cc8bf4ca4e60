"""Fake sources of credentials, and a fake S3 that knows whose credentials it was sent.

``FakeImds`` is the metadata service of an EC2 machine, ``FakeContainer`` the credentials endpoint of
ECS and EKS, ``FakeSts`` the service that lends roles. Each is told what to answer::

    with FakeContainer(keys(1, expires=300), keys(2)) as container, FakeS3() as s3:
        ...                                 # a store on s3.url asks container.url
    assert s3.signers == [keys(1).signer, keys(2).signer]

An answer is ``Keys``; a status; bytes, sent with status 200; ``HANG``, no answer at all; or a ``Reply``.
The last one is given for ever. All of them listen on 127.0.0.1, count what they are asked, hold their
answers back while ``gate`` is cleared, and leave nothing behind.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from botocore.credentials import Credentials, RefreshableCredentials

import s3kv
from tests.wire import sigv4
from tests.wire.scripted import (
    LOOPBACK,
    PATIENCE,
    READ,
    Answer,
    ClientGone,
    Forever,
    Gauge,
    Recorded,
    ScriptedServer,
    answer,
    error,
    ok,
)

REGION = "us-east-1"


class Keys(NamedTuple):
    """Credentials, as a provider hands them out.

    Attributes:
        expires: Seconds from the answer to the end of their life; None for keys without an end.
    """

    access_key: str
    secret_key: str
    token: str
    expires: float | None = 3600

    @property
    def signer(self) -> tuple[str, str]:
        """What of them a request shows: the access key and the session token."""
        return self.access_key, self.token

    @property
    def object(self) -> Credentials:
        """The same as an object of botocore's that never refreshes itself."""
        return Credentials(self.access_key, self.secret_key, self.token)

    @property
    def expiration(self) -> str | None:
        """The end of their life, as AWS writes it."""
        if self.expires is None:
            return None
        end = datetime.now(timezone.utc) + timedelta(seconds=self.expires)
        return end.strftime("%Y-%m-%dT%H:%M:%SZ")

    def document(self, token: str = "Token", **more: Any) -> dict[str, Any]:
        """The JSON object that a provider answers with.

        Args:
            token: What the session token is called: ``"SessionToken"`` for a ``credential_process``.
        """
        found = {"AccessKeyId": self.access_key, "SecretAccessKey": self.secret_key, token: self.token}
        if self.expires is not None:
            found["Expiration"] = str(self.expiration)
        return {**found, **more}


def keys(number: int = 1, expires: float | None = 3600) -> Keys:
    """Credentials that no other number has; the same ones every time."""
    return Keys(
        f"AKIDFAKE{number:04}",
        f"Secret{number:04}wJalrXUtnFEMI/K7MDENG+bPxRfiCYFAKE",
        f"Token{number:04}FwoGZXIvYXdzEBYaDFAKE+/SESSION//wEaDA==",
        expires,
    )


class Reply(NamedTuple):
    """An answer, down to its status.

    Attributes:
        seconds: How long it takes.
    """

    status: int = 200
    body: bytes | Keys = b""
    seconds: float = 0.0


# No answer: the connection stays open and silent until the client gives up.
HANG: Final = Reply(seconds=PATIENCE)

Given = Keys | int | bytes | Reply

# JSON, but no credentials: the provider has failed, and asking once more at once is no use.
NOT_CREDENTIALS: Final = b'{"Code": "Failed", "Message": "Sorry, not trusted."}'


class _Fake(ScriptedServer):
    """A server whose answers a method makes.

    Attributes:
        gate: Cleared while answers are to be held back.
        at_once: How many requests are being answered.
    """

    def __init__(self) -> None:
        super().__init__(then=[Forever(READ, Answer(self._answer))])
        self.gate = threading.Event()
        self.gate.set()
        self.at_once = Gauge()

    def __enter__(self) -> Any:
        return super().__enter__()

    def respond(self, request: Recorded) -> bytes:
        """The answer to a request."""
        raise NotImplementedError

    def until(self, count: int) -> None:
        """Wait until so many requests have come."""
        end = time.monotonic() + PATIENCE
        while len(self.requests) < count:
            assert time.monotonic() < end, f"{len(self.requests)} of {count} requests came"
            time.sleep(0.002)

    def _answer(self, request: Recorded) -> bytes:
        with self.at_once:
            # Decided on arrival, in the order of arrival, however long the answer is held back.
            made = self.respond(request)
            while not self.gate.wait(0.005):
                if self.stopping.is_set():
                    raise ClientGone
            return made

    def _wait(self, seconds: float) -> None:
        if seconds and self.stopping.wait(seconds):
            raise ClientGone


class _Provider(_Fake):
    """A server that hands out credentials, one answer after the other."""

    def __init__(self, *answers: Given) -> None:
        super().__init__()
        self._answers = list(answers)
        self._choice = threading.Lock()

    def script(self, *answers: Given) -> None:
        """Answer differently from now on."""
        with self._choice:
            self._answers = list(answers)

    def take(self) -> Given:
        """The next answer; the last one again and again."""
        with self._choice:
            return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def give(self, given: Given, **more: Any) -> bytes:
        """The bytes of an answer.

        Args:
            more: Further members of credentials' JSON.
        """
        reply = given if isinstance(given, Reply) else Reply(body=b"" if isinstance(given, int) else given)
        if isinstance(given, int):
            reply = Reply(given, f"Sorry, {given}.".encode())
        self._wait(reply.seconds)
        if reply is HANG:
            raise ClientGone
        body = reply.body
        if isinstance(body, Keys):
            body = json.dumps(body.document(**more)).encode()
        return answer(reply.status, body, "Content-Type: application/json")


class FakeContainer(_Provider):
    """The credentials endpoint of a container, at any path."""

    def __init__(self, *answers: Given) -> None:
        super().__init__(*(answers or (keys(),)))

    @property
    def uri(self) -> str:
        """What AWS_CONTAINER_CREDENTIALS_FULL_URI is set to."""
        return f"{self.url}/v2/credentials?id=role"

    @property
    def spec(self) -> dict[str, str]:
        """The credentials of a store that asks here."""
        return {"type": "ecs", "endpoint": self.uri}

    @property
    def authorizations(self) -> list[str | None]:
        """The Authorization header of each request, in order."""
        return [request.header("authorization") for request in self.requests]

    def respond(self, request: Recorded) -> bytes:
        return self.give(self.take(), RoleArn="arn:aws:iam::123456789012:role/task")


class FakeImds(_Provider):
    """The instance metadata service, version 2; each of its three steps can be made to fail.

    Attributes:
        token: None to hand out session tokens; or how asking for one is answered. With ``HANG`` nothing
            is answered any more.
        role: The name of the role; or how asking for its name is answered.
        version_1: There are no tokens, and none is needed.
    """

    TOKEN = "IMDSTOKENwithoutWhichNothingIsToldAAAAAAAAAAAAAAAAAA=="
    TOKENS = "/latest/api/token"
    ROLES = "/latest/meta-data/iam/security-credentials/"

    def __init__(
        self,
        *answers: Given,
        token: Given | None = None,
        role: str | Given = "wire-role",
        version_1: bool = False,
    ) -> None:
        super().__init__(*(answers or (keys(),)))
        self.token = token
        self.role = role
        self.version_1 = version_1

    @property
    def fetches(self) -> int:
        """How often credentials were asked for."""
        return sum(self._fetches(request) for request in list(self.requests))

    def _fetches(self, request: Recorded) -> bool:
        return request.path.startswith(self.ROLES) and request.path != self.ROLES

    def respond(self, request: Recorded) -> bytes:
        if self.token is HANG:
            return self.give(HANG)
        if (request.method, request.path) == ("PUT", self.TOKENS):
            if self.version_1:
                return self.give(405)
            if self.token is not None:
                return self.give(self.token)
            lifetime = request.header("x-aws-ec2-metadata-token-ttl-seconds")
            return self.give(self.TOKEN.encode() if lifetime else 400)
        if not self.version_1 and request.header("x-aws-ec2-metadata-token") != self.TOKEN:
            return self.give(401)
        if request.path == self.ROLES:
            return self.give(self.role.encode() if isinstance(self.role, str) else self.role)
        if self._fetches(request):
            return self.give(self.take(), Code="Success", Type="AWS-HMAC")
        return self.give(404)


class FakeSts(_Provider):
    """The Security Token Service: lends a role to whoever asks."""

    def __init__(self, *answers: Given) -> None:
        super().__init__(*(answers or (keys(),)))

    @property
    def forms(self) -> list[dict[str, str]]:
        """What was asked, in order."""
        return [dict(parse_qsl(request.body.decode())) for request in self.requests]

    def respond(self, request: Recorded) -> bytes:
        action = dict(parse_qsl(request.body.decode()))["Action"]
        given = self.take()
        if not isinstance(given, Keys):
            fault = "<Code>AccessDenied</Code><Message>Sorry, not yours.</Message>"
            text = f"<ErrorResponse><Error><Type>Sender</Type>{fault}</Error></ErrorResponse>"
            return answer(403, text.encode(), "Content-Type: text/xml")
        text = (
            f'<{action}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{action}Result>'
            f"<Credentials><AccessKeyId>{given.access_key}</AccessKeyId>"
            f"<SecretAccessKey>{given.secret_key}</SecretAccessKey>"
            f"<SessionToken>{given.token}</SessionToken><Expiration>{given.expiration}</Expiration>"
            f"</Credentials></{action}Result></{action}Response>"
        )
        return answer(200, text.encode(), "Content-Type: text/xml")


class Aging:
    """Credentials that refresh themselves, in a time of their own.

    Attributes:
        object: botocore's; it begins with ``keys(1)`` and an hour to go, then come ``keys(2)`` and so on.
        calls: How often it was refreshed, or tried to be.
        gate: Cleared while refreshing is to take long.
        failure: What refreshing raises, or None.
        lasts: How long the next credentials are good for.
        at_once: How many threads refresh it.
    """

    def __init__(self) -> None:
        self._now = datetime.now(timezone.utc)
        self.calls = 0
        self.gate = threading.Event()
        self.gate.set()
        self.failure: Exception | None = None
        self.lasts = timedelta(hours=1)
        self.at_once = Gauge()
        first = self._metadata(1)
        self.object = RefreshableCredentials(
            first["access_key"],
            first["secret_key"],
            first["token"],
            self._now + self.lasts,
            refresh_using=self._refresh,
            method="test",
            time_fetcher=lambda: self._now,
        )
        self._end = self._now + self.lasts

    def leave(self, seconds: float) -> None:
        """Let time pass until so many seconds are left."""
        self._now = self._end - timedelta(seconds=seconds)

    def _metadata(self, number: int) -> dict[str, str]:
        found = keys(number)
        end = (self._now + self.lasts).isoformat()
        names = ("access_key", "secret_key", "token", "expiry_time")
        return dict(zip(names, (found.access_key, found.secret_key, found.token, end), strict=True))

    def _refresh(self) -> dict[str, str]:
        with self.at_once:
            self.calls += 1
            assert self.gate.wait(10)
            if self.failure is not None:
                raise self.failure
            self._end = self._now + self.lasts
            return self._metadata(1 + self.calls)


class FakeS3(_Fake):
    """Every object is ``b"value"``, to anybody whose session token has not expired.

    Attributes:
        expired: Session tokens that are refused, and the code that each is refused with.
    """

    def __init__(self) -> None:
        super().__init__()
        self.expired: dict[str, str] = {}

    @property
    def signers(self) -> list[tuple[str, str] | None]:
        """The access key and the session token of each request in order; None for an unsigned one.

        The token is empty for a request that has none.
        """
        return [_signer(request) for request in list(self.requests)]

    def expire(self, *spent: Keys, code: str = "ExpiredToken") -> None:
        """Refuse credentials from now on."""
        for credentials in spent:
            self.expired[credentials.token] = code

    def check(self, credentials: Keys) -> None:
        """Assert that every request has a true signature of these credentials."""
        for request in self.requests:
            sigv4.check(request, credentials.access_key, credentials.secret_key, REGION)
            assert request.header("x-amz-security-token") == credentials.token

    def respond(self, request: Recorded) -> bytes:
        code = self.expired.get(request.header("x-amz-security-token") or "")
        if code is not None:
            return error(400, code, message="The provided token is no good.")
        return ok(b"value")

    def store(self, credentials: Any = None, **options: Any) -> s3kv.Store:
        """Open a store here, with credentials as a spec has them; without any for None."""
        if credentials is not None:
            options["aws_credentials"] = credentials
        return s3kv.Store(bucket="bucket", endpoint=self.url, aws_region=REGION, **options)


def _signer(request: Recorded) -> tuple[str, str] | None:
    proof = request.header("authorization")
    if proof is None:
        assert request.header("x-amz-security-token") is None, "a session token without a signature"
        return None
    access_key = proof.partition("Credential=")[2].partition("/")[0]
    return access_key, request.header("x-amz-security-token") or ""


@contextlib.contextmanager
def refused() -> Iterator[str]:
    """The address of a port where nobody listens, and nobody can come to."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        yield f"http://{LOOPBACK}:{held.getsockname()[1]}"


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """The address of a port that takes connections and never says anything."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"


def shown(error: BaseException) -> str:
    """All that an exception tells anybody: itself and its causes, as text, as a report and pickled."""
    texts = ["".join(traceback.format_exception(error)), ascii(pickle.dumps(error))]
    link: BaseException | None = error
    while link is not None:
        texts += [str(link), repr(link)]
        link = link.__cause__ or link.__context__
    return "\n".join(texts)


def lender() -> Credentials:
    """A callable of a module, which a store can be pickled with."""
    return keys().object
