"""Requests to a server without s3kv and without boto3: nothing in between tidies up what is sent.

boto3 decodes listings, repairs keys and hides statuses; a statement about a server, and the departures
that the suite relies on, must not depend on what a client library makes of it. Only the signature is
botocore's.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote_plus, urlsplit
from xml.etree import ElementTree

import botocore.auth
import botocore.awsrequest
import botocore.credentials

from tests.servers import ServerInfo

_TIMEOUT_SECONDS = 60.0


class Answer(NamedTuple):
    """One answer of a server.

    Attributes:
        status: The HTTP status.
        headers: Names in lower case.
        body: The bytes, not decoded in any way.
        open: The server did not close the connection.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    open: bool

    @property
    def code(self) -> str:
        """The code of an error answer; empty when it has none."""
        return self.xml().findtext("{*}Code") or "" if self.body.startswith(b"<") else ""

    def xml(self) -> ElementTree.Element:
        """The body as a tree; not well-formed XML is a failure of the test."""
        try:
            return ElementTree.fromstring(self.body)
        except ElementTree.ParseError as error:
            raise AssertionError(f"not XML: {error}: {self.body[:300]!r}") from error


class Page(NamedTuple):
    """One page of a listing, decoded where it says that it is encoded.

    Attributes:
        keys: The keys, in the order of the answer.
        prefixes: The common prefixes, in the order of the answer.
        token: What continues the listing, or None at its end.
        contents: Each object's facts, by the names S3 has for them.
    """

    keys: list[str]
    prefixes: list[str]
    token: str | None
    contents: list[dict[str, str]]


class Direct:
    """Sends requests to one server, each on a connection of its own unless told otherwise."""

    def __init__(self, info: ServerInfo, bucket: str) -> None:
        self._info = info
        self.bucket = bucket

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection that several requests may be sent on; close it."""
        parts = urlsplit(self._info.endpoint)
        return http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT_SECONDS)

    def send(
        self,
        method: str,
        key: str | None = None,
        body: bytes = b"",
        *,
        query: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        bucket: str | None = None,
        secret: str | None = None,
        signed: bool = True,
        connection: http.client.HTTPConnection | None = None,
    ) -> Answer:
        """Send one request, its key percent-encoded once and otherwise as it is."""
        target = f"/{quote(self.bucket if bucket is None else bucket)}"
        if key is not None:
            target += f"/{quote(key, safe='/-._~')}"
        if query:
            pairs = sorted((quote(name, safe="-._~"), quote(value, safe="-._~")) for name, value in query)
            target += "?" + "&".join(f"{name}={value}" for name, value in pairs)
        request = botocore.awsrequest.AWSRequest(
            method, self._info.endpoint + target, headers=dict(headers or {}), data=body
        )
        if signed:
            keys = botocore.credentials.Credentials(
                self._info.access_key, self._info.secret_key if secret is None else secret
            )
            botocore.auth.S3SigV4Auth(keys, "s3", self._info.region).add_auth(request)
        link = self.connect() if connection is None else connection
        try:
            return self._exchange(link, method, target, dict(request.headers.items()), body)
        finally:
            if connection is None:
                link.close()

    @staticmethod
    def _exchange(
        link: http.client.HTTPConnection, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> Answer:
        link.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            link.putheader(name, value)
        if body or method == "PUT":
            link.putheader("Content-Length", str(len(body)))
        link.endheaders(body or None)
        with link.getresponse() as response:
            told = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, told, response.read(), not response.will_close)

    def put(self, key: str, body: bytes = b"", **headers: str) -> Answer:
        """Store an object; underscores in names of headers stand for hyphens."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.send("PUT", key, body, headers=named)
        assert answer.status == 200, (answer.status, answer.body[:300])
        return answer

    def publish(self, bucket: str) -> None:
        """Let everybody read and list a bucket, by a policy."""
        statements = [
            {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": f"arn:aws:s3:::{resource}"}
            for action, resource in (("s3:GetObject", f"{bucket}/*"), ("s3:ListBucket", bucket))
        ]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements}).encode()
        answer = self.send("PUT", None, policy, query=[("policy", "")], bucket=bucket)
        assert answer.status in (200, 204), (answer.status, answer.body[:300])

    def page(self, **query: str) -> Page:
        """Ask for one page of a listing; underscores in names of parameters stand for hyphens."""
        asked = [(name.replace("_", "-"), value) for name, value in query.items()]
        answer = self.send("GET", query=[("list-type", "2"), ("encoding-type", "url"), *asked])
        assert answer.status == 200, (answer.status, answer.body[:300])
        root = answer.xml()
        decode = unquote_plus if root.findtext("{*}EncodingType") == "url" else str

        def text(element: ElementTree.Element, name: str) -> str:
            return decode(element.findtext(f"{{*}}{name}") or "")

        contents = [
            {child.tag.rpartition("}")[2]: child.text or "" for child in element}
            for element in root.iterfind("{*}Contents")
        ]
        return Page(
            [text(element, "Key") for element in root.iterfind("{*}Contents")],
            [text(element, "Prefix") for element in root.iterfind("{*}CommonPrefixes")],
            root.findtext("{*}NextContinuationToken") or None,
            contents,
        )

    def keys(self, **query: str) -> list[str]:
        """List keys to the end, a page at a time, in the order in which they come."""
        found: list[str] = []
        while True:
            page = self.page(**query)
            found += page.keys
            if page.token is None:
                return found
            query.pop("start_after", None)
            query["continuation_token"] = page.token
