"""What a docstring says of parameters, in the styles of Google, numpy and Sphinx."""

from __future__ import annotations

import inspect
import re

__all__ = ["parameters_in", "summary_of"]

_GOOGLE = re.compile(r"(Args|Arguments|Parameters|Attributes):$")
_NUMPY = re.compile(r"(Parameters|Other Parameters|Attributes)$")
_SPHINX = re.compile(r":param\s+(?:[^:]*\s)?\*{0,2}(\w+):\s*(.*)$")
_GOOGLE_NAMES = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?:\([^)]*\))?:(?:\s+(.*))?$")
_NUMPY_NAMES = re.compile(r"(\*{0,2}\w+(?:\s*,\s*\*{0,2}\w+)*)\s*(?::.*)?$")


def summary_of(docstring: str | None) -> str:
    """Its first paragraph, as one line."""
    first = inspect.cleandoc(docstring or "").split("\n\n", 1)[0]
    return "" if _GOOGLE.match(first.splitlines()[0] if first else "") else " ".join(first.split())


def parameters_in(docstring: str | None) -> dict[str, str]:
    """The text about each parameter, as one line.

    >>> parameters_in('''Scales.
    ...
    ...     Args:
    ...         low, high: The range.
    ...         unit (str): As written
    ...             on the sensor.
    ... ''')
    {'low': 'The range.', 'high': 'The range.', 'unit': 'As written on the sensor.'}
    """
    lines = inspect.cleandoc(docstring or "").splitlines()
    found: dict[str, str] = {}
    for at, line in enumerate(lines):
        if _GOOGLE.match(line):
            found |= _entries(lines[at + 1 :], _GOOGLE_NAMES)
        elif _NUMPY.match(line) and at + 1 < len(lines) and set(lines[at + 1]) == {"-"}:
            found |= _entries(["    " + line for line in _until_heading(lines[at + 2 :])], _NUMPY_NAMES)
        elif match := _SPHINX.match(line):
            found[match[1]] = " ".join([match[2], *_continuation(lines[at + 1 :])]).strip()
    return found


def _until_heading(lines: list[str]) -> list[str]:
    """The lines before the next underlined heading."""
    underline = next((at for at, line in enumerate(lines) if len(line) > 2 and set(line) == {"-"}), len(lines) + 1)
    return lines[: underline - 1]


def _continuation(lines: list[str]) -> list[str]:
    end = next((at for at, line in enumerate(lines) if not line.startswith(" ")), len(lines))
    return [line.strip() for line in lines[:end]]


def _entries(lines: list[str], names: re.Pattern[str]) -> dict[str, str]:
    """The entries of an indented section: names, then text that may go on in lines that are indented further."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    own = None
    for line in lines:
        if not line.strip():
            continue
        indent = len(line) - len(line.lstrip())
        if indent == 0:
            break
        own = indent if own is None else own
        match = names.match(line.strip()) if indent == own else None
        if match is None:
            current.append(line.strip())
            continue
        current = [match[2]] if match.lastindex and match.lastindex > 1 and match[2] else []
        found |= {name.strip().lstrip("*"): current for name in match[1].split(",")}
    return {name: " ".join(text) for name, text in found.items()}
