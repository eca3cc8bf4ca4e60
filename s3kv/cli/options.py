"""The commands and their options, as argparse has them."""

from __future__ import annotations

import json
import sys
from argparse import (
    SUPPRESS,
    ArgumentParser,
    ArgumentTypeError,
    BooleanOptionalAction,
    Namespace,
    RawDescriptionHelpFormatter,
)
from collections.abc import Sequence
from typing import Any, NoReturn

from .._version import __version__
from ..spec.spec import MEMBERS, Spec
from .failures import printable

# What the URL says, and what there is only one of.
_NO_OPTIONS = frozenset({"driver", "bucket", "path"})

_EPILOG = """\
URLs are s3://bucket/key, with an --endpoint too. Keys are percent-decoded: s3://bucket/a%20b is the key
"a b", and a literal %, ?, # or | is %25, %3F, %23 or %7C. Options of the store are as in s3kv's JSON spec.

exit status: 0 done, 1 not found or a condition did not hold, 2 wrong usage, 3 no access or no network,
130 interrupted
"""


class _Parser(ArgumentParser):
    """Says in one line what is wrong, and repeats nothing that it does not know: it could be a secret."""

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=RawDescriptionHelpFormatter, **options)

    def error(self, message: str) -> NoReturn:
        if message.startswith("argument COMMAND"):
            message = "there is no such command"
        self.exit(2, f"s3kv: {printable(message)}; see {self.prog} --help\n")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        found, unknown = self.parse_known_args(args, namespace)
        if unknown:
            names = [text.partition("=")[0] for text in unknown if text.startswith("-")]
            self.error(f"there is no option {', '.join(names)}" if names else "too many arguments")
        return found


def parse(arguments: Sequence[str]) -> Namespace:
    """The options that the arguments of a command give.

    Attributes of the result are those of the command, and: ``function``, what carries it out, as
    ``.module:name``; ``members``, the spec's members; ``timeout``, ``json``, ``verbose``, ``progress``.

    Raises:
        SystemExit: help or the version was asked for and shown, or something is wrong and was said.
    """
    parser = _make_parser()
    options = parser.parse_args(arguments)
    if not hasattr(options, "function"):
        parser.print_help(sys.stderr)
        raise SystemExit(2)
    options.members = {
        name: value
        for name in MEMBERS
        if name not in _NO_OPTIONS and (value := getattr(options, name, None)) is not None
    }
    for name, default in (("timeout", None), ("json", False), ("verbose", False), ("progress", True)):
        setattr(options, name, getattr(options, name, default))
    if options.json and options.command == "cat":
        parser.error("cat writes the object's bytes, and no --json")
    return options


def _make_parser() -> ArgumentParser:
    common = _common()
    parser = _Parser(
        prog="s3kv",
        usage="s3kv COMMAND [options] …",
        description="Objects on Amazon S3 and compatible stores.",
        epilog=_EPILOG,
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=f"s3kv {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND", prog="s3kv")

    def command(usage: str, function: str, summary: str, *, more: str = "") -> ArgumentParser:
        name, _, arguments = usage.partition(" ")
        made: ArgumentParser = commands.add_parser(
            name,
            help=summary,
            usage=f"s3kv {name} [options] {arguments}",
            description=f"{summary}. {more}".strip(),
            epilog=_EPILOG,
            parents=[common],
        )
        made.set_defaults(function=function)
        return made

    _add_looking(command)
    _add_moving(command)
    _add_measuring(command)
    return parser


def _add_looking(command: Any) -> None:
    ls = command(
        "ls URL",
        ".looking:ls",
        "List objects, one URL a line",
        more="Shows one level: what begins with the URL, up to the next slash.",
    )
    ls.add_argument("url", metavar="URL")
    ls.add_argument("-r", "--recursive", action="store_true", help="all levels, not only one")
    ls.add_argument("-l", "--long", action="store_true", help="with sizes and dates")
    ls.add_argument("--human", action="store_true", help="sizes such as 1.5 MiB; implies --long")
    stat = command("stat URL", ".looking:stat", "Show what the store says of an object")
    stat.add_argument("url", metavar="URL")
    presign = command("presign URL", ".looking:presign", "Make a URL with which anybody may use an object")
    presign.add_argument("url", metavar="URL")
    presign.add_argument(
        "--expires", type=_positive_int, default=3600, metavar="SECONDS", help="1 to 604800; default 3600"
    )
    presign.add_argument(
        "--method", choices=("GET", "HEAD", "PUT", "DELETE"), default="GET", help="default GET"
    )


