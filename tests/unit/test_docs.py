"""The documentation says what the code does: members, defaults, variables, examples."""

from __future__ import annotations

import ast
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
    """In the reference; the README has all kinds too."""
    documented = {row[0].strip("`"): row[1] for row in rows(PAGES["spec.md"]) if row[0].strip("`") in TYPES}
    assert {kind: re.findall(r"`(\w+)`", members) for kind, members in documented.items()} == {
        kind: list(members) for kind, members in TYPES.items()
    }
    assert set(TYPES) <= {row[0].strip("`") for row in rows(PAGES["README.md"])}


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


def test_the_pages_link_to_files_that_there_are() -> None:
    """Relative links only; the others are of the Web."""
    for page, text in PAGES.items():
        folder = ROOT if page == "README.md" else ROOT / "docs"
        for target in re.findall(r"\]\((?!http)([^)#]+)", text):
            assert (folder / target).exists(), f"{page} links to {target}"
