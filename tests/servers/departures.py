"""Where each server is known to differ from Amazon S3, as data that tests look up.

A test of a feature asks ``departure(server, feature)``: None means that the server has to get it
right; a sentence is why the test cannot hold there: the reason of an expected failure, not of a skip.
So a difference is written down once, and a test is never weakened for every server because of one.

Every entry was measured, with requests signed and sent without a client library in between, whose
path has the key percent-encoded once and otherwise as it is. In a reason, "refuses" means that the
write fails and nothing is stored; "rewrites" means that the write succeeds under another name;
"loses" that it succeeds and part of what was sent is gone.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

# Feature ids of the shapes of keys, with the key that was measured. Each is valid on Amazon S3.
KEY_SHAPES: Final = MappingProxyType(
    {
        "space": "a b c",
        "plus-percent-ampersand-quotes": "p+q%41&r=s'\"t;?#u",
        "angle-brackets": "<x>",
        "accents": "é/Å-e\u0301",
        "cjk": "漢字/かな",
        "emoji": "😀/👩\u200d💻",
        "double-slash": "a//b",
        "leading-slash": "/lead",
        "dot-segment": "./x",
        "dot-dot-segment": "../x",
        "trailing-slash": "x/",
        "tab": "a\tb",
        "newline": "a\nb",
        "carriage-return": "a\rb",
        "control-01": "a\x01b",
        "control-7f": "a\x7fb",
        "backslash": "a\\b",
        "long-many-components": "/".join(["k" * 127] * 8) + "k",
        "long-one-component": "k" * 1024,
    }
)

# Feature ids of everything else, with what Amazon S3 does.
BEHAVIOURS: Final = MappingProxyType(
    {
        "empty-object": "An object of no bytes is stored, read, listed and described as one.",
        "prefix-key": "'a' and 'a/b' are unrelated objects, whichever was written first.",
        "normal-forms": "An accented letter and its decomposed form are different keys.",
        "parent-not-a-key": "With only 'a/b/c' stored, 'a/b' and 'a/b/' are missing keys.",
        "empty-prefix-vanishes": "Once 'a/b/c' is deleted, a listing by '/' no longer shows 'a/'.",
        "wrong-secret-refused": "A signature made with another secret key is answered with 403.",
        "missing-key-404": "GET and HEAD of a missing key are 404 NoSuchKey, DELETE is 204.",
        "missing-bucket-404-get": "GET of a key in a missing bucket is 404 NoSuchBucket.",
        "missing-bucket-404-put": "PUT of a key into a missing bucket is 404 NoSuchBucket.",
        "missing-bucket-404-list": "A listing of a missing bucket is 404 NoSuchBucket.",
        "missing-bucket-404-head": "HEAD of a key in a missing bucket is 404.",
        "missing-bucket-404-delete": "DELETE of a key in a missing bucket is 404 NoSuchBucket.",
        "list-utf8-order": "Keys are listed in the order of their UTF-8 bytes, across pages too.",
        "list-pages": "Continuation tokens give every key exactly once, whatever the page size.",
        "list-delimiter": "Keys with a '/' after the prefix are rolled up into common prefixes.",
        "list-start-after": "start-after gives exactly the keys greater than it, a key or not.",
        "list-encoding-type-url": "With encoding-type=url keys are encoded and the answer says so.",
        "list-control-echo": "A listing whose prefix, start-after or last key of a page contains a "
        "control character is answered in well-formed XML, all pages of it.",
        "list-etag-quoted": "The ETag of a listed key has its quotes, as in the header.",
        "range-middle": "bytes=2-4 of ten bytes is 206 with those three.",
        "range-suffix": "bytes=-3 of ten bytes is 206 with the last three.",
        "range-long-suffix": "bytes=-100 of ten bytes is the whole object.",
        "range-past-end-416": "A range that starts at or after the end is 416.",
        "range-empty-object-416": "bytes=0- and bytes=-3 of an empty object are 416.",
        "head": "HEAD gives the length and ETag that GET gives, and no body.",
        "stat-metadata": "x-amz-meta- headers come back on HEAD and GET, names in lower case.",
        "content-type": "Content-Type comes back on HEAD and GET as it was sent.",
        "last-modified": "Last-Modified is the time of the write, and listed to the second.",
        "keep-alive": "A connection stays open after an answer, errors included.",
        "list-control-prefix": "A listing by a prefix with a control character in it is answered in "
        "well-formed XML.",
        "list-control-start-after": "A listing that starts after a key with a control character in it "
        "is answered in well-formed XML.",
        "list-control-page-end": "A listing goes on after a page whose last key has a control "
        "character in it.",
        "list-page-1000": "A page has 1,000 keys unless fewer are asked for.",
        "list-start-outside-prefix": "start-after need not start with the prefix.",
        "metadata-underscore": "An underscore in the name of metadata stays one.",
        "metadata-punctuation": "A name of metadata may have any punctuation that HTTP allows.",
        "request-id": "Each answer has an x-amz-request-id.",
        "request-id-refused": "An answer that refuses a signature has an x-amz-request-id.",
        "anonymous-public-read": "An object with the ACL public-read can be read unsigned.",
        "anonymous-policy": "A bucket policy can let everybody read and list.",
        "anonymous-read-refused": "An unsigned GET or HEAD of a private object is 403.",
        "anonymous-write-refused": "An unsigned PUT into a private bucket is 403.",
        "delete-many-folder": "After DeleteObjects of the last key below a slash nothing is listed there.",
        "read-if-match": "GET with If-Match and another ETag than the object's is 412.",
        "read-if-none-match": "GET with If-None-Match and the object's ETag is 304.",
        "copy": "CopyObject copies content, Content-Type and metadata, and tells the ETag.",
        "copy-cache-control": "CopyObject copies Cache-Control.",
        "copy-replace": "CopyObject with the directive REPLACE stores the metadata that it is sent, alone.",
        "copy-missing": "CopyObject of a missing key is 404 NoSuchKey.",
        "copy-source-if-match": "CopyObject with another ETag in x-amz-copy-source-if-match is 412 and "
        "copies nothing.",
        "copy-if-none-match": "CopyObject with If-None-Match: * to a key that exists is 412 and copies "
        "nothing.",
        "multipart": "An upload in parts becomes an object of all of them, with the metadata that it "
        "was begun with.",
        "multipart-etag": "The ETag of such an object is the MD5 of the parts' MD5s and their number.",
        "multipart-etag-told": "Completing an upload tells the ETag of the object.",
        "multipart-abort": "An aborted upload leaves nothing, and completing it is 404 NoSuchUpload.",
        "multipart-initiated": "A list of uploads tells when each was begun.",
        "multipart-if-none-match": "Completing an upload with If-None-Match: * for a key that exists is "
        "412 and writes nothing.",
        "multipart-if-match": "Completing an upload with If-Match and another ETag than the object's is "
        "412 and writes nothing.",
        "copy-part": "UploadPartCopy makes a part of the bytes asked for of another object.",
    }
)

# Feature ids of conditions on writes, with what Amazon S3 does.
CONDITIONS: Final = MappingProxyType(
    {
        "put-if-none-match": "PUT with If-None-Match: * of a key that exists is 412 and writes nothing.",
        "put-if-match": "PUT with If-Match and another ETag than the object's is 412 and writes nothing.",
        "delete-if-match": "DELETE with If-Match and another ETag than the object's is 412 and deletes "
        "nothing.",
        "atomic-writes": "Of conditional writes that race, no two win.",
    }
)

# What must not be asked of a server, because it would end it.
FATAL: Final = frozenset({("ceph", "copy-part")})

FEATURES: Final = frozenset(KEY_SHAPES) | frozenset(BEHAVIOURS) | frozenset(CONDITIONS)

DEPARTURES: dict[str, dict[str, str]] = {
    "moto": {
        "newline": "moto refuses a newline in a key: 404 with an HTML body.",
        "wrong-secret-refused": "moto does not check signatures.",
        "list-control-echo": "moto repeats start-after unencoded, so a control character in it "
        "makes the answer malformed XML.",
        "range-empty-object-416": "moto answers a suffix range of an empty object with 200.",
        "keep-alive": "moto closes the connection after each answer.",
        "list-control-start-after": "moto repeats start-after unencoded, so a control character in it "
        "makes the answer malformed XML.",
        "request-id": "moto sends x-amzn-requestid instead, and in errors not even that.",
        "request-id-refused": "moto does not check signatures.",
        "anonymous-write-refused": "moto stores an unsigned PUT.",
        "metadata-punctuation": "moto loses metadata whose name has an exclamation mark in it, say.",
        "atomic-writes": "moto checks a condition and stores the object without a lock.",
        "copy-source-if-match": "moto ignores x-amz-copy-source-if-match, and copies.",
        "copy-if-none-match": "moto ignores If-None-Match of a copy, and overwrites.",
        "multipart-abort": "moto answers the completion of an aborted upload with 500 and HTML.",
        "multipart-initiated": "moto says of every upload that it was begun in 2010.",
        "multipart-if-match": "moto ignores If-Match of a completion, and overwrites.",
    },
    "seaweedfs": {
        "double-slash": "SeaweedFS rewrites 'a//b' to 'a/b'.",
        "leading-slash": "SeaweedFS rewrites '/lead' to 'lead'.",
        "dot-segment": "SeaweedFS refuses '.' as a path component: 400 InvalidRequest.",
        "dot-dot-segment": "SeaweedFS refuses '..' as a path component: 400 InvalidRequest.",
        "trailing-slash": "SeaweedFS makes a directory of a key that ends in a slash, and loses "
        "its body and metadata.",
        "backslash": "SeaweedFS rewrites a backslash to a slash.",
        "long-one-component": "SeaweedFS refuses a path component of over 255 bytes: 400 KeyTooLongError.",
        "parent-not-a-key": "SeaweedFS answers 200 with no bytes for the directory 'a/b/'.",
        "empty-prefix-vanishes": "SeaweedFS still lists a directory by '/' after its last key was "
        "deleted, for minutes at least.",
        "list-utf8-order": "SeaweedFS lists a directory at a time, 'l/a/1' before 'l/a-'.",
        "list-start-after": "SeaweedFS skips 'l/a/1' when started after 'l/a', and otherwise goes "
        "by its own order, a directory at a time.",
        "list-control-echo": "SeaweedFS loses the rest of a listing when a page ends at a key with "
        "the control character U+0001.",
        "list-control-page-end": "SeaweedFS loses the rest of a listing when a page ends at a key with "
        "the control character U+0001.",
        "anonymous-public-read": "SeaweedFS answers an unsigned GET with 403 whatever the ACL.",
    },
    "rclone": {
        "double-slash": "rclone refuses an empty path component: 400 InvalidArgument.",
        "leading-slash": "rclone refuses a leading slash: 400 InvalidArgument.",
        "dot-segment": "rclone refuses '.' as a path component: 400 InvalidArgument.",
        "dot-dot-segment": "rclone refuses '..' as a path component: 400 InvalidArgument.",
        "trailing-slash": "rclone rewrites 'x/' to 'x'.",
        "prefix-key": "rclone refuses 'a' next to 'a/b', a file and a directory: 500 InternalError.",
        "normal-forms": "rclone takes a letter and its decomposed form for the same key, and the "
        "later write wins.",
        "parent-not-a-key": "rclone answers DELETE of the directory 'a/b' with 500 InternalError.",
        "list-control-echo": "rclone repeats start-after unencoded, so a control character in it "
        "makes the answer malformed XML.",
        "list-etag-quoted": "rclone lists ETags without quotes.",
        "range-middle": "rclone answers a range with 200, though with Content-Range and only the "
        "bytes asked for.",
        "range-suffix": "rclone answers a range with 200, though with Content-Range and only the "
        "bytes asked for.",
        "range-long-suffix": "rclone answers a suffix longer than the object with 416.",
        "list-control-start-after": "rclone repeats start-after unencoded, so a control character in "
        "it makes the answer malformed XML.",
        "request-id-refused": "rclone gives an answer that refuses a signature no request id.",
        "anonymous-public-read": "rclone answers an unsigned request with 400 UnsupportedAlgorithm.",
        "anonymous-read-refused": "rclone answers an unsigned request with 400 UnsupportedAlgorithm.",
        "anonymous-write-refused": "rclone answers an unsigned request with 400 UnsupportedAlgorithm.",
        "anonymous-policy": "rclone refuses bucket policies: 409 BucketAlreadyExists.",
        "put-if-none-match": "rclone ignores If-None-Match on PUT, and overwrites.",
        "put-if-match": "rclone ignores If-Match on PUT, and overwrites.",
        "delete-if-match": "rclone ignores If-Match on DELETE, and deletes.",
        "atomic-writes": "rclone ignores conditions on writes.",
        "read-if-match": "rclone ignores If-Match on GET, and answers with the object.",
        "copy-replace": "rclone adds the metadata to those of the source.",
        "copy-source-if-match": "rclone ignores x-amz-copy-source-if-match, and copies.",
        "copy-if-none-match": "rclone ignores If-None-Match of a copy, and overwrites.",
        "multipart-etag": "rclone gives an object that was written in parts the ETag of its bytes.",
        "multipart-etag-told": "rclone tells the ETag of the parts, and gives the object another.",
        "multipart-if-none-match": "rclone ignores If-None-Match of a completion, and overwrites.",
        "multipart-if-match": "rclone ignores If-Match of a completion, and overwrites.",
        "copy-part": "rclone takes UploadPartCopy for an upload of no bytes: 200 with an empty body.",
    },
    "juicefs": {
        "double-slash": "JuiceFS rewrites 'a//b' to 'a/b', and refuses it as the prefix of a listing.",
        "leading-slash": "JuiceFS rewrites '/lead' to 'lead'.",
        "dot-segment": "JuiceFS refuses '.' as a path component: 400 XMinioInvalidResourceName.",
        "dot-dot-segment": "JuiceFS refuses '..' as a path component: 400 XMinioInvalidResourceName.",
        "trailing-slash": "JuiceFS makes a directory of a key that ends in a slash, answers 409 "
        "when there is a body to store, and loses the metadata.",
        "prefix-key": "JuiceFS refuses 'a' next to 'a/b', a file and a directory: 500 InternalError.",
        "range-empty-object-416": "JuiceFS answers a suffix range of an empty object with 206 and "
        "'Content-Range: bytes 0--1/0'.",
        "anonymous-public-read": "JuiceFS answers an unsigned GET with 403 whatever the ACL.",
        "list-page-1000": "JuiceFS puts 2,500 keys into one page.",
        "list-start-outside-prefix": "JuiceFS answers 501 NotImplemented when start-after does not "
        "start with the prefix.",
        "delete-many-folder": "JuiceFS goes on listing 'a/' when DeleteObjects has deleted all below it; "
        "DELETE does not.",
        "put-if-none-match": "JuiceFS ignores If-None-Match on PUT, and overwrites.",
        "put-if-match": "JuiceFS ignores If-Match on PUT, and overwrites.",
        "delete-if-match": "JuiceFS ignores If-Match on DELETE, and deletes.",
        "atomic-writes": "JuiceFS ignores conditions on writes.",
        "copy-if-none-match": "JuiceFS ignores If-None-Match of a copy, and overwrites.",
        "multipart-if-none-match": "JuiceFS ignores If-None-Match of a completion, and overwrites.",
        "multipart-if-match": "JuiceFS ignores If-Match of a completion, and overwrites.",
    },
    "ceph": {
        "list-control-echo": "Ceph repeats prefix, start-after and continuation token unencoded, "
        "so a control character in them makes the answer malformed XML.",
        "list-control-prefix": "Ceph repeats the prefix unencoded, so a control character in it makes "
        "the answer malformed XML.",
        "list-control-start-after": "Ceph repeats start-after unencoded, so a control character in it "
        "makes the answer malformed XML.",
        "list-control-page-end": "Ceph's continuation token is the key unencoded, so a control "
        "character in it makes the answer malformed XML.",
        "metadata-underscore": "Ceph rewrites an underscore in the name of metadata to a hyphen.",
        "delete-if-match": "Ceph ignores If-Match on DELETE, and deletes.",
        "copy-source-if-match": "Ceph ignores x-amz-copy-source-if-match, and copies.",
        "copy-if-none-match": "Ceph ignores If-None-Match of a copy, and overwrites.",
        "multipart-etag-told": "Ceph leaves the ETag empty.",
        "multipart-abort": "Ceph answers the completion of an aborted upload with 500 InternalError.",
        "multipart-if-none-match": "Ceph ignores If-None-Match of a completion, and overwrites.",
        "multipart-if-match": "Ceph ignores If-Match of a completion, and overwrites.",
        "copy-part": "Ceph 16.2.15 crashes when it is asked for UploadPartCopy.",
    },
}


def departure(server: str, feature: str) -> str | None:
    """Return why ``server`` does not have ``feature`` as Amazon S3 has it; None when it does.

    A name that is not in the tables is a KeyError, so that a misspelt one cannot pass for "no
    departure".
    """
    if feature not in FEATURES:
        raise KeyError(f"{feature!r} is not a feature; they are {', '.join(sorted(FEATURES))}")
    return DEPARTURES[server].get(feature)
