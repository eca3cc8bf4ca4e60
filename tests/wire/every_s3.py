"""The little S3 in memory, with what its other tests can do without: listings, ranges, many deletions."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from tests.wire.memory_s3 import MemoryS3, Stored
from tests.wire.scripted import Recorded, answer, error, listing


class EveryS3(MemoryS3):
    """Answers every request that s3kv sends.

    Attributes:
        page: How many keys a page of a listing has at most.
    """

    page = 3

    def hold(self, **objects: bytes) -> None:
        """Have these objects and no others, and no history."""
        with self._lock:
            self.objects = {key: Stored(value) for key, value in objects.items()}
            self.uploads.clear()
            self.applied.clear()
            self.aborted.clear()

    @property
    def values(self) -> dict[str, bytes]:
        """The objects, as bytes."""
        return {key: stored.value for key, stored in self.objects.items()}

    def _answer(self, request: Recorded) -> bytes:
        query = parse_qs(request.query, keep_blank_values=True)
        if request.method == "POST" and "delete" in query:
            return self._delete(request)
        if "list-type" in query:
            return self._list({name: values[0] for name, values in query.items()})
        told = super()._answer(request)
        asked = request.header("range")
        if request.method != "GET" or asked is None or not told.startswith(b"HTTP/1.1 200"):
            return told
        return self._range(self.objects[unquote(request.path)[1:].partition("/")[2]], asked)

    def _range(self, stored: Stored, asked: str) -> bytes:
        size = len(stored.value)
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(0, size - int(last))
        stop = min(int(last) + 1, size) if first and last else size
        if start >= size:
            return error(416, "InvalidRange", f"Content-Range: bytes */{size}")
        where = f"Content-Range: bytes {start}-{stop - 1}/{size}"
        return answer(206, stored.value[start:stop], f"ETag: {stored.etag}", where)

    def _list(self, query: dict[str, str]) -> bytes:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        after = query.get("continuation-token") or query.get("start-after", "")
        keys = sorted(key for key in self.objects if key.startswith(prefix) and key > after)
        folders: set[str] = set()
        if delimiter:
            inner = [key for key in keys if delimiter in key.removeprefix(prefix)]
            folders = {
                prefix + key.removeprefix(prefix).partition(delimiter)[0] + delimiter for key in inner
            }
            keys = [key for key in keys if key not in inner]
        size = min(self.page, int(query.get("max-keys", self.page)))
        token = keys[size - 1] if len(keys) > size else None
        shown = "".join(
            f"<CommonPrefixes><Prefix>{quote(name)}</Prefix></CommonPrefixes>" for name in folders
        )
        return listing(*(quote(key) for key in keys[:size]), token=token, extra=shown)

    def _delete(self, request: Recorded) -> bytes:
        told = ""
        for named in ElementTree.fromstring(request.body).iterfind("{*}Object/{*}Key"):
            key = named.text or ""
            if self.objects.pop(key, None) is not None:
                self.applied.append(("DELETE", key, b""))
            told += f"<Deleted><Key>{escape(key)}</Key></Deleted>"
        body = f'<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{told}</DeleteResult>'
        return answer(200, body.encode(), "Content-Type: application/xml")
