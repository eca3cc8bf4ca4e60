"""What the suite believes of the servers is so: they do what Amazon S3 does, departures aside.

Nothing here goes through s3kv. A test that fails here says that a server is not what the table of
departures says; a test of another module that fails while these pass says that s3kv is wrong.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import time
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import pytest

from tests.contract.direct import Answer, Direct
from tests.contract.shapes import fitted
from tests.servers import BEHAVIOURS, KEY_SHAPES, LocalProcessServer, departure
from tests.servers.departures import FATAL

feature = pytest.mark.feature

TEN = b"0123456789"
NOWHERE = "no-such-bucket"


# ---------------------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    "key", [pytest.param(key, id=name, marks=feature(name)) for name, key in KEY_SHAPES.items()]
)
def test_a_key_of_any_shape_is_stored_under_its_own_name(direct: Direct, path: str, key: str) -> None:
    """Its body and metadata come back under the very key, which is listed and can be deleted."""
    key = fitted(path, key)
    direct.put(path + key, b"body", x_amz_meta_name="value")
    answer = direct.send("GET", path + key)
    assert (answer.status, answer.body) == (200, b"body")
    assert answer.headers["x-amz-meta-name"] == "value"
    assert direct.keys(prefix=path) == [path + key]
    assert direct.send("DELETE", path + key).status == 204
    assert direct.send("GET", path + key).status == 404


@feature("prefix-key")
@pytest.mark.parametrize("keys", [("a", "a/b"), ("a/b", "a")], ids=["parent first", "child first"])
def test_a_key_and_a_longer_one_that_goes_on_with_a_slash_are_unrelated(
    direct: Direct, path: str, keys: tuple[str, str]
) -> None:
    """There are no folders."""
    for key in keys:
        direct.put(path + key, key.encode())
    for key in keys:
        assert direct.send("GET", path + key).body == key.encode()


@feature("normal-forms")
def test_a_letter_and_its_decomposed_form_are_different_keys(direct: Direct, path: str) -> None:
    """Keys are bytes; nothing about Unicode is known."""
    for key in ("\u00e9", "e\u0301"):
        direct.put(path + key, key.encode())
    for key in ("\u00e9", "e\u0301"):
        assert direct.send("GET", path + key).body == key.encode()


@feature("parent-not-a-key")
def test_what_would_be_a_folder_of_a_key_is_a_missing_key(direct: Direct, path: str) -> None:
    """Reading it is 404, and deleting it changes nothing."""
    direct.put(path + "a/b/c", b"body")
    for parent in ("a/b", "a/b/"):
        assert direct.send("GET", path + parent).status == 404
        assert direct.send("HEAD", path + parent).status == 404
        assert direct.send("DELETE", path + parent).status == 204
    assert direct.send("GET", path + "a/b/c").body == b"body"


@feature("missing-key-404")
def test_a_missing_key_is_404_and_may_be_deleted(direct: Direct, path: str) -> None:
    """GET has the code NoSuchKey."""
    answer = direct.send("GET", path + "missing")
    assert (answer.status, answer.code) == (404, "NoSuchKey")
    assert direct.send("HEAD", path + "missing").status == 404
    assert direct.send("DELETE", path + "missing").status == 204


# ------------------------------------------------------------------------------- objects


@feature("empty-object")
def test_an_empty_object_is_an_object(direct: Direct, path: str) -> None:
    """It is read, described and listed with no bytes."""
    direct.put(path + "empty")
    answer = direct.send("GET", path + "empty")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
    assert direct.send("HEAD", path + "empty").headers["content-length"] == "0"
    (entry,) = direct.page(prefix=path).contents
    assert entry["Size"] == "0"


@feature("head")
def test_head_tells_what_get_tells(direct: Direct, path: str) -> None:
    """Length and ETag, without a body; the ETag is the MD5 of the bytes, quoted."""
    etag = f'"{hashlib.md5(TEN).hexdigest()}"'
    assert direct.put(path + "key", TEN).headers["etag"] == etag
    for method, body in (("GET", TEN), ("HEAD", b"")):
        answer = direct.send(method, path + "key")
        assert (answer.status, answer.body) == (200, body)
        assert (answer.headers["content-length"], answer.headers["etag"]) == ("10", etag)


@feature("stat-metadata")
def test_metadata_come_back_with_names_in_lower_case(direct: Direct, path: str) -> None:
    """On GET and on HEAD."""
    direct.put(path + "key", TEN, X_Amz_Meta_Colour="Deep Blue")
    for method in ("GET", "HEAD"):
        assert direct.send(method, path + "key").headers["x-amz-meta-colour"] == "Deep Blue"


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("under_score", marks=feature("metadata-underscore")),
        pytest.param("!#$%&'*+^`|~", marks=feature("metadata-punctuation")),
    ],
)
def test_a_name_of_metadata_may_have_punctuation(direct: Direct, path: str, name: str) -> None:
    """It comes back as it is."""
    header = f"x-amz-meta-{name}"
    assert direct.send("PUT", path + "key", headers={header: "value"}).status == 200
    assert direct.send("HEAD", path + "key").headers.get(header) == "value"


@feature("content-type")
def test_a_content_type_comes_back_as_it_was_sent(direct: Direct, path: str) -> None:
    """On GET and on HEAD."""
    direct.put(path + "key", TEN, content_type="text/x-test; charset=utf-8")
    for method in ("GET", "HEAD"):
        assert direct.send(method, path + "key").headers["content-type"] == "text/x-test; charset=utf-8"


@feature("read-if-match")
def test_an_object_is_read_only_if_it_is_the_one_that_is_wanted(direct: Direct, path: str) -> None:
    """Any other version is 412."""
    etag = direct.put(path + "key", TEN).headers["etag"]
    for told, status in ((etag, 200), (f'"{"0" * 32}"', 412)):
        assert direct.send("GET", path + "key", headers={"If-Match": told}).status == status


@feature("read-if-none-match")
def test_an_object_is_not_read_if_it_is_the_one_that_is_known(direct: Direct, path: str) -> None:
    """That is 304, without its bytes."""
    etag = direct.put(path + "key", TEN).headers["etag"]
    for told, status in ((etag, 304), (f'"{"0" * 32}"', 200)):
        answer = direct.send("GET", path + "key", headers={"If-None-Match": told})
        assert (answer.status, len(answer.body)) == (status, 10 if status == 200 else 0)


@feature("last-modified")
def test_the_time_of_a_write_is_told_and_listed(direct: Direct, path: str) -> None:
    """To the second at least."""
    before = datetime.now(timezone.utc)
    direct.put(path + "key", TEN)
    told = parsedate_to_datetime(direct.send("HEAD", path + "key").headers["last-modified"])
    assert abs(told - before) < timedelta(seconds=5)
    (entry,) = direct.page(prefix=path).contents
    listed = datetime.strptime(entry["LastModified"].partition(".")[0].rstrip("Z"), "%Y-%m-%dT%H:%M:%S")
    assert listed.replace(tzinfo=timezone.utc) == told


@feature("keep-alive")
def test_a_connection_stays_open_after_an_answer(direct: Direct, path: str) -> None:
    """After an error too, and the next answer on it is right."""
    direct.put(path + "key", TEN)
    connection = direct.connect()
    try:
        for key, status in (("key", 200), ("missing", 404), ("key", 200)):
            answer = direct.send("GET", path + key, connection=connection)
            assert (answer.status, answer.open) == (status, True)
    finally:
        connection.close()


@feature("request-id")
def test_an_answer_has_a_request_id(direct: Direct, path: str) -> None:
    """Of an object, and of an error."""
    direct.put(path + "key", TEN)
    answers = [direct.send(m, path + key) for m in ("GET", "HEAD") for key in ("key", "missing")]
    ids = {answer.headers.get("x-amz-request-id") for answer in answers}
    assert len(ids - {None, ""}) == 4


# -------------------------------------------------------------------------------- ranges


@feature("range-middle")
def test_a_range_is_answered_with_206_and_those_bytes(direct: Direct, path: str) -> None:
    """Content-Range tells which they are."""
    direct.put(path + "key", TEN)
    answer = direct.send("GET", path + "key", headers={"Range": "bytes=2-4"})
    assert (answer.status, answer.body) == (206, b"234")
    assert answer.headers["content-range"] == "bytes 2-4/10"


@feature("range-suffix")
def test_a_suffix_is_answered_with_206_and_the_last_bytes(direct: Direct, path: str) -> None:
    """Content-Range tells which they are."""
    direct.put(path + "key", TEN)
    answer = direct.send("GET", path + "key", headers={"Range": "bytes=-3"})
    assert (answer.status, answer.body) == (206, b"789")
    assert answer.headers["content-range"] == "bytes 7-9/10"


@feature("range-long-suffix")
def test_a_suffix_longer_than_the_object_is_the_whole_object(direct: Direct, path: str) -> None:
    """As RFC 9110 has it."""
    direct.put(path + "key", TEN)
    answer = direct.send("GET", path + "key", headers={"Range": "bytes=-100"})
    assert (answer.status, answer.body) == (206, TEN)


@feature("range-past-end-416")
@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-12", "bytes=20-30"])
def test_a_range_past_the_end_is_416(direct: Direct, path: str, asked: str) -> None:
    """Also when it starts just at the end."""
    direct.put(path + "key", TEN)
    assert direct.send("GET", path + "key", headers={"Range": asked}).status == 416


@feature("range-empty-object-416")
def test_any_range_of_an_empty_object_is_416(direct: Direct, path: str) -> None:
    """No byte of it can be had."""
    direct.put(path + "empty")
    for asked in ("bytes=0-", "bytes=-3"):
        assert direct.send("GET", path + "empty", headers={"Range": asked}).status == 416


# ------------------------------------------------------------------------------ listings


@feature("list-utf8-order")
@pytest.mark.parametrize("size", ["1", "2", "1000"])
def test_keys_are_listed_in_the_order_of_their_bytes(direct: Direct, path: str, size: str) -> None:
    """A slash is a byte like any other, and so are those beyond the Basic Multilingual Plane."""
    keys = ["B", "a", "l/a-", "l/a/1", "l/a0", "l0", "é", "\uffee", "😀"]
    for key in reversed(keys):
        direct.put(path + key)
    assert direct.keys(prefix=path, max_keys=size) == [path + key for key in keys]


@feature("list-pages")
@pytest.mark.parametrize("size", ["1", "2", "3", "6", "7"])
def test_pages_of_any_size_have_each_key_once(direct: Direct, path: str, size: str) -> None:
    """No page is longer than asked."""
    keys = [f"{path}{number}" for number in range(6)]
    for key in keys:
        direct.put(key)
    assert direct.keys(prefix=path, max_keys=size) == keys
    assert len(direct.page(prefix=path, max_keys=size).keys) == min(6, int(size))


@feature("list-delimiter")
def test_a_delimiter_rolls_keys_up_into_common_prefixes(direct: Direct, path: str) -> None:
    """Only what follows the prefix counts."""
    for key in ("a", "b/1", "b/2", "b/c/3", "d/4"):
        direct.put(path + key)
    page = direct.page(prefix=path, delimiter="/")
    assert (page.keys, page.prefixes) == ([path + "a"], [path + "b/", path + "d/"])
    page = direct.page(prefix=path + "b/", delimiter="/")
    assert (page.keys, page.prefixes) == ([path + "b/1", path + "b/2"], [path + "b/c/"])


@feature("empty-prefix-vanishes")
def test_a_common_prefix_goes_with_its_last_key(direct: Direct, path: str) -> None:
    """There are no folders that could stay."""
    direct.put(path + "a/b/c")
    direct.put(path + "z")
    assert direct.send("DELETE", path + "a/b/c").status == 204
    page = direct.page(prefix=path, delimiter="/")
    assert (page.keys, page.prefixes) == ([path + "z"], [])


@feature("list-start-after")
def test_a_listing_starts_after_any_string(direct: Direct, path: str) -> None:
    """Be it a key, the start of one, or neither."""
    # A server that cannot have both 'l/a' and 'l/a/1' departs in another way.
    keys = [
        key for key in ("l/a", "l/a-", "l/a/1", "l/a0", "m") if direct.send("PUT", path + key).status == 200
    ]
    for start in ("l", "l/", "l/a", "l/a,", "l/a-", "l/a/", "l/a/1", "l/b", "m", "n"):
        expected = [path + key for key in keys if key > start]
        assert direct.keys(prefix=path, start_after=path + start) == expected


@feature("list-start-outside-prefix")
def test_a_start_need_not_have_the_prefix_of_the_listing(direct: Direct, path: str) -> None:
    """One before it leaves nothing out, one behind it everything."""
    keys = [path + "m1", path + "m2"]
    for key in keys:
        direct.put(key)
    assert direct.keys(prefix=path + "m", start_after=path + "a") == keys
    assert direct.keys(prefix=path + "m", start_after=path + "z") == []


@feature("list-page-1000")
def test_a_page_has_a_thousand_keys(direct: Direct, long_listing: str) -> None:
    """Unless fewer are asked for, or are left."""
    pages = [direct.page(prefix=long_listing)]
    while pages[-1].token is not None:
        pages.append(direct.page(prefix=long_listing, continuation_token=pages[-1].token))
    assert [len(page.keys) for page in pages] == [1000, 1000, 500]


@feature("list-encoding-type-url")
def test_a_listing_can_be_percent_encoded_and_then_says_so(direct: Direct, path: str) -> None:
    """Also a control character then survives, which XML could not carry."""
    direct.put(path + "a b+c\x01d")
    query = [("list-type", "2"), ("encoding-type", "url"), ("prefix", path)]
    answer = direct.send("GET", query=query)
    root = answer.xml()
    assert root.findtext("{*}EncodingType") == "url"
    assert "%01" in (root.findtext("{*}Contents/{*}Key") or "")
    assert direct.page(prefix=path).keys == [path + "a b+c\x01d"]


@feature("list-control-prefix")
def test_a_prefix_may_have_a_control_character(direct: Direct, path: str) -> None:
    """The answer, which repeats the prefix, is well-formed."""
    direct.put(path + "a\x01b")
    assert direct.page(prefix=path + "a\x01").keys == [path + "a\x01b"]


@feature("list-control-start-after")
def test_a_listing_may_start_after_a_control_character(direct: Direct, path: str) -> None:
    """The answer, which repeats the start, is well-formed."""
    direct.put(path + "a\x01b")
    direct.put(path + "a\x01c")
    assert direct.page(prefix=path, start_after=path + "a\x01b").keys == [path + "a\x01c"]


@feature("list-control-page-end")
def test_a_listing_goes_on_after_a_page_that_ends_at_a_control_character(direct: Direct, path: str) -> None:
    """Whatever its continuation token is made of."""
    keys = [path + key for key in ("a", "a\x01b", "a\x01c", "b")]
    for key in keys:
        direct.put(key)
    assert direct.keys(prefix=path, max_keys="1") == keys


@feature("list-control-echo")
def test_a_control_character_anywhere_in_a_listing_is_no_harm(direct: Direct, path: str) -> None:
    """In prefix, start and the end of a page."""
    keys = [path + key for key in ("a\x01b", "a\x01c", "a\x01d")]
    for key in keys:
        direct.put(key)
    assert direct.keys(prefix=path + "a\x01", start_after=keys[0], max_keys="1") == keys[1:]


@feature("list-etag-quoted")
def test_a_listed_etag_has_its_quotes(direct: Direct, path: str) -> None:
    """As it has in the header."""
    etag = direct.put(path + "key", TEN).headers["etag"]
    (entry,) = direct.page(prefix=path).contents
    assert (entry["ETag"], etag[0], etag[-1]) == (etag, '"', '"')


# ------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("method", "key"),
    [
        pytest.param("GET", "key", marks=feature("missing-bucket-404-get")),
        pytest.param("PUT", "key", marks=feature("missing-bucket-404-put")),
        pytest.param("DELETE", "key", marks=feature("missing-bucket-404-delete")),
        pytest.param("GET", None, marks=feature("missing-bucket-404-list")),
    ],
)
def test_a_missing_bucket_is_404_with_a_code_of_its_own(
    direct: Direct, method: str, key: str | None
) -> None:
    """Whatever is asked of it."""
    answer = direct.send(method, key, b"body" if method == "PUT" else b"", bucket=NOWHERE)
    assert (answer.status, answer.code) == (404, "NoSuchBucket")


@feature("missing-bucket-404-head")
def test_head_in_a_missing_bucket_is_404_without_a_body(direct: Direct) -> None:
    """Which alone cannot be told from a missing key."""
    answer = direct.send("HEAD", "key", bucket=NOWHERE)
    assert (answer.status, answer.body) == (404, b"")


@feature("wrong-secret-refused")
def test_a_signature_with_a_wrong_secret_is_refused(direct: Direct, path: str) -> None:
    """With 403, whatever is asked."""
    direct.put(path + "key", TEN)
    for method, key in (("GET", "key"), ("PUT", "other"), ("DELETE", "key")):
        body = TEN if method == "PUT" else b""
        answer = direct.send(method, path + key, body, secret="not the secret key")
        assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    assert direct.send("HEAD", path + "key", secret="not the secret key").status == 403
    assert direct.keys(prefix=path) == [path + "key"]


@feature("request-id-refused")
def test_a_refusal_of_a_signature_has_a_request_id(direct: Direct, path: str) -> None:
    """Which the server's log can be searched for."""
    answer = direct.send("GET", path + "key", secret="not the secret key")
    assert answer.status == 403
    assert answer.headers.get("x-amz-request-id")


