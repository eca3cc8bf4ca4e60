"""Every public name says what it is, takes, gives and raises, with an example that does what it says."""

from __future__ import annotations

import builtins
import contextlib
import doctest
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import s3kv
import s3kv.doctor.report
import s3kv.futures
import s3kv.metrics
import s3kv.trees
from s3kv.testing import FaultProxy, LocalServer

# Its examples are run by tests of its own.
APART = ("s3kv.testing", "s3kv.__main__")
# What the classes below have for the rest of the package, under names that it goes by.
NOT_FOR_USERS = {"Context.after_fork"}
# Public names that are not in ``s3kv.__all__``, which Store's methods and properties return.
RETURNED = (
    s3kv.futures.Futures,
    s3kv.metrics.Metrics,
    s3kv.metrics.Histogram,
    s3kv.doctor.report.Report,
    s3kv.doctor.report.Check,
    s3kv.trees.TransferReport,
)

OPTIONS = doctest.ELLIPSIS | doctest.FAIL_FAST


# ------------------------------------------------------------------------------------- the examples


def modules() -> list[ModuleType]:
    """The modules of the package, those left out that need an extra which is not installed."""
    found = [s3kv]
    for module in pkgutil.walk_packages(s3kv.__path__, "s3kv.", onerror=lambda _: None):
        if not module.name.startswith(APART):
            with contextlib.suppress(ImportError, s3kv.S3KVError):
                found.append(importlib.import_module(module.name))
    return found


def examples() -> list[doctest.DocTest]:
    """Each docstring that has an example."""
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for module in modules() for test in finder.find(module, module.__name__)]
    return sorted((test for test in found if test.examples), key=lambda test: test.name)


EXAMPLES = examples()


@pytest.fixture(params=EXAMPLES, ids=lambda example: example.name)
def example(
    request: pytest.FixtureRequest,
    local_server: LocalServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[doctest.DocTest]:
    """An example, with an empty ``store``, ``s3kv``, ``s3kv_faults`` and an empty folder at hand."""
    found: doctest.DocTest = request.param
    monkeypatch.chdir(tmp_path)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(local_server.store(path=f"{found.name}/"))
        found.globs = {"s3kv": s3kv, "store": store}
        if any("s3kv_faults" in line.source for line in found.examples):
            found.globs["s3kv_faults"] = stack.enter_context(FaultProxy(store))
        yield found


def test_the_example_does_what_it_says(example: doctest.DocTest) -> None:
    """In order; an expected result may have ``...`` for what is never the same."""
    said: list[str] = []
    result = doctest.DocTestRunner(optionflags=OPTIONS).run(example, out=said.append)
    assert result.failed == 0, "".join(said)
    assert result.attempted == len(example.examples)


def test_no_example_is_left_out() -> None:
    """Anywhere in the package, those included that other tests run."""
    package = Path(s3kv.__file__).parent
    skipped = [
        path.relative_to(package).as_posix()
        for path in sorted(package.rglob("*.py"))
        if "doctest: +SKIP" in path.read_text(encoding="utf-8")
    ]
    assert skipped == []


# ------------------------------------------------------------------------------------- the words


def classes() -> dict[str, type]:
    """All public classes, by name."""
    public = {name: getattr(s3kv, name) for name in s3kv.__all__}
    found = {name: item for name, item in public.items() if isinstance(item, type)}
    return found | {item.__name__: item for item in RETURNED}


def plain(member: Any) -> Any:
    """The function behind a method or a property."""
    return getattr(member, "__func__", getattr(member, "fget", member))


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """The public methods and properties of a class that are this package's own."""
    for name in sorted(dir(kind)):
        if name.startswith("_"):
            continue
        member = inspect.getattr_static(kind, name)
        function = plain(member)
        if inspect.isfunction(function) and function.__module__.startswith("s3kv"):
            yield name, member


CLASSES = classes()
MEMBERS = {
    f"{kind.__name__}.{name}": member
    for kind in CLASSES.values()
    for name, member in members(kind)
    if f"{kind.__name__}.{name}" not in NOT_FOR_USERS
}
FUNCTIONS = {"process_metrics": s3kv.metrics.process_metrics}
METHODS = {name: member for name, member in MEMBERS.items() if not isinstance(member, property)}
PROPERTIES = {name: member for name, member in MEMBERS.items() if isinstance(member, property)}

SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Warning|Example):$", re.MULTILINE)
ENTRY = re.compile(r"^    (\*{0,2}\w[\w, ]*(?:, …)?):", re.MULTILINE)


