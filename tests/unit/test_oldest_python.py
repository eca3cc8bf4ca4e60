"""What runs here must run on the oldest Python that is supported, 3.10, too."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import s3kv

PACKAGE = Path(s3kv.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_python_3_10(path: Path) -> None:
    """Its syntax, and no generic NamedTuple, which came with 3.11."""
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and len(node.bases) > 1:
            assert "NamedTuple" not in [ast.unparse(base) for base in node.bases], node.name
