"""The shapes: files as loggers and exports write them. They are made here, not by `tidemill generate`: a decoder must not be measured on what
its own project writes alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

START = datetime(2026, 1, 1, tzinfo=UTC)
SEED = 1
SENSORS = 1000

ODD_EVERY = 1000
"""One row in so many is not written like the others: a plant has such rows."""

VALUES_PER_ROW = 64
"""Measurements of the wide shape."""

Lines = Callable[[int, random.Random], Iterator[str]]


@dataclass(frozen=True)
class Shape:
    """One way to write readings."""

    name: str
    title: str
    lines: Lines
    """The rows, without a header, for a number of rows."""
    measurements: tuple[str, ...] = ("value",)
    time_format: str = "rfc3339"
    """As tidemill names it: `rfc3339`, or `ms` since 1970."""
    is_common: bool = True
    """Whether many loggers write so: more is wanted of these."""

    @property
    def header(self) -> str:
        return ",".join(("time", "sensor", *self.measurements))

    def rows(self, rows: int) -> int:
        """A wide file has fewer rows of more values each."""
        return max(rows // len(self.measurements), 1)


def _time(milliseconds: int) -> str:
    """RFC 3339 with milliseconds."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    """RFC 3339 up to the seconds: the same for many rows in turn."""
    return f"{START + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"


def _times(count: int, chance: random.Random) -> Iterator[int]:
    """A time for each row, in milliseconds: about one per millisecond, with jitter."""
    at = 0
    for _ in range(count):
        at += chance.choice((0, 1, 1, 1, 2))
        yield at


def _sensor(chance: random.Random) -> str:
    return f"temp-{chance.randrange(SENSORS):05d}"


def _value(chance: random.Random) -> str:
    return f"{chance.gauss(60, 20):.3f}"


def _plant(count: int, chance: random.Random) -> Iterator[str]:
    """What a plant writes: a time of its own in each row, sensors nearly in turn, one odd row in a thousand."""
    for row, at in enumerate(_times(count, chance)):
        sensor = f"temp-{(row + chance.randrange(3)) % SENSORS:05d}"
        value = f"{chance.gauss(60, 20):.3e}" if row % ODD_EVERY == ODD_EVERY - 1 else _value(chance)
        yield f"{_time(at)},{sensor},{value}"


def _steady(count: int, chance: random.Random) -> Iterator[str]:
    """One time for a thousand rows, sensors in turn."""
    for row in range(count):
        yield f"{_time(1000 * (row // SENSORS))},temp-{row % SENSORS:05d},{_value(chance)}"


def _with(sensor: Callable[[random.Random, int], str], value: Callable[[random.Random], str]) -> Lines:
    """Rows with times of their own."""

    def lines(count: int, chance: random.Random) -> Iterator[str]:
        for row, at in enumerate(_times(count, chance)):
            yield f"{_time(at)},{sensor(chance, row)},{value(chance)}"

    return lines


def _in_turn(_chance: random.Random, row: int) -> str:
    return f"temp-{row % SENSORS:05d}"


def _random(chance: random.Random, _row: int) -> str:
    return _sensor(chance)


def _long_name(chance: random.Random, _row: int) -> str:
    return f"plant-7/line-3/furnace-12/zone-{chance.randrange(SENSORS):04d}/temperature"


def _long_number(chance: random.Random) -> str:
    """17 significant digits, as `repr` and `%.17g` write them."""
    return f"{chance.gauss(60, 20):.17g}"


def _exponent(chance: random.Random) -> str:
    return f"{chance.gauss(60, 20):.6e}"


def _perhaps(chance: random.Random) -> str:
    return "" if chance.random() < 0.1 else _value(chance)


def _integer(chance: random.Random) -> str:
    return str(chance.randrange(-20_000, 100_000))


def _epochs(count: int, chance: random.Random) -> Iterator[str]:
    start = int(START.timestamp() * 1000)
    for row, at in enumerate(_times(count, chance)):
        yield f"{start + at},{_in_turn(chance, row)},{_value(chance)}"


def _quoted(count: int, chance: random.Random) -> Iterator[str]:
    for row, at in enumerate(_times(count, chance)):
        yield f'"{_time(at)}","{_in_turn(chance, row)}","{_value(chance)}"'


def _crlf(count: int, chance: random.Random) -> Iterator[str]:
    return (f"{line}\r" for line in _with(_in_turn, _value)(count, chance))


def _wide(count: int, chance: random.Random) -> Iterator[str]:
    for row, at in enumerate(_times(count, chance)):
        yield ",".join((_time(at), _in_turn(chance, row), *(_long_number(chance) for _ in range(VALUES_PER_ROW))))


SHAPES = (
    Shape("plant", "as a plant writes: own times, nearly in turn, 1 ‰ odd", _plant),
    Shape("steady", "one time in a thousand rows", _steady),
    Shape("times", "a new time every row", _with(_in_turn, _value)),
    Shape("epochs", "epochs in milliseconds", _epochs, time_format="ms"),
    Shape("names", "names in random order", _with(_random, _value)),
    Shape("long-names", "long names in random order", _with(_long_name, _value), is_common=False),
    Shape("digits", "numbers of 17 digits", _with(_in_turn, _long_number), is_common=False),
    Shape(
        "wide-digits",
        "64 columns of 17 digits",
        _wide,
        measurements=tuple(f"v{at}" for at in range(VALUES_PER_ROW)),
        is_common=False,
    ),
    Shape("exponents", "numbers with exponents", _with(_in_turn, _exponent), is_common=False),
    Shape("integers", "integers", _with(_in_turn, _integer)),
    Shape("nulls", "a tenth of the values empty", _with(_in_turn, _perhaps)),
    Shape("quoted", "every field quoted", _quoted),
    Shape("crlf", "lines that end in CRLF", _crlf),
)


def shape_named(name: str) -> Shape:
    """The shape of this name; raises `KeyError` if there is none."""
    return {shape.name: shape for shape in SHAPES}[name]