def sections(item: Any) -> dict[str, str]:
    """The parts of a docstring by their heads, the first one's being empty."""
    parts = SECTION.split(inspect.cleandoc(item.__doc__ or ""))
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def entries(text: str) -> list[str]:
    """What the entries of a section are about."""
    return [name for line in ENTRY.findall(text) for name in line.split(", ")]


def parameters(function: Any) -> list[str]:
    """The names of a function's parameters, with their stars."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    found = inspect.signature(function).parameters.values()
    return [stars.get(each.kind, "") + each.name for each in found if each.name not in ("self", "cls")]


def test_there_is_enough_to_look_at() -> None:
    """The public names are found."""
    assert len(CLASSES) >= 30
    assert len(METHODS) >= 45
    assert len(PROPERTIES) >= 12
    assert "Store.get" in METHODS
    assert "Futures.get" in METHODS
    assert len(EXAMPLES) >= len(CLASSES) + len(MEMBERS)


@pytest.mark.parametrize("name", [*CLASSES, *MEMBERS, *FUNCTIONS])
def test_every_public_name_has_an_example(name: str) -> None:
    """Behind one or more sentences; its sections come in the same order everywhere."""
    item = {**CLASSES, **MEMBERS, **FUNCTIONS}[name]
    parts = sections(item)
    assert parts[""].strip()
    assert list(parts) == [
        head
        for head in ["", "Warning", "Args", "Attributes", "Returns", "Raises", "Example"]
        if head in parts
    ]
    assert ">>> " in parts.get("Example", "")


@pytest.mark.parametrize("name", METHODS)
def test_every_parameter_and_result_is_described(name: str) -> None:
    """In order; the futures of a store refer to its methods, whose parameters are the same."""
    function = plain(METHODS[name])
    kind, _, method = name.partition(".")
    parts = sections(function)
    if kind == "Futures":
        assert f":meth:`Store.{method}`" in parts[""]
        theirs = METHODS[f"Store.{method}"]
        assert parameters(function) == parameters(theirs)
        return
    assert entries(parts.get("Args", "")) == parameters(function)
    nothing = inspect.signature(function).return_annotation in (None, "None")
    assert ("Returns" in parts) != nothing


@pytest.mark.parametrize("kind", [s3kv.Store, s3kv.Context, s3kv.Spec, s3kv.KeyRange])
def test_what_users_make_says_what_of(kind: type) -> None:
    """Each argument, in order."""
    assert entries(sections(kind)["Args"]) == parameters(kind)


@pytest.mark.parametrize("name", [*CLASSES, *MEMBERS])
def test_every_error_that_is_named_exists(name: str) -> None:
    """An exception of s3kv's, or of Python's."""
    for error in entries(sections({**CLASSES, **MEMBERS}[name]).get("Raises", "")):
        if error != "…":
            found = getattr(s3kv, error, None) or getattr(builtins, error, None)
            assert isinstance(found, type)
            assert issubclass(found, Exception)


@pytest.mark.parametrize("name", [name for name in METHODS if name.startswith("Store.")])
def test_what_sends_requests_says_how_they_fail(name: str) -> None:
    """All methods of a store but three."""
    quiet = {"Store.close", "Store.doctor"}
    assert ("Raises" in sections(plain(METHODS[name]))) != (name in quiet)


def test_the_fields_of_a_result_are_described() -> None:
    """Each as an attribute, in order."""
    for kind in CLASSES.values():
        fields = getattr(kind, "_fields", None)
        if fields is not None:
            assert entries(sections(kind)["Attributes"]) == list(fields)


@pytest.mark.parametrize("name", ["put", "write", "delete", "modify"])
def test_what_depends_on_a_condition_warns_of_it(name: str) -> None:
    """Not every store decides on conditions atomically, and a DELETE least of all."""
    warning = sections(getattr(s3kv.Store, name))["Warning"]
    assert "DELETE" in warning or name == "put"
    assert "atomic" in warning
