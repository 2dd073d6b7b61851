"""Records made by sources: see `Reading`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ._native import Record

__all__ = ["Reading"]

# So that others take a record for what it is: pandas makes rows of a list of them.
Mapping.register(Record)  # pyright: ignore[reportAttributeAccessIssue]


class Reading(Mapping[str, Any]):
    """A record, for sources and for stages that make records: its columns are attributes and items.

    Any mapping or object with attributes does as well.

    >>> reading = Reading(sensor="a", value=20.5)
    >>> reading.value, reading["sensor"]
    (20.5, 'a')
    """

    __slots__ = ("_columns",)

    def __init__(self, columns: Mapping[str, Any] | None = None, /, **others: Any) -> None:
        object.__setattr__(self, "_columns", {**(columns or {}), **others})

    def __getattr__(self, name: str) -> Any:
        try:
            return self._columns[name]
        except KeyError:
            raise AttributeError(f"this reading has no column `{name}`") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self._columns[name] = value

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __reduce__(self) -> tuple[Any, ...]:
        return Reading, (self._columns,)

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._columns.items())
        return f"Reading({shown})"
