"""Options of components as a pipeline file has them."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any

from .component import Component
from .errors import SpecError

__all__ = ["plain_options"]


def plain_options(component: Component) -> dict[str, Any]:
    """The table of a pipeline file for this component, in JSON's types.

    Raises:
        SpecError: An option has a value that a pipeline file cannot have.
    """
    name = type(component).__name__
    return {"type": component.type, **{option: _plain(value, f"`{option}` of {name}") for option, value in component.options.items()}}


def _plain(value: Any, what: str) -> Any:
    if isinstance(value, Enum):
        return _plain(value.value, what)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float | Decimal):
        return _number(value, what)
    if isinstance(value, timedelta):
        return _duration(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, os.PathLike):
        return _plain(os.fspath(value), what)
    if isinstance(value, Mapping):
        # As among the options themselves: None is an option that was not given.
        return {_key(key, what): _plain(one, what) for key, one in value.items() if one is not None}
    return _of_libraries(value, what)


def _of_libraries(value: Any, what: str) -> Any:
    """Scalars and arrays of numpy and others, and whatever else is a list."""
    if type(value).__name__ == "datetime64":
        return str(value)
    if type(value).__name__ == "timedelta64":
        return f"{value.astype('timedelta64[ns]').astype(int)}ns"
    if hasattr(value, "tolist"):
        return _plain(value.tolist(), what)
    if isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        return [_plain(one, what) for one in value]
    raise SpecError(f"{what} is {value!r:.80}", help="an option is text, a number, a boolean, a time, a duration, or a list or dict of these")


def _number(value: float | Decimal, what: str) -> float | int:
    if not math.isfinite(value):
        raise SpecError(f"{what} is {value}, which is not finite", help="leave the option out if there is no limit")
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else float(value)


def _duration(value: timedelta) -> str:
    micros = value // timedelta(microseconds=1)
    unit, size = next((unit, size) for unit, size in (("s", 1_000_000), ("ms", 1000), ("us", 1)) if micros % size == 0)
    return f"{micros // size}{unit}"


def _key(key: Any, what: str) -> str:
    key = key.value if isinstance(key, Enum) else key
    if not isinstance(key, str):
        raise SpecError(f"{what} has the key {key!r:.80}", help="keys are texts")
    return key
