"""Sinks of the engine, by name. Written by `generate.py` from their schemas: docs/reference.md has the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

from .component import Component

__all__ = [
    "Alert",
    "Console",
    "Csv",
    "DeadLetter",
    "JsonLines",
    "Null",
    "Parquet",
]


class Alert(Component):
    """Notifies when a measurement is too high or too low, once per incident.

    Args:
        column: The measurement to watch. A glob watches every measurement that it matches, each
            separately.
        name: The name of the rule in messages; defaults to the name of the measurement.
        above: An incident begins when a value is above this.
        below: An incident begins when a value is below this.
        clear_above: An incident above ends when a value is at or below this; defaults to `above`.
        clear_below: An incident below ends when a value is at or above this; defaults to `below`.
        rules: Thresholds for particular sensors, by name or glob; the last match wins. A threshold
            that is not given here is taken from the sink.
        hold: How long, in event time, values must stay beyond the threshold before the alert is
            raised, such as "30s".
        path: Writes alerts to this file as JSON Lines; "-" is standard output. Without this and
            `command`, alerts go to the log (standard error).
        command: Starts this program with its arguments and writes alerts to its standard input as
            JSON Lines. It runs in the folder against which the pipeline's relative paths are
            resolved; a name without a slash is searched for in `PATH`.
        environment: Variables of the environment that `command` is given besides those of this
            process, such as `{ TOKEN = { file = "token" } }`. They are secrets.
        sensors: The sensors that it receives, by name or glob.
        from_: The parts that feed it; by default, the last stage.
        on_failure: What happens after a failure.
        retry: For a server or database: when a delivery that has failed is tried again.
        breaker: For a server or database: when one that is down is not called.
        outbox: For a server or database: how much may wait for it, such as "8GiB".
        delivery: The guarantee that its output must have, with a state folder.
    """

    kind: ClassVar[str] = "sink"
    type: ClassVar[str] = "alert"

    def __init__(
        self,
        *,
        column: str | None = None,
        name: str | None = None,
        above: float | None = None,
        below: float | None = None,
        clear_above: float | None = None,
        clear_below: float | None = None,
        rules: Mapping[str, Mapping[str, Any]] | None = None,
        hold: str | None = None,
        path: str | None = None,
        command: Sequence[str] | None = None,
        environment: Mapping[str, Mapping[str, Any] | str] | None = None,
        sensors: Sequence[str] | None = None,
        from_: str | Sequence[str] | None = None,
        on_failure: Literal["stop", "wait", "drop"] | None = None,
        retry: Mapping[str, Any] | None = None,
        breaker: Mapping[str, Any] | None = None,
        outbox: str | None = None,
        delivery: Literal["exactly_once", "at_least_once"] | None = None,
    ) -> None:
        super().__init__(
            column=column,
            name=name,
            above=above,
            below=below,
            clear_above=clear_above,
            clear_below=clear_below,
            rules=rules,
            hold=hold,
            path=path,
            command=command,
            environment=environment,
            sensors=sensors,
            **{"from": from_},
            on_failure=on_failure,
            retry=retry,
            breaker=breaker,
            outbox=outbox,
            delivery=delivery,
        )


class Console(Component):
    """A table on standard output, for people.

    Args:
        limit: How many records to show; by default, all. The others are counted.
        decimals: Digits after the decimal point; by default, six significant digits.
        width: Width in characters; by default, that of the terminal, unlimited without one. Columns
            that do not fit are left out and listed below the table.
        sensors: The sensors that it receives, by name or glob.
        from_: The parts that feed it; by default, the last stage.
        on_failure: What happens after a failure.
        retry: For a server or database: when a delivery that has failed is tried again.
        breaker: For a server or database: when one that is down is not called.
        outbox: For a server or database: how much may wait for it, such as "8GiB".
        delivery: The guarantee that its output must have, with a state folder.
    """

    kind: ClassVar[str] = "sink"
    type: ClassVar[str] = "console"

    def __init__(
        self,
        *,
        limit: int | None = None,
        decimals: int | None = None,
        width: int | None = None,
        sensors: Sequence[str] | None = None,
        from_: str | Sequence[str] | None = None,
        on_failure: Literal["stop", "wait", "drop"] | None = None,
        retry: Mapping[str, Any] | None = None,
        breaker: Mapping[str, Any] | None = None,
        outbox: str | None = None,
        delivery: Literal["exactly_once", "at_least_once"] | None = None,
    ) -> None:
        super().__init__(
            limit=limit,
            decimals=decimals,
            width=width,
            sensors=sensors,
            **{"from": from_},
            on_failure=on_failure,
            retry=retry,
            breaker=breaker,
            outbox=outbox,
            delivery=delivery,
        )


class Csv(Component):
    """A file of delimited text.

    Args:
        path: The file; "-" is standard output. Missing folders are created. With the feature
            `objects`, `s3://bucket/key` and the like are objects in a store.
        delimiter: The byte between fields, such as ",", ";" or "\\t".
        decimals: Digits after the decimal point; by default, the shortest text that reads back to
            the same bits.
        csv_safe: Whether to put an apostrophe before text that begins with = + - @, a tab or a line
            end, so that spreadsheets do not run it as a formula.
        roll: When to end a file and begin another, and how long to keep files: `{ every = "1h",
            size = "256MiB", keep = "30d" }`. `path` is then a template:
            "out/{date}/{hour}-{epoch}.csv".
        sensors: The sensors that it receives, by name or glob.
        from_: The parts that feed it; by default, the last stage.
        on_failure: What happens after a failure.
        retry: For a server or database: when a delivery that has failed is tried again.
        breaker: For a server or database: when one that is down is not called.
        outbox: For a server or database: how much may wait for it, such as "8GiB".
        delivery: The guarantee that its output must have, with a state folder.
    """

    kind: ClassVar[str] = "sink"
    type: ClassVar[str] = "csv"

    def __init__(
        self,
        *,
        path: str | None = None,
        delimiter: str | None = None,
        decimals: int | None = None,
        csv_safe: bool | None = None,
        roll: Mapping[str, Any] | None = None,
        sensors: Sequence[str] | None = None,
        from_: str | Sequence[str] | None = None,
        on_failure: Literal["stop", "wait", "drop"] | None = None,
        retry: Mapping[str, Any] | None = None,
        breaker: Mapping[str, Any] | None = None,
        outbox: str | None = None,
        delivery: Literal["exactly_once", "at_least_once"] | None = None,
    ) -> None:
        super().__init__(
            path=path,
            delimiter=delimiter,
            decimals=decimals,
            csv_safe=csv_safe,
            roll=roll,
            sensors=sensors,
            **{"from": from_},
            on_failure=on_failure,
            retry=retry,
            breaker=breaker,
            outbox=outbox,
            delivery=delivery,
        )


class DeadLetter(Component):
    """Rejected and late records, with the reason.

    Args:
        path: The file; "-" is standard output. Missing folders are created.
        roll: When to end a file and begin another, and how long to keep files: `{ every = "1h",
            size = "256MiB", keep = "30d" }`. `path` is then a template: "rejects/{epoch}.jsonl".
        sensors: The sensors that it receives, by name or glob.
        from_: The parts that feed it; by default, the last stage.
        on_failure: What happens after a failure.
        retry: For a server or database: when a delivery that has failed is tried again.
        breaker: For a server or database: when one that is down is not called.
        outbox: For a server or database: how much may wait for it, such as "8GiB".
        delivery: The guarantee that its output must have, with a state folder.
    """

    kind: ClassVar[str] = "sink"
    type: ClassVar[str] = "dead_letter"

    def __init__(
        self,
        *,
        path: str | None = None,
        roll: Mapping[str, Any] | None = None,
        sensors: Sequence[str] | None = None,
        from_: str | Sequence[str] | None = None,
        on_failure: Literal["stop", "wait", "drop"] | None = None,
        retry: Mapping[str, Any] | None = None,
        breaker: Mapping[str, Any] | None = None,
        outbox: str | None = None,
        delivery: Literal["exactly_once", "at_least_once"] | None = None,
    ) -> None:
        super().__init__(
            path=path,
            roll=roll,
            sensors=sensors,
            **{"from": from_},
            on_failure=on_failure,
            retry=retry,
            breaker=breaker,
            outbox=outbox,
            delivery=delivery,
        )


class JsonLines(Component):
    """A file with one JSON object per record.

    Args:
        path: The file; "-" is standard output. Missing folders are created. With the feature
            `objects`, `s3://bucket/key` and the like are objects in a store.
        decimals: Digits after the decimal point; by default, the shortest text that reads back to
            the same bits.
        roll: When to end a file and begin another, and how long to keep files: `{ every = "1h",
            size = "256MiB", keep = "30d" }`. `path` is then a template:
            "out/{date}/{hour}-{epoch}.jsonl".
        sensors: The sensors that it receives, by name or glob.
        from_: The parts that feed it; by default, the last stage.
        on_failure: What happens after a failure.
        retry: For a server or database: when a delivery that has failed is tried again.
        breaker: For a server or database: when one that is down is not called.
        outbox: For a server or database: how much may wait for it, such as "8GiB".
        delivery: The guarantee that its output must have, with a state folder.
    """

    kind: ClassVar[str] = "sink"
    type: ClassVar[str] = "jsonl"

    def __init__(
        self,
        *,
        path: str | None = None,
        decimals: int | None = None,
        roll: Mapping[str, Any] | None = None,
        sensors: Sequence[str] | None = None,
        from_: str | Sequence[str] | None = None,
        on_failure: Literal["stop", "wait", "drop"] | None = None,
        retry: Mapping[str, Any] | None = None,
        breaker: Mapping[str, Any] | None = None,
        outbox: str | None = None,
        delivery: Literal["exactly_once", "at_least_once"] | None = None,
    ) -> None:
        super().__init__(
            path=path,
            decimals=decimals,
            roll=roll,
            sensors=sensors,
            **{"from": from_},
            on_failure=on_failure,
            retry=retry,
            breaker=breaker,
            outbox=outbox,
            delivery=delivery,
        )


class Null(Component):
    """Discards all records, for measuring.

    Args:
        sensors: The sensors that it receives, by name or glob.
        from_: The parts that feed it; by default, the last stage.
        on_failure: What happens after a failure.
        retry: For a server or database: when a delivery that has failed is tried again.
        breaker: For a server or database: when one that is down is not called.
        outbox: For a server or database: how much may wait for it, such as "8GiB".
        delivery: The guarantee that its output must have, with a state folder.
    """

    kind: ClassVar[str] = "sink"
    type: ClassVar[str] = "null"

    def __init__(
        self,
        *,
        sensors: Sequence[str] | None = None,
        from_: str | Sequence[str] | None = None,
        on_failure: Literal["stop", "wait", "drop"] | None = None,
        retry: Mapping[str, Any] | None = None,
        breaker: Mapping[str, Any] | None = None,
        outbox: str | None = None,
        delivery: Literal["exactly_once", "at_least_once"] | None = None,
    ) -> None:
        super().__init__(
            sensors=sensors,
            **{"from": from_},
            on_failure=on_failure,
            retry=retry,
            breaker=breaker,
            outbox=outbox,
            delivery=delivery,
        )


class Parquet(Component):
    """A Parquet file: zstd, statistics, sensors as a dictionary.

    Args:
        path: The file. Missing folders are created. With the feature `objects`, `s3://bucket/key`
            and the like are objects in a store.
        level: The zstd level, from 1 (fast) to 22 (small).
        row_group: Records per row group: the unit that readers can skip, and that is held in memory
            while writing.
        roll: When to end a file and begin another, and how long to keep files: `{ every = "1h",
            size = "256MiB", keep = "30d" }`. `path` is then a template:
            "out/{date}/{hour}-{epoch}.parquet".
        sensors: The sensors that it receives, by name or glob.
        from_: The parts that feed it; by default, the last stage.
        on_failure: What happens after a failure.
        retry: For a server or database: when a delivery that has failed is tried again.
        breaker: For a server or database: when one that is down is not called.
        outbox: For a server or database: how much may wait for it, such as "8GiB".
        delivery: The guarantee that its output must have, with a state folder.
    """

    kind: ClassVar[str] = "sink"
    type: ClassVar[str] = "parquet"

    def __init__(
        self,
        *,
        path: str | None = None,
        level: int | None = None,
        row_group: int | None = None,
        roll: Mapping[str, Any] | None = None,
        sensors: Sequence[str] | None = None,
        from_: str | Sequence[str] | None = None,
        on_failure: Literal["stop", "wait", "drop"] | None = None,
        retry: Mapping[str, Any] | None = None,
        breaker: Mapping[str, Any] | None = None,
        outbox: str | None = None,
        delivery: Literal["exactly_once", "at_least_once"] | None = None,
    ) -> None:
        super().__init__(
            path=path,
            level=level,
            row_group=row_group,
            roll=roll,
            sensors=sensors,
            **{"from": from_},
            on_failure=on_failure,
            retry=retry,
            breaker=breaker,
            outbox=outbox,
            delivery=delivery,
        )
