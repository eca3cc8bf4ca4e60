"""What the README and the guide show is what happens: their blocks run, and give what the comments say."""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

import s3kv
from s3kv.testing import LocalServer

ROOT = Path(__file__).parents[2]
PAGES = {"README.md": 8, "docs/guide.md": 34, "docs/spec.md": 0}
BUCKET = "my-bucket"


class Page:
    """Runs the blocks of a page, one after the other, in one namespace.

    Attributes:
        checked: How many results were compared with a comment.
    """

    def __init__(self, text: str) -> None:
        self._blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        self.checked = 0

    def run(self) -> None:
        """Run all of them."""
        names: dict[str, Any] = {"s3kv": s3kv}
        for block in self._blocks:
            self._run(block, names)
        names.clear()

    def _run(self, block: str, names: dict[str, Any]) -> None:
        comments = {number: line.partition("  # ")[2] for number, line in enumerate(block.splitlines(), 1)}

        def check(number: int, value: Any) -> None:
            expected = literal(comments[number])
            if expected is not NOTHING:
                assert value == expected, block.splitlines()[number - 1]
                self.checked += 1

        for statement in ast.parse(block).body:
            error = getattr(s3kv, comments[statement.end_lineno or 0], None)
            tree = ast.fix_missing_locations(ast.Module([Checking().visit(statement)], []))
            code = compile(tree, block, "exec")
            if isinstance(error, type):
                with pytest.raises(error):
                    exec(code, names | {"check": check})
                self.checked += 1
            else:
                names["check"] = check
                exec(code, names)


class Checking(ast.NodeTransformer):
    """Gives the value of each expression that is a line of its own to ``check``."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        line = ast.Constant(node.end_lineno)
        return ast.Expr(ast.Call(ast.Name("check", ast.Load()), [line, node.value], []))


NOTHING = object()


def literal(comment: str) -> Any:
    """The value that a comment is; NOTHING if it is words."""
    try:
        return ast.literal_eval(comment)
    except (SyntaxError, ValueError):
        return NOTHING


@pytest.fixture
def place(local_server: LocalServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty ``my-bucket`` where a store without an endpoint looks, keys, and a folder with files."""
    monkeypatch.chdir(tmp_path)
    for name in ("big.parquet", "results.parquet"):
        Path(name).write_bytes(b"large")
    keys = "aws_access_key_id = any\naws_secret_access_key = any\n"
    Path("credentials").write_text(f"[default]\n{keys}[research]\n{keys}")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", local_server.endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    # With the credentials of these stores, which later tests would find there.
    monkeypatch.setattr("s3kv.context._default.context", None)
    logger = logging.getLogger("s3kv")
    level = logger.level
    client = boto3.client("s3")
    client.create_bucket(Bucket=BUCKET, ACL="public-read-write")
    yield
    logger.setLevel(level)
    with local_server.store(bucket=BUCKET) as store:
        store.clear()
    client.delete_bucket(Bucket=BUCKET)
    client.close()


@pytest.mark.parametrize("page", PAGES)
def test_what_is_shown_is_what_happens(page: str, place: None) -> None:
    """Each block, and each line whose comment is a value or the name of an error."""
    shown = Page((ROOT / page).read_text(encoding="utf-8"))
    shown.run()
    assert shown.checked >= PAGES[page]