@feature("anonymous-public-read")
def test_an_object_can_be_made_public_for_reading(direct: Direct, path: str) -> None:
    """Whoever does not sign can read it then."""
    direct.put(path + "key", TEN, x_amz_acl="public-read")
    answer = direct.send("GET", path + "key", signed=False)
    assert (answer.status, answer.body) == (200, TEN)


@feature("anonymous-policy")
def test_a_bucket_can_be_made_public_by_a_policy(direct: Direct, new_bucket: str) -> None:
    """Whoever does not sign can read and list it then."""
    direct.publish(new_bucket)
    assert direct.send("PUT", "key", TEN, bucket=new_bucket).status == 200
    assert direct.send("GET", "key", bucket=new_bucket, signed=False).body == TEN
    assert direct.send("GET", bucket=new_bucket, signed=False).status == 200


@feature("anonymous-read-refused")
def test_whoever_does_not_sign_cannot_read_a_private_object(direct: Direct, path: str) -> None:
    """Objects are private unless said otherwise."""
    direct.put(path + "key", TEN)
    assert direct.send("GET", path + "key", signed=False).status == 403
    assert direct.send("HEAD", path + "key", signed=False).status == 403


@feature("anonymous-write-refused")
def test_whoever_does_not_sign_cannot_write(direct: Direct, path: str) -> None:
    """Buckets are private unless said otherwise."""
    assert direct.send("PUT", path + "key", TEN, signed=False).status == 403
    assert direct.keys(prefix=path) == []


