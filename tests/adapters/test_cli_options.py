"""The options of the command line, what it says when something is wrong, and its exit status."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import s3kv
from s3kv.cli.failures import NothingThere, UsageError, lines_of, status_of
from s3kv.cli.main import main
from s3kv.cli.options import parse
from s3kv.cli.output import shown_size
from s3kv.cli.places import Places
from s3kv.errors import StoreClosed
from s3kv.spec.spec import MEMBERS
from tests.adapters.cli_helpers import Run, at, running_on
from tests.wire.scripted import READ, Forever, ScriptedServer, Send, answer, error, exchanges, listing

VALUES = {
    "requester_pays": True,
    "aws_region": "eu-central-1",
    "endpoint": "http://127.0.0.1:1",
    "host_header": "elsewhere",
    "use_conditional_write": False,
    "aws_credentials": {"type": "anonymous"},
    "s3_request_concurrency": {"limit": 7},
    "s3_request_retries": {"max_retries": 9},
    "experimental_s3_rate_limiter": {"read_rate": 5.0},
    "data_copy_concurrency": {"limit": 2},
    "context": {"s3_request_concurrency": {"limit": 3}},
}


def option(name: str) -> list[str]:
    """Return the arguments that give a member its value."""
    value = VALUES[name]
    text = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [text if value else text.replace("--", "--no-")]
    return [text, value if isinstance(value, str) else json.dumps(value)]


@pytest.mark.parametrize("before", [True, False])
def test_every_member_of_the_spec_is_an_option(before: bool) -> None:
    """Of every command, and in front of it, too; what the URL says is none."""
    assert set(VALUES) == set(MEMBERS) - {"driver", "bucket", "path"}
    options = [argument for name in VALUES for argument in option(name)]
    parsed = parse([*options, "ls", "s3://bucket/"] if before else ["ls", "s3://bucket/", *options])
    assert parsed.members == VALUES
    with Places(parsed) as places:
        spec = places.find("s3://bucket/key").store.spec()
    assert {name: spec[name] for name in VALUES if name != "context"} == {
        name: value for name, value in VALUES.items() if name != "context"
    }


@pytest.mark.parametrize(
    "name", ["ls", "cat", "get", "put", "rm", "cp", "stat", "presign", "doctor", "bench"]
)
def test_every_command_has_help_with_every_option(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """And says how keys are written."""
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    for member in VALUES:
        assert f"--{member.replace('_', '-')}" in text
    assert "a%20b" in text


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing else."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"s3kv {s3kv.__version__}\n"


def retries(*options: str) -> object:
    """Return the retries of a store that is opened so."""
    with Places(parse(["ls", "s3://bucket/", "--aws-region", "us-east-1", *options])) as places:
        return places.find("s3://bucket/").store._core.policy.max_retries


def test_three_attempts_are_made_unless_others_are_asked_for() -> None:
    """Also where only the delays are said; a context has the last word."""
    assert retries() == 3
    assert retries("--s3-request-retries", '{"max_delay": "1s"}') == 3
    assert retries("--s3-request-retries", '{"max_retries": 5}') == 5
    assert retries("--context", '{"s3_request_retries": {"max_retries": 6}}') == 6
    named = '{"s3_request_retries#mine": {"max_retries": 7}}'
    assert retries("--context", named, "--s3-request-retries", "s3_request_retries#mine") == 7


def test_after_three_attempts_it_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    """With status 3, and a line that says so."""
    busy = [Forever(READ, Send(error(503, "SlowDown")))]
    with ScriptedServer(then=busy) as server:
        quick = '{"initial_delay": "1ms", "max_delay": "1ms"}'
        ended = running_on(server.url, capsys)("ls", "s3://bucket", "--s3-request-retries", quick)
        assert len(server.requests) == 3
    assert ended.status == 3
    assert "3 times" in ended.err
    assert ended.err.count("\n") == 1


def test_a_timeout_bounds_each_operation(capsys: pytest.CaptureFixture[str]) -> None:
    """Status 3."""
    with ScriptedServer(then=[READ, Forever(READ)], lenient=True) as server:
        ended = running_on(server.url, capsys)("ls", "s3://bucket", "--timeout", "0.2")
    assert ended.status == 3
    assert "timeout" in ended.err


WRONG = {
    "no command": [],
    "an unknown command": ["frobnicate"],
    "no URL": ["ls"],
    "a file's path": ["ls", "/etc/passwd"],
    "another scheme": ["ls", "http://bucket/key"],
    "a bucket that cannot be": ["ls", "s3://b"],
    "a query": ["ls", "s3://bucket/a?b"],
    "bad percents": ["ls", "s3://bucket/%ZZ"],
    "too many URLs": ["cat", "s3://bucket/a", "s3://bucket/b"],
    "no key": ["cat", "s3://bucket"],
    "a key that is too long": ["cat", f"s3://bucket/{'x' * 1025}"],
    "an endpoint that is none": ["ls", "s3://bucket", "--endpoint", "ftp://x"],
    "a host header without an endpoint": ["ls", "s3://bucket", "--host-header", "x"],
    "no JSON": ["ls", "s3://bucket", "--aws-credentials", "{type: anonymous}"],
    "JSON of the wrong kind": ["ls", "s3://bucket", "--aws-credentials", "[]"],
    "an unknown resource": ["ls", "s3://bucket", "--context", '{"x": 1}'],
    "an unknown option": ["ls", "s3://bucket", "--frobnicate"],
    "an abbreviated option": ["ls", "s3://bucket", "--recurs"],
    "a timeout that is none": ["ls", "s3://bucket", "--timeout", "soon"],
    "a negative timeout": ["ls", "s3://bucket", "--timeout=-1"],
    "json of bytes": ["cat", "s3://bucket/key", "--json"],
    "json of bytes, said before": ["--json", "cat", "s3://bucket/key"],
    "a size that is none": ["bench", "s3://bucket", "--size", "1.5"],
    "no time at all": ["bench", "s3://bucket", "--seconds", "0"],
}


@pytest.mark.parametrize("arguments", WRONG.values(), ids=WRONG)
def test_wrong_usage_is_said_in_a_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With status 2, and nothing is sent or written."""
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    if arguments:
        assert err.startswith("s3kv: ")
        assert err.count("\n") == 1
    else:
        assert "usage" in err


