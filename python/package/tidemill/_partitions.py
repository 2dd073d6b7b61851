"""What runs on the workers of a cluster: one chain for each partition, which has all records of its sensors in the order of their times."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from .chain import Chain, loaded
from .component import Component
from .errors import DataError, SpecError

if TYPE_CHECKING:
    import pyarrow

    from .pipeline import Pipeline

__all__ = ["Kernel", "empty", "nanoseconds", "order_of", "ordered", "stages_of", "warn_of_rejected"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_BEGINNING = -(2**63)
"""The earliest watermark, in nanoseconds since 1970: nothing is due."""


@dataclass(frozen=True)
class Kernel:
    """Stages, and the columns of their records: a description, which is sent to the workers.

    Make it by `Kernel.of`, which checks it.
    """

    stages: tuple[Component, ...]
    time: str
    sensor: str
    measurements: tuple[str, ...] | None
    constants: tuple[str | None, ...]
    """By stage, of those that are fitted, and the text of the files of those that load some: workers may not have these."""
    output: pyarrow.Schema
    """The columns that leave the last stage, in types that clusters know: text, signed integers, microseconds."""
    has_watermark: bool = False
    """Whether the watermark is given, for stages that depend on other sensors."""
    watermark: int | None = None
    """The one that an input that ends has reached, in nanoseconds since 1970."""

    @classmethod
    def of(
        cls,
        stages: Iterable[Component],
        columns: pyarrow.Schema,
        *,
        time: str,
        sensor: str,
        measurements: Sequence[str] | None,
        constants: Sequence[str | None],
        has_end: bool,
        has_watermark: bool = False,
    ) -> Kernel:
        """The kernel of `stages` for records of `columns`; `has_end`: whether the input ends; `has_watermark`: whether its watermark is given.

        Raises:
            SpecError: A stage does not fit the columns, or needs the records of other sensors.
        """
        stages = tuple(stages)
        chosen = None if measurements is None else tuple(measurements)
        plan = cls(stages, time, sensor, chosen, tuple(constants), columns, has_watermark)
        plan._refuse(has_end)
        plan = replace(plan, constants=loaded(stages, constants))
        plan._check(empty(columns), has_end)
        made = _record_batch(plan.chain().push(empty(columns))).schema
        return replace(plan, output=_plain(made, columns, time))

    def chain(self) -> Chain:
        """A chain that has been given nothing yet."""
        return Chain(
            self.stages,
            time=self.time,
            sensor=self.sensor,
            measurements=self.measurements,
            partitioned=True,
            constants=self.constants,
        )

    def run(self, batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        """Processes all record batches of a partition: `self.output` is the schema of the results."""
        chain = None
        for batch in batches:
            chain = chain or self.chain()
            yield self.plain(chain.push(batch))
        if chain is not None:
            if self.watermark is not None:
                yield self.plain(chain.advance(self.watermark))
            yield self.plain(chain.finish())
            warn_of_rejected(chain.rejected)

    def plain(self, batch: object) -> pyarrow.RecordBatch:
        """What a chain gave, in the types of `self.output`.

        Raises:
            DataError: That would change a value.
        """
        import pyarrow

        made = _record_batch(batch)
        columns = [_cast(column, field) for column, field in zip(made.columns, self.output, strict=True)]
        return pyarrow.RecordBatch.from_arrays(columns, schema=self.output)

    def _refuse(self, has_end: bool) -> None:
        """Refuses stages that cannot work on a cluster, with what to do instead."""
        for at, stage in enumerate(self.stages):
            match getattr(stage, "type", None):
                case "normalize" if stage.options.get("fit") and self._constants_of(at) is None:
                    raise SpecError(
                        f"{_name(at, stage)} needs a first pass over the whole input",
                        help="learn its constants from past records by `fit`, and give them as `constants`",
                    )
                case "silence" if stage.options.get("by") == "clock":
                    raise SpecError(
                        f"{_name(at, stage)} goes by the clock of the machine that receives the records",
                        help='leave out `by="clock"`, or run it in a `Pipeline`',
                    )
                case "aggregate" if stage.options.get("every") is None and not has_end:
                    raise SpecError(
                        f"{_name(at, stage)} waits for the end of the input, which a stream does not have",
                        help='set `every`, such as `every="1h"`',
                    )

    def _check(self, records: pyarrow.RecordBatch, has_end: bool) -> None:
        """Asks every stage, on the records that the stages before it give, whether they fit, and whether it depends on other sensors."""
        measurements = self.measurements
        for at, stage in enumerate(self.stages):
            try:
                chain = Chain([stage], time=self.time, sensor=self.sensor, measurements=measurements, constants=[self._constants_of(at)])
                records = _record_batch(chain.push(records))
            except SpecError as error:
                raise SpecError(str(error).replace("stage 0 ", f"stage {at} ", 1), help=error.help) from None
            measurements = None
            # The intervals of all sensors end with the input at the latest, and no record is late: they are sorted by time.
            if not (self.has_watermark or (has_end and stage.type == "aggregate")):
                self._check_alone(at, chain, has_end)

    def _check_alone(self, at: int, chain: Chain, has_end: bool) -> None:
        """Refuses stage `at`, which is that of `chain`, if it depends on other sensors."""
        try:
            chain.advance(_BEGINNING)
        except SpecError:
            of_stream = f'the stream a watermark, by `withWatermark("{self.time}", …)`'
            given = "the time that the input has reached as `watermark`" if has_end else of_stream
            raise SpecError(
                f"{_name(at, self.stages[at])} depends on other sensors: their records tell how far time has come",
                help=f"give {given}",
            ) from None

    def _constants_of(self, at: int) -> str | None:
        return self.constants[at] if at < len(self.constants) else None


def stages_of(given: Iterable[Component] | Pipeline) -> list[Component]:
    """The stages that are given, or those of a pipeline.

    Raises:
        SpecError: Some stages of the pipeline run in a `Pipeline` only.
    """
    stages: Any = getattr(given, "stages", given)
    return list(stages)


def ordered(records: pyarrow.Table, time: str, sensor: str) -> pyarrow.Table:
    """The same records, sorted by `order_of` their columns."""
    from pyarrow import compute

    # NaN after all numbers, and nulls at the end.
    # By index, since Arrow takes a name that begins with a dot for a path.
    keys: Any = [(records.column_names.index(name), "ascending") for name in order_of(records.schema, time, sensor)]
    return records.take(compute.sort_indices(records, sort_keys=keys))


def order_of(columns: pyarrow.Schema, time: str, sensor: str) -> list[str]:
    """The columns to sort by: the time, then all others, so that records of one time have an order that the cluster does not decide."""
    from pyarrow import types

    return [time, *(field.name for field in columns if field.name not in (time, sensor) and not types.is_nested(field.type))]


def _name(at: int, stage: Component) -> str:
    return f"stage {at} ({stage.type})"


def nanoseconds(time: datetime) -> int:
    """Nanoseconds since 1970; a time without a zone is one of UTC, as in columns."""
    zoned = time if time.tzinfo else time.replace(tzinfo=UTC)
    return (zoned - _EPOCH) // timedelta(microseconds=1) * 1000


def empty(columns: pyarrow.Schema) -> pyarrow.RecordBatch:
    """A record batch without rows, from which a chain learns its columns."""
    import pyarrow

    return pyarrow.RecordBatch.from_pylist([], schema=columns)


def warn_of_rejected(count: int) -> None:
    """Says in the log of the worker how many records were rejected."""
    if count:
        logging.getLogger("tidemill").warning("%d records were rejected: they have no time, no sensor, or a value that is none", count)


def _plain(made: pyarrow.Schema, given: pyarrow.Schema, time: str) -> pyarrow.Schema:
    """The schema `made` by a chain, in the types that clusters know.

    Times have microseconds, or nanoseconds if they were `given` so, as Dask has them and Spark has not. They are local if they were given so,
    otherwise in UTC. Those of a column that was not given are like those of the column `time`.
    """
    import pyarrow
    from pyarrow import types

    def plain(field: pyarrow.Field[Any]) -> pyarrow.Field[Any]:
        kind: pyarrow.DataType = field.type
        if types.is_dictionary(kind):
            kind = pyarrow.string()
        elif types.is_timestamp(kind):
            known = given.field(field.name if field.name in given.names else time).type
            is_time = types.is_timestamp(known)
            unit: Any = "ns" if is_time and known.unit == "ns" else "us"
            kind = pyarrow.timestamp(unit) if is_time and known.tz is None else pyarrow.timestamp(unit, "UTC")
        elif types.is_uint64(kind):
            kind = pyarrow.int64()
        return pyarrow.field(field.name, kind)

    return pyarrow.schema([plain(field) for field in made])


def _cast(column: pyarrow.Array[Any], field: pyarrow.Field[Any]) -> pyarrow.Array[Any]:
    import pyarrow

    try:
        return column.cast(field.type)
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"column `{field.name}`: {error}") from None


def _record_batch(batch: Any) -> pyarrow.RecordBatch:
    import pyarrow

    return pyarrow.record_batch(batch)