# ---------------------------------------------------------------------------- many at once


@feature("delete-many-folder")
def test_deleting_many_leaves_no_folder_behind(direct: Direct, path: str) -> None:
    """A folder is nothing but the keys below it."""
    key = f"{path}folder/key"
    direct.put(key)
    body = f"<Delete><Object><Key>{key}</Key></Object></Delete>".encode()
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    answer = direct.send("POST", None, body, query=[("delete", "")], headers={"content-md5": md5})
    assert answer.status == 200
    assert direct.keys(prefix=path) == []


# -------------------------------------------------------------------------------- copies


def from_(direct: Direct, key: str, **more: str) -> dict[str, str]:
    """Return the headers of a copy; underscores in further names stand for hyphens."""
    source = quote(f"/{direct.bucket}/{key}", safe="/-._~")
    return {"x-amz-copy-source": source, **{name.replace("_", "-"): v for name, v in more.items()}}


@feature("copy")
def test_a_copy_has_content_type_and_metadata(direct: Direct, path: str) -> None:
    """The ETag in the answer is that of the copy."""
    direct.put(path + "src", TEN, content_type="text/x-test", x_amz_meta_colour="red")
    answer = direct.send("PUT", path + "dst", headers=from_(direct, path + "src"))
    assert answer.status == 200
    copy = direct.send("GET", path + "dst")
    assert copy.body == TEN
    assert (copy.headers["content-type"], copy.headers["x-amz-meta-colour"]) == ("text/x-test", "red")
    assert (answer.xml().findtext("{*}ETag") or "").strip('"') == copy.headers["etag"].strip('"')


