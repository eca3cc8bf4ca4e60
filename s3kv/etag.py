"""ETags: stores write them with quotes, without, or as XML entities; here they are always quoted."""

from __future__ import annotations

from .errors import MalformedResponse


def quoted(text: str) -> str:
    """The ETag in double quotes; an empty string stays empty."""
    if text[:1] == '"' == text[-1:] and len(text) > 1:
        return text
    text = text.strip()
    if not text:
        return ""
    if text.startswith('W/"'):
        return text
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        return text
    if text.startswith("&quot;") and text.endswith("&quot;"):
        text = text[6:-6]
    return f'"{text}"'


def required(headers: dict[str, str]) -> str:
    """The quoted ETag of an answer that must have one.

    Raises:
        MalformedResponse: it has none.
    """
    etag = quoted(headers.get("etag", ""))
    if not etag:
        raise MalformedResponse("the answer has no ETag")
    return etag
