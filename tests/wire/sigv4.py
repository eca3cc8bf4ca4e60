"""What a strict server computes from the bytes of a request: is the signature of just these bytes?

Written from AWS's description, without a look at the client's code.
https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

from __future__ import annotations

import hashlib
import hmac
import re

from tests.wire.scripted import Recorded

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/, ]+)/([0-9]{8})/([^/, ]+)/s3/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)


def check(request: Recorded, access_key: str, secret: str, region: str) -> None:
    """Assert that a request is signed as S3 demands, and that its payload hash is true."""
    authorization = request.header("authorization")
    assert authorization is not None, "the request is not signed"
    match = _AUTHORIZATION.fullmatch(authorization)
    assert match is not None, f"the Authorization header is {authorization}"
    assert match[1] == access_key
    assert match[3] == region
    signed = match[4].split(";")
    assert signed == sorted(signed)
    assert "host" in signed
    for name in request.names:
        assert name in signed or not name.startswith("x-amz-"), f"{name} is not signed"
    date = request.header("x-amz-date")
    assert date is not None
    assert date.startswith(match[2])
    digest = hashlib.sha256(request.body).hexdigest()
    assert request.header("x-amz-content-sha256") == digest, "the payload's hash is not its hash"
    headers = "".join(f"{name}:{_collapse(request.header(name))}\n" for name in signed)
    canonical = "\n".join([request.method, request.path, _sorted(request.query), headers, match[4], digest])
    scope = f"{match[2]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    expected = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    assert match[5] == expected, f"the signature is not that of the request:\n{canonical}"


def _collapse(value: str | None) -> str:
    assert value is not None, "a signed header was not sent"
    return " ".join(value.split())


def _sorted(query: str) -> str:
    pairs = [pair if "=" in pair else f"{pair}=" for pair in query.split("&") if pair]
    return "&".join(sorted(pairs, key=lambda pair: pair.partition("=")[::2]))
