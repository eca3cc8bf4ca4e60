"""The documentation says what the code does: members, defaults, variables, examples."""

from __future__ import annotations

import ast
import builtins
import json
import re
from pathlib import Path

import pytest

import s3kv
from s3kv.executor import DEFAULT_CONCURRENCY
from s3kv.spec.aws_credentials import TYPES
from s3kv.spec.resources import RESOURCES, RateLimiter, Retries
from s3kv.spec.spec import MEMBERS

ROOT = Path(__file__).parents[2]
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
PAGES["README.md"] = (ROOT / "README.md").read_text(encoding="utf-8")
PACKAGE = sorted((ROOT / "s3kv").rglob("*.py"))


def blocks(language: str) -> list[tuple[str, str]]:
    """The fenced blocks of all pages in one language, with the page that each is from."""
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [(page, match[1]) for page, text in PAGES.items() for match in fence.finditer(text)]


def rows(text: str) -> list[list[str]]:
    """The cells of all tables of a text, without the lines under their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|--")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_every_member_has_a_section_of_its_own_and_no_other_has() -> None:
    """In any order."""
    assert sorted(re.findall(r"^### `(\w+)`$", PAGES["spec.md"], re.MULTILINE)) == sorted(MEMBERS)


def test_every_kind_of_credentials_is_documented_with_its_members() -> None:
    """In the reference; the guide has all kinds too."""
    documented = {row[0].strip("`"): row[1] for row in rows(PAGES["spec.md"]) if row[0].strip("`") in TYPES}
    assert {kind: re.findall(r"`(\w+)`", members) for kind, members in documented.items()} == {
        kind: list(members) for kind, members in TYPES.items()
    }
    assert set(TYPES) <= {row[0].strip("`") for row in rows(PAGES["guide.md"])}


def test_every_error_is_in_the_guide() -> None:
    """In its table, with the built-in error that it is, too."""
    table = PAGES["guide.md"].partition("| error | when |")[2].partition("\n\n")[0]
    usual = {KeyError, ValueError, PermissionError, ConnectionError, TimeoutError}
    named: set[type] = set()
    for row in rows(table):
        names = re.findall(r"`(\w+)`", row[0])
        kinds = {getattr(s3kv, name) for name in names if name in s3kv.__all__}
        built_in = {getattr(builtins, name) for name in names if name not in s3kv.__all__}
        assert [kind for kind in kinds if usual & set(kind.__mro__) != built_in] == []
        named |= kinds
    public = [getattr(s3kv, name) for name in s3kv.__all__]
    every = {kind for kind in public if isinstance(kind, type) and issubclass(kind, s3kv.S3KVError)}
    assert named == every - {s3kv.S3KVError}


def test_the_documented_defaults_are_those_of_the_code() -> None:
    """Those of the tables, and the limit in words."""
    table = {row[0].strip("`"): row[1] for row in rows(PAGES["spec.md"])}
    defaults = RESOURCES["s3_request_retries"].dump(Retries(), True)
    assert {name: table[name] for name in defaults} == {
        name: f"`{json.dumps(value)}`" for name, value in defaults.items()
    }
    assert set(RateLimiter._fields) <= set(table)
    assert f"`TENSORSTORE_S3_REQUEST_CONCURRENCY`, {DEFAULT_CONCURRENCY} if" in PAGES["spec.md"]


@pytest.mark.parametrize(("page", "example"), blocks("json"))
def test_every_example_of_a_spec_opens(page: str, example: str) -> None:
    """And says something: no example is its own default."""
    members = json.loads(example)
    with s3kv.Store(members) as store:
        assert store.spec() == {"driver": "s3", **members}


def test_every_member_that_needs_one_has_an_example() -> None:
    """A resource, and whatever hangs together with another member."""
    shown: set[str] = set()
    for _, example in blocks("json"):
        shown |= set(json.loads(example))
    assert {*RESOURCES, "endpoint", "host_header"} - {"context"} <= shown


@pytest.mark.parametrize(("page", "example"), blocks("python"))
def test_every_python_example_is_python(page: str, example: str) -> None:
    """It can at least be read."""
    ast.parse(example)


def test_every_environment_variable_that_the_code_reads_is_documented() -> None:
    """As a word of the page about them."""
    name = re.compile(r"[\"']((?:AWS|TENSORSTORE|REQUESTS)_[A-Z0-9_]+)[\"']")
    read = {match for path in PACKAGE for match in name.findall(path.read_text(encoding="utf-8"))}
    assert len(read) >= 12
    documented = set(re.findall(r"`([A-Z0-9_]+)`", PAGES["environment.md"]))
    assert read <= documented


def links(page: str) -> list[tuple[Path, str]]:
    """The files of this repository that a page links to, each with the heading there, if it says one."""
    own = ROOT / page if page == "README.md" else ROOT / "docs" / page
    found = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", PAGES[page])
    return [((own.parent / target).resolve() if target else own, anchor) for target, anchor in found]


def anchors(text: str) -> set[str]:
    """What links may say of the headings of a page: in lower case, hyphens for spaces, nothing else."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)", prose, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_page_links_to_what_there_is(page: str) -> None:
    """Files, and headings of pages; the other links are of the Web."""
    for target, anchor in links(page):
        assert target.exists(), f"{page} links to {target.name}"
        if anchor:
            headings = anchors(target.read_text(encoding="utf-8"))
            assert anchor in headings, f"{page} links to {target.name}#{anchor}"


def test_every_page_is_found_from_the_readme() -> None:
    """And so is every example."""
    reached, ahead = set(), ["README.md"]
    while ahead:
        page = ahead.pop()
        reached.add(page)
        ahead += [
            target.name for target, _ in links(page) if target.name in PAGES and target.name not in reached
        ]
    assert reached == set(PAGES)
    linked = {target for page in PAGES for target, _ in links(page)}
    assert ROOT / "examples" in linked