@feature("copy-cache-control")
def test_a_copy_has_cache_control(direct: Direct, path: str) -> None:
    """As HEAD of the source tells it."""
    direct.put(path + "src", TEN, cache_control="max-age=60")
    assert direct.send("HEAD", path + "src").headers.get("cache-control") == "max-age=60"
    assert direct.send("PUT", path + "dst", headers=from_(direct, path + "src")).status == 200
    assert direct.send("HEAD", path + "dst").headers.get("cache-control") == "max-age=60"


@feature("copy-replace")
def test_a_copy_may_have_other_metadata(direct: Direct, path: str) -> None:
    """Those that come with the request, and none of the source's."""
    direct.put(path + "src", TEN, x_amz_meta_colour="red", x_amz_meta_size="small")
    headers = from_(
        direct,
        path + "src",
        x_amz_metadata_directive="REPLACE",
        x_amz_meta_size="large",
        content_type="text/y",
    )
    assert direct.send("PUT", path + "dst", headers=headers).status == 200
    copy = direct.send("GET", path + "dst")
    assert (copy.body, copy.headers["content-type"]) == (TEN, "text/y")
    assert copy.headers["x-amz-meta-size"] == "large"
    assert "x-amz-meta-colour" not in copy.headers


@feature("copy-missing")
def test_a_copy_of_a_missing_key_is_404(direct: Direct, path: str) -> None:
    """And makes nothing."""
    answer = direct.send("PUT", path + "dst", headers=from_(direct, path + "missing"))
    assert (answer.status, answer.code) == (404, "NoSuchKey")
    assert direct.keys(prefix=path) == []