def _add_moving(command: Any) -> None:
    cat = command("cat URL", ".moving:cat", "Write an object to standard output")
    cat.add_argument("url", metavar="URL")
    get = command(
        "get URL PATH",
        ".moving:get",
        "Download an object to a file, or all under a URL to a folder",
        more="A file appears whole or not at all; those that are the same already are left alone with "
        "--recursive.",
    )
    get.add_argument("url", metavar="URL")
    get.add_argument("path", metavar="PATH", help="a file, a folder to put it in, or - for standard output")
    put = command(
        "put PATH URL",
        ".moving:put",
        "Upload a file, standard input, or all in a folder",
        more="With --recursive, files that are the same already are left alone.",
    )
    put.add_argument("path", metavar="PATH", help="a file, or - for standard input")
    put.add_argument("url", metavar="URL", help="the object, or a folder, with a slash at its end")
    put.add_argument("--content-type", metavar="TYPE", help="default: guessed from the file's name")
    put.add_argument("--if-absent", action="store_true", help="only if there is no such object")
    put.add_argument("--delete", action="store_true", help="with -r: delete objects that are no files")
    for each in (get, put):
        each.add_argument("-r", "--recursive", action="store_true", help="everything, on all levels")
        each.add_argument("--dry-run", action="store_true", help="with -r: only say what would be done")
        each.add_argument("--all", action="store_true", help="with -r: what is the same already, too")
    cp = command("cp URL URL", ".moving:cp", "Have the store copy an object")
    cp.add_argument("source", metavar="URL")
    cp.add_argument("url", metavar="URL", help="the copy, or a folder, with a slash at its end")
    cp.add_argument("--if-absent", action="store_true", help="only if there is no such object")
    rm = command(
        "rm URL", ".moving:rm", "Delete an object, or all under a URL", more="A missing one is no error."
    )
    rm.add_argument("url", metavar="URL")
    rm.add_argument(
        "-r", "--recursive", action="store_true", help="all in the folder, and an object of its name"
    )
    rm.add_argument("--dry-run", action="store_true", help="only say what would be deleted")


def _add_measuring(command: Any) -> None:
    doctor = command(
        "doctor URL", ".looking:doctor", "Say what works with a store, and what to do about the rest"
    )
    doctor.add_argument("url", metavar="URL")
    doctor.add_argument("--write", action="store_true", help="also write, under a key of its own")
    bench = command(
        "bench URL",
        ".bench.command:bench",
        "Measure how fast a store is, and say what limits it",
        more="Writes objects under a prefix of its own, and removes them again.",
    )
    bench.add_argument("url", metavar="URL")
    bench.add_argument(
        "--seconds", type=_positive, default=3.0, metavar="S", help="for each measurement; default 3"
    )
    bench.add_argument(
        "--size", type=_positive_int, default=4096, metavar="BYTES", help="of small objects; default 4096"
    )
    bench.add_argument(
        "--concurrency",
        type=_positive_int,
        metavar="N",
        help="requests in flight; default: the store's, 32",
    )
    bench.add_argument("--chart", metavar="FILE", help="also draw it (needs the 'bench' extra)")


def _common() -> _Parser:
    """What every command takes; the members of the spec, all of them, as the schema describes them."""
    parser = _Parser(add_help=False, argument_default=SUPPRESS)
    group = parser.add_argument_group("output")
    group.add_argument("--json", action="store_true", help="one JSON document")
    group.add_argument("--no-progress", action="store_false", dest="progress", help="no progress bar")
    group.add_argument("-v", "--verbose", action="store_true", help="show every request on standard error")
    group = parser.add_argument_group("the store")
    group.add_argument(
        "--timeout", type=_positive, metavar="SECONDS", help="for each operation, retries included"
    )
    schema = Spec.json_schema()
    for name in MEMBERS:
        if name in _NO_OPTIONS:
            continue
        about = schema["properties"][name]
        if "$ref" in about:
            about = schema["$defs"][about["$ref"].rpartition("/")[2]]
        option = f"--{name.replace('_', '-')}"
        text = about["description"].replace("%", "%%")
        if about.get("type") == "boolean":
            group.add_argument(option, action=BooleanOptionalAction, help=text)
        elif about.get("type") == "string":
            group.add_argument(option, metavar="TEXT", help=text)
        else:
            if name == "s3_request_retries":
                text += " On the command line, 3 attempts if nothing is said."
            group.add_argument(option, metavar="JSON", type=_json, help=text)
    return parser


def _json(text: str) -> Any:
    """A JSON object, or the reference to a resource; what is wrong is said without what was given."""
    if not text.lstrip().startswith(("{", "[", '"')):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        where = (
            f": {error.msg} at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else ""
        )
        raise ArgumentTypeError(f"not JSON{where}") from None


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1e9:
        raise ArgumentTypeError(f"{text[:40]!r}: allowed is a number of seconds above 0")
    return number


def _positive_int(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 16 and int(text) > 0:
        return int(text)
    raise ArgumentTypeError(f"{text[:40]!r}: allowed is a whole number of at least 1")
