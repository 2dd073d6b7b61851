"""Positions and states of components, as JSON in checkpoints."""

from __future__ import annotations

import json
from typing import Any


def to_json(value: Any) -> str:
    """`value` as JSON.

    Raises:
        TypeError: Reading it again would not give the same value; tuples become lists.
    """
    _check_keys(value)
    try:
        return json.dumps(value, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(f"a position or state is bytes, or what JSON can hold: {error}") from error


def from_json(text: bytes) -> Any:
    """What `to_json` got."""
    return json.loads(text)


def _check_keys(value: Any) -> None:
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(
                    f"a position or state has the key {key!r}, and JSON has texts as keys: use texts, or give bytes, such as pickle.dumps(…)"
                )
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            _check_keys(item)


__all__ = ["from_json", "to_json"]