@pytest.mark.parametrize("argument", ["--\x1b[31m", "--a\nb", "-\x9b1m"])
def test_what_is_said_of_an_option_is_text(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is in one line, and a terminal does not obey it."""
    assert main(["ls", "s3://bucket/", argument]) == 2
    err = capsys.readouterr().err
    assert err.startswith("s3kv: there is no option -")
    assert err[:-1].isprintable()
    assert err.endswith("; see s3kv --help\n")


COMMANDS = ["ls", "cat", "get", "put", "rm", "cp", "stat", "presign", "doctor", "bench"]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_usage_of_a_command_names_its_arguments(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of them."""
    assert main([command, "--help"]) == 0
    usage, _, rest = capsys.readouterr().out.partition("\n")
    assert usage.startswith(f"usage: s3kv {command} [options] ")
    assert "URL" in usage.split()
    arguments = re.findall(r"^  ([A-Z]+)\b", rest.partition("options:")[0], re.MULTILINE)
    assert usage.split()[4:] == arguments


def test_a_url_without_a_key_is_said_to_be_one(capsys: pytest.CaptureFixture[str]) -> None:
    """Where an object is meant."""
    for command in (["cat"], ["stat"], ["rm"], ["presign"], ["cp", "s3://bucket/a"]):
        status = main([*command[:1], "s3://bucket/", *command[1:]])
        assert (status, capsys.readouterr().err) == (2, "s3kv: s3://bucket/ names a bucket and no object\n")


SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--aws-credentials", f'{{"secret": "{SECRET}"'],
        ["--aws-credentials", f'{{"secret": "{SECRET}"}}'],
        ["--aws-credentials", SECRET],
        ["--aws-credentials", f'{{"type": "environment", "aws_secret_access_key": "{SECRET}"}}'],
        [f"--aws-secret-access-key={SECRET}"],
        ["--aws-secret-access-key", SECRET],
        ["--endpoint", f"http://AKID:{SECRET}@host/"],
        [f"s3://AKID:{SECRET}@bucket/"],
    ],
)
def test_no_secret_is_repeated(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Wherever somebody put one."""
    assert main(["ls", "s3://bucket/", *arguments]) == 2
    assert SECRET[:20] not in "".join(capsys.readouterr())
    assert main([*arguments, "ls", "s3://bucket/"]) == 2
    assert SECRET[:20] not in "".join(capsys.readouterr())


def test_secrets_are_not_in_the_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which --verbose shows: each request, with its outcome; afterwards there is none again."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with ScriptedServer(then=[Forever(READ, Send(listing("a")))]) as server:
        options = ["--endpoint", server.url, "--aws-region", "us-east-1"]
        assert main(["ls", "s3://bucket/", *options, "--verbose"]) == 0
        out, err = capsys.readouterr()
        assert out == "s3://bucket/a\n"
        assert "s3kv: ListObjectsV2" in err
        assert SECRET[:20] not in err
        assert "Signature" not in err
        assert main(["ls", "s3://bucket/", *options]) == 0
        assert capsys.readouterr().err == ""
    assert logging.getLogger("s3kv").handlers == []


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (s3kv.KeyNotFound, 1),
        (s3kv.BucketNotFound, 1),
        (s3kv.ConditionFailed, 1),
        (NothingThere, 1),
        (FileNotFoundError, 1),
        (UsageError, 2),
        (s3kv.SpecError, 2),
        (s3kv.InvalidKey, 2),
        (s3kv.ByteRangeError, 2),
        (ValueError, 2),
        (IsADirectoryError, 2),
        (ImportError, 2),
        (s3kv.PermissionDenied, 3),
        (s3kv.CredentialsError, 3),
        (s3kv.EndpointUnreachable, 3),
        (s3kv.RetriesExhausted, 3),
        (s3kv.DeadlineExceeded, 3),
        (s3kv.TransportError, 3),
        (s3kv.OutcomeUnknown, 3),
        (s3kv.DataLoss, 3),
        (s3kv.Changed, 3),
        (s3kv.MalformedResponse, 3),
        (s3kv.ServiceError, 3),
        (StoreClosed, 3),
        (s3kv.S3KVError, 3),
        (PermissionError, 3),
        (OSError, 3),
        (TypeError, 3),
    ],
)
def test_each_error_has_its_status(kind: type[Exception], status: int) -> None:
    """A batch has the gravest of its keys."""
    assert status_of(kind("why")) == status
    batch = s3kv.BatchError("", errors={"a": s3kv.KeyNotFound("x"), "b": kind("why")})
    assert status_of(batch) == status
    assert all(line.isprintable() and line for line in lines_of(batch))


def test_every_error_of_the_package_has_been_thought_of() -> None:
    """So that a new one is."""
    kinds = {kind for kind in vars(s3kv).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    tested = {case[0] for case in test_each_error_has_its_status.pytestmark[0].args[1]}
    assert kinds - {s3kv.BatchError} <= tested


def test_an_error_is_one_line_that_a_terminal_does_not_obey() -> None:
    """Whatever a store has put into it."""
    (line,) = lines_of(s3kv.S3KVError("bad\nnews \x1b[31mred\x07 é"))
    assert line == "bad news \\x1b[31mred\\x07 é"
    (line,) = lines_of(OSError(28, "No space left on device", "/tmp/a\nb"))
    assert line == "/tmp/a b: No space left on device"
    (line,) = lines_of(RuntimeError("oops"))
    assert line == "unexpected RuntimeError: oops; --verbose shows where"


def test_of_many_errors_the_first_are_named() -> None:
    """And the others counted."""
    errors: dict[str, Exception] = {f"key {n}": s3kv.KeyNotFound("gone") for n in range(1234)}
    lines = list(lines_of(s3kv.BatchError("", errors=errors, results={"a": 1})))
    assert lines[:2] == ["1,234 keys failed, 1 did not", "  key 0: gone"]
    assert lines[-1] == "  and 1,214 more"
    assert len(lines) == 22


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KiB"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (102_348, "99.9 KiB"),
        (102_400, "100 KiB"),
        (1_048_576, "1.0 MiB"),
        (5 * 1024**4, "5.0 TiB"),
        (5000 * 1024**5, "5000 PiB"),
    ],
)
def test_sizes_have_units(size: int, shown: str) -> None:
    """Three digits or so."""
    assert shown_size(size, human=True) == shown
    assert shown_size(size, human=False) == str(size)


@pytest.fixture
def refusing(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Return what runs a command on a server that refuses everything."""
    with ScriptedServer(then=[Forever(READ, Send(error(403, "AccessDenied")))], lenient=True) as server:
        yield running_on(server.url, capsys)


@pytest.mark.parametrize(
    "command",
    [
        ["ls", "s3://bucket/"],
        ["ls", "-r", "s3://bucket/"],
        ["cat", "s3://bucket/key"],
        ["get", "s3://bucket/key", "{path}"],
        ["get", "-r", "s3://bucket/key", "{path}"],
        ["put", __file__, "s3://bucket/key"],
        ["rm", "s3://bucket/key"],
        ["rm", "-r", "s3://bucket/key"],
        ["cp", "s3://bucket/a", "s3://bucket/b"],
        ["bench", "s3://bucket/"],
        ["doctor", "s3://bucket/"],
    ],
    ids=" ".join,
)
def test_who_may_not_is_told_with_status_3(refusing: Run, command: list[str], tmp_path: Path) -> None:
    """By every command that asks."""
    ended = refusing(*(word.format(path=tmp_path / "new") for word in command))
    assert ended.status == 3
    assert "AccessDenied" in ended.err + ended.out
    assert "yourself" not in ended.err


@pytest.mark.parametrize("recursive", [True, False])
def test_ls_lists_page_by_page(capsys: pytest.CaptureFixture[str], recursive: bool) -> None:
    """As many as there are, in one document; a folder that is on two pages is there once."""
    folder = "" if recursive else "<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes>"
    pages = [listing("a", token="t", extra=folder), listing("c", token="u", extra=folder), listing("d")]
    with ScriptedServer(exchanges(*pages)) as server:
        arguments = ["--recursive"] * recursive
        found = running_on(server.url, capsys)("ls", *arguments, "--json", "s3://bucket/").json
        assert len(server.requests) == 3
    assert [entry["key"] for entry in found] == (["a", "c", "d"] if recursive else ["a", "b/", "c", "d"])


def test_a_listing_that_breaks_off_is_no_document(capsys: pytest.CaptureFixture[str]) -> None:
    """So that nobody takes part of it for all."""
    steps = [READ, Send(listing("a", token="t")), READ, Send(error(403, "AccessDenied"))]
    with ScriptedServer(steps) as server:
        ended = running_on(server.url, capsys)("ls", "-r", "--json", "s3://bucket/")
    assert ended.status == 3
    assert '"a"' in ended.out
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(ended.out)


def test_an_object_that_is_replaced_while_it_is_written_out_is_no_success(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written cannot be taken back."""
    monkeypatch.setattr("s3kv.reading.PART_BYTES", 1000)
    monkeypatch.setattr("s3kv.files.PART_BYTES", 1000)
    monkeypatch.setattr("s3kv.parts.IN_FLIGHT", 1)
    monkeypatch.setattr("s3kv.reading.IN_FLIGHT", 1)
    one = answer(200, b"1" * 5000, 'ETag: "one"')
    part = answer(206, b"1" * 1000, 'ETag: "one"', "Content-Range: bytes 0-999/5000")
    with ScriptedServer(
        [READ, Send(one)],
        then=[READ, Send(part), Forever(READ, Send(error(412, "PreconditionFailed")))],
        lenient=True,
    ) as server:
        status = main(["cat", "s3://bucket/key", *at(server.url)])
    out, err = capsys.readouterr()
    assert (status, out) == (3, "1" * 1000)
    assert "replaced after 1,000 bytes" in err
