"""What the doctor found: a line for each thing that was looked at."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Outcome = Literal["ok", "warning", "failure"]


class Check(NamedTuple):
    """One thing that was looked at or tried.

    Attributes:
        name: What (str).
        outcome: ``"ok"``, ``"warning"`` or ``"failure"``.
        detail: What was found (str).
        advice: What to do about it (str; empty when nothing).

    Example:
        >>> check = store.doctor()["list"]
        >>> check.name, check.outcome, check.advice
        ('list', 'ok', '')
    """

    name: str
    outcome: Outcome
    detail: str
    advice: str = ""


class Report(tuple[Check, ...]):
    """What :meth:`Store.doctor` found: a tuple of :class:`Check`, readable as text, JSON and HTML.

    Example:
        >>> report = store.doctor()
        >>> report[0].name, report["list"].outcome, "read" in [check.name for check in report]
        ('versions', 'ok', True)
    """

    __slots__ = ()

    @property
    def ok(self) -> bool:
        """Nothing failed; there may be warnings (bool).

        Example:
            >>> store.doctor().ok
            True
        """
        return all(check.outcome != "failure" for check in self)

    def __getitem__(self, name: Any) -> Any:
        """The check of this name, or at this position."""
        if isinstance(name, str):
            for check in self:
                if check.name == name:
                    return check
            raise KeyError(f"{name!r} is no check; there are {', '.join(check.name for check in self)}")
        return super().__getitem__(name)

    def to_json(self) -> list[dict[str, str]]:
        """The checks as JSON-like objects.

        Returns:
            A list of dicts, each with the attributes of a :class:`Check`.

        Example:
            >>> store.doctor().to_json()[-1]["name"]
            'checksums'
        """
        return [check._asdict() for check in self]

    def __str__(self) -> str:
        width = max((len(check.name) for check in self), default=0)
        lines = []
        for name, outcome, detail, advice in self:
            lines.append(f"{outcome:<7}  {name:<{width}}  {detail}")
            if advice:
                lines.append(f"{'':<7}  {'':<{width}}  -> {advice}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """A table, for notebooks."""
        from ..tables import table

        return table(("", *Check._fields), ((_SIGNS[check.outcome], *check) for check in self))


_SIGNS: dict[Outcome, str] = {"ok": "✔", "warning": "⚠", "failure": "✘"}