@feature("copy-source-if-match")
def test_another_version_is_not_copied(direct: Direct, path: str) -> None:
    """The version that is there is."""
    etag = direct.put(path + "src", TEN).headers["etag"]
    for told, status in ((f'"{"0" * 32}"', 412), (etag, 200)):
        headers = from_(direct, path + "src", x_amz_copy_source_if_match=told)
        answer = direct.send("PUT", path + "dst", headers=headers)
        assert answer.status == status
        assert direct.keys(prefix=path) == [path + key for key in ("dst", "src")[status != 200 :]]


@feature("copy-if-none-match")
def test_a_copy_may_be_made_only_where_nothing_is(direct: Direct, path: str) -> None:
    """What is there stays."""
    direct.put(path + "src", TEN)
    direct.put(path + "dst", b"old")
    headers = from_(direct, path + "src", if_none_match="*")
    assert direct.send("PUT", path + "dst", headers=headers).status == 412
    assert direct.send("GET", path + "dst").body == b"old"
    assert direct.send("PUT", path + "new", headers=headers).status == 200


# ------------------------------------------------------------------------------ in parts

# All parts but the last are at least so long.
FIVE_MIB = b"5" * (5 * 1024**2)


class InParts:
    """An upload in parts."""

    def __init__(self, direct: Direct, key: str, **headers: str) -> None:
        self.direct = direct
        self.key = key
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = direct.send("POST", key, query=[("uploads", "")], headers=named)
        assert answer.status == 200
        self.id = answer.xml().findtext("{*}UploadId") or ""
        assert self.id
        self.etags: list[str] = []

    def add(self, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Send the next part."""
        query = [("partNumber", str(len(self.etags) + 1)), ("uploadId", self.id)]
        answer = self.direct.send("PUT", self.key, body, query=query, headers=headers)
        assert answer.status == 200
        self.etags.append(answer.headers.get("etag", ""))
        return answer

    def complete(self, **headers: str) -> Answer:
        """Make an object of the parts; underscores in names of headers stand for hyphens."""
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            for number, etag in enumerate(self.etags, 1)
        )
        body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.direct.send("POST", self.key, body, query=[("uploadId", self.id)], headers=named)

    def abort(self) -> Answer:
        """Have the server forget it."""
        return self.direct.send("DELETE", self.key, query=[("uploadId", self.id)])


@feature("multipart")
def test_an_object_can_be_written_in_parts(direct: Direct, path: str) -> None:
    """It is not there before the last request, which names the parts."""
    upload = InParts(direct, path + "key", content_type="text/x-test", x_amz_meta_colour="red")
    upload.add(FIVE_MIB)
    upload.add(TEN)
    assert direct.send("GET", path + "key").status == 404
    answer = upload.complete()
    assert (answer.status, answer.code) == (200, "")
    found = direct.send("GET", path + "key")
    assert found.body == FIVE_MIB + TEN
    assert (found.headers["content-type"], found.headers["x-amz-meta-colour"]) == ("text/x-test", "red")


@feature("multipart-etag-told")
def test_the_etag_of_what_was_written_in_parts_is_told(direct: Direct, path: str) -> None:
    """In the answer that completes it."""
    upload = InParts(direct, path + "key")
    upload.add(TEN)
    told = upload.complete().xml().findtext("{*}ETag") or ""
    assert told.strip('"') == direct.send("HEAD", path + "key").headers["etag"].strip('"')


@feature("multipart-etag")
def test_the_etag_of_parts_is_made_of_theirs(direct: Direct, path: str) -> None:
    """And says how many they were."""
    upload = InParts(direct, path + "key")
    upload.add(FIVE_MIB)
    upload.add(TEN)
    assert upload.complete().status == 200
    digests = b"".join(hashlib.md5(part).digest() for part in (FIVE_MIB, TEN))
    etag = direct.send("HEAD", path + "key").headers["etag"]
    assert etag == f'"{hashlib.md5(digests).hexdigest()}-2"'


@feature("multipart-abort")
def test_an_upload_can_be_forgotten(direct: Direct, path: str) -> None:
    """Then it cannot be completed any more."""
    upload = InParts(direct, path + "key")
    upload.add(TEN)
    assert upload.abort().status == 204
    answer = upload.complete()
    assert (answer.status, answer.code) == (404, "NoSuchUpload")
    assert direct.keys(prefix=path) == []


@feature("multipart-initiated")
def test_a_list_of_uploads_tells_when_each_was_begun(direct: Direct, path: str) -> None:
    """To the second at least."""
    upload = InParts(direct, path + "key")
    before = time.time()
    try:
        answer = direct.send("GET", "", query=[("prefix", path), ("uploads", "")])
        told = answer.xml().findtext("{*}Upload/{*}Initiated")
        assert told is not None
        assert abs(datetime.fromisoformat(told.replace("Z", "+00:00")).timestamp() - before) < 3
    finally:
        upload.abort()


@feature("multipart-if-none-match")
def test_parts_may_become_an_object_only_where_nothing_is(direct: Direct, path: str) -> None:
    """What is there stays."""
    direct.put(path + "key", b"old")
    upload = InParts(direct, path + "key")
    upload.add(TEN)
    try:
        assert upload.complete(if_none_match="*").status == 412
        assert direct.send("GET", path + "key").body == b"old"
    finally:
        upload.abort()


@feature("multipart-if-match")
def test_parts_may_replace_one_version_only(direct: Direct, path: str) -> None:
    """Another one stays."""
    direct.put(path + "key", b"old")
    upload = InParts(direct, path + "key")
    upload.add(TEN)
    try:
        assert upload.complete(if_match=f'"{"0" * 32}"').status == 412
        assert direct.send("GET", path + "key").body == b"old"
    finally:
        upload.abort()


@feature("copy-part")
def test_a_part_can_be_copied_from_an_object(server: LocalProcessServer, direct: Direct, path: str) -> None:
    """So many of its bytes."""
    if (server.name, "copy-part") in FATAL:
        pytest.xfail(reason=str(departure(server.name, "copy-part")))
    direct.put(path + "src", TEN + FIVE_MIB)
    upload = InParts(direct, path + "key")
    try:
        answer = upload.add(
            headers=from_(direct, path + "src", x_amz_copy_source_range=f"bytes=7-{len(FIVE_MIB) + 6}")
        )
        upload.etags = [answer.xml().findtext("{*}ETag") or ""]
        assert upload.complete().status == 200
        assert direct.send("GET", path + "key").body == TEN[7:] + FIVE_MIB[:-3]
    finally:
        upload.abort()


# ------------------------------------------------------------------------- the table itself


def test_every_feature_has_a_test_here() -> None:
    """A departure that no test looks at could be wrong for years."""
    tested = {
        mark.args[0]
        for name, function in vars(sys.modules[__name__]).items()
        if name.startswith("test_")
        for mark in marks_of(function)
    }
    assert tested >= BEHAVIOURS.keys()
    assert tested >= KEY_SHAPES.keys()


def test_what_would_end_a_server_is_in_the_table() -> None:
    """With why it must not be asked."""
    for name, unwanted in FATAL:
        assert departure(name, unwanted)


def marks_of(function: object) -> list[pytest.Mark]:
    """Return a test function's marks of features, those of its parameters included."""
    marks: list[pytest.Mark] = []
    for mark in getattr(function, "pytestmark", []):
        if mark.name == "feature":
            marks.append(mark)
        elif mark.name == "parametrize":
            for case in mark.args[1]:
                marks += [inner.mark for inner in getattr(case, "marks", ())]
    return marks
