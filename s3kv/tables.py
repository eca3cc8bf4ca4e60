"""Tables for notebooks. Everything in them is text: nothing that a store says becomes markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

# So that keys with several spaces or lines look as they are.
_CELL = "<td style='text-align:left;white-space:pre-wrap;overflow-wrap:anywhere'>"
_HEAD = "<th style='text-align:left'>"


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """An HTML table.

    Args:
        heads: The columns' names.
        rows: What is in them; shown as text.
    """
    head = "".join(f"{_HEAD}{escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f"{_CELL}{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def facts(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """An HTML table of what is known of one thing; what is None is left out.

    Args:
        title: What the thing is.
        rows: Names and values.
    """
    return table((title, ""), [row for row in rows if row[1] is not None])


def size_text(size: int) -> str:
    """A number of bytes, and, if it is large, what that is."""
    text = "1 byte" if size == 1 else f"{size:,} bytes"
    amount = float(size)
    for unit in ("", "KB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            return f"{text} ({amount:,.1f} {unit})" if unit else text
        amount /= 1000
    return text


def time_text(seconds: float) -> str:
    """A time in seconds since the epoch, in UTC."""
    from datetime import datetime, timezone

    try:
        return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, OSError, ValueError):
        # No calendar goes that far.
        return f"{seconds:g} s since 1970"


def bytes_text(value: bytes, most: int = 200) -> str:
    """The beginning of bytes, as Python writes them."""
    shown = repr(bytes(value[:most]))
    return shown if len(value) <= most else f"{shown} …"
