"""Secrets do not come back in errors, and masking them changes no decision."""

from __future__ import annotations

import pytest

from s3kv.credentials.value import Credentials
from s3kv.errors import MalformedResponse
from s3kv.messages import Origin, Response, WireRequest
from s3kv.pipeline.redact import mask_answer, mask_error, secrets_of
from s3kv.xml import parse_error

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
TOKEN = "FwoGZXIvYXdzEBYaDK/session=token"
SIGNATURE = "0123456789abcdef" * 4
WIRE = WireRequest(
    Origin("http", "localhost", 9000),
    "GET",
    "/bucket/key",
    f"Authorization: AWS4-HMAC-SHA256 Credential=AK/-, SignedHeaders=host, Signature={SIGNATURE}\r\n",
)
SECRETS = secrets_of(Credentials("AK", SECRET, TOKEN), WIRE)


def _answer(body: str, **headers: str) -> Response:
    response = Response(403, dict(headers), body.encode())
    response.error = parse_error(response.body)
    return response


@pytest.mark.parametrize("secret", [SECRET, TOKEN, SIGNATURE])
def test_a_secret_is_masked_wherever_an_error_would_quote_it(secret: str) -> None:
    """Message, ids, location and the words of a page."""
    response = _answer(
        f"<Error><Code>AccessDenied</Code><Message>no {secret}</Message><RequestId>{secret}</RequestId>"
        f"<HostId>{secret}</HostId><Endpoint>{secret}</Endpoint></Error>",
        location=f"http://other/?x={secret}",
    )
    mask_answer(response, SECRETS)
    assert response.error is not None
    assert response.error.message == "no …"
    assert secret not in str((response.error, response.headers, response.body))


def test_a_secret_that_a_url_holds_is_masked_too() -> None:
    """A redirect may carry it percent-encoded."""
    response = _answer("", location="http://other/?token=FwoGZXIvYXdzEBYaDK%2Fsession%3Dtoken")
    mask_answer(response, SECRETS)
    assert response.headers["location"] == "http://other/?token=…"


@pytest.mark.parametrize("secret", ["e", "Key", "NoSuchKey", "Error", "Code"])
def test_a_secret_like_a_word_of_the_answer_changes_no_decision(secret: str) -> None:
    """Nobody should have such a secret; test servers do."""
    response = _answer("<Error><Code>NoSuchKey</Code><Message>m</Message></Error>")
    mask_answer(response, secrets_of(Credentials("AK", secret), None))
    assert response.code == "NoSuchKey"


def test_the_beginning_of_a_secret_in_an_excerpt_is_masked() -> None:
    """An excerpt may cut it anywhere."""
    error = MalformedResponse(f"the answer starts like {SIGNATURE[:20]!r}…")
    mask_error(error, SECRETS)
    assert "0123456" not in str(error)
    assert "…" in error.args[0]


def test_anonymous_requests_have_nothing_to_mask() -> None:
    """No keys, no signature."""
    assert secrets_of(Credentials("", ""), WIRE._replace(lines="Host: localhost\r\n")) == []
