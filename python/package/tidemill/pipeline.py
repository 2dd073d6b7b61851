"""Pipelines: made of parts or read from a file, run, and looked at."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict, Unpack

from . import _native, stages
from ._native import Running, Stream, Table
from ._options import plain_options
from .component import Component
from .errors import DataError, InternalError, SpecError
from .plan import Plan
from .progress import watch

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow
    from matplotlib.figure import Figure

    from .protocols import Part
    from .schemas import Report

__all__ = ["Pipeline", "Settings", "Verdict"]


class Settings(TypedDict, total=False):
    """How a pipeline is run: keywords of `Pipeline.run` and `Pipeline.start`.

    Args:
        threads: Worker threads; by default, one for each core.
        state: The folder of checkpoints: a run that was interrupted resumes from the newest.
        state_every: Seconds between two checkpoints; by default, one.
        accept_changes: Resume although the pipeline or its input has changed since the checkpoint.
        take_over: End another run that uses `state`, and go on in its place.
    """

    threads: int | None
    state: str | os.PathLike[str] | None
    state_every: float | timedelta | None
    accept_changes: bool
    take_over: bool


class Pipeline:
    """Sources, stages and sinks, checked and ready to run, any number of times.

    A part is one of the engine's own components, or an object of yours:

    - a source has `stream()`, which gives records; a DataFrame, a table or any iterable of records is a source, too;
    - a stage has `process(stream)`, which gives records;
    - a sink has `consume(stream)`, or `deliver(epoch, stream, writer)`.

    A part that is a context manager, asynchronous or not, is entered before its methods are called, and left after the last one. It is told what
    was raised, and cannot suppress it.

    In a run with checkpoints (`state`), parts of yours go on after a restart, too:

    - a source has `position()`, which says how far the records go that it has given so far, and `resume(position)`, called before `stream()`.
      `durable(position)`, if it has that, is told what it need not give again. Lists and tables need none of this; `at_most_once = True`
      says that records may be lost.
    - a stage has `save()`, which returns what it keeps between records, and `restore(state)`, called before `process`; `stateless = True` says
      that it keeps nothing.
    - a sink has `deliver(epoch, stream, writer)`: it gets the records of an epoch, those between two checkpoints, once the checkpoint is
      durable. After a restart it may get the last epoch again. `writer` stays the same for all runs from one `state`. `at_least_once = True`
      says that a sink with `consume` may get records again.

    Positions and states are bytes, or what JSON can hold.

    >>> from tidemill import MovingAverage, Pipeline, Threshold
    >>> readings = [{"sensor": "a", "value": value} for value in (1.0, 3.0, 500.0)]
    >>> pipeline = Pipeline([readings, Threshold(max=100), MovingAverage(window=2)])
    >>> [record.value_avg for record in pipeline.stream()]
    [1.0, 2.0]

    Args:
        parts: Sources, then stages, then sinks, each in order. Without a sink, `to_arrow`, `to_polars`, `to_pandas` and `stream` give the
            records to the program.

    Raises:
        SpecError: The parts are wrong; it names all mistakes.
    """

    _pipeline: _native.Pipeline
    _make: Callable[[list[str]], _native.Pipeline]
    """Makes the same again, with some overrides."""
    _has_sink: bool
    _made_by: tuple[Callable[..., Pipeline], tuple[Any, ...]]
    """The function that makes it once more, and what that is called with."""

    def __init__(self, parts: Iterable[Part]) -> None:
        parts = list(parts)
        self._made_by = (type(self), (parts,))
        tables, objects = _tables(parts)
        self._has_sink = "sink" in tables
        tables.setdefault("sink", [{"type": "null"}])
        text = json.dumps(tables)
        self._make = lambda set: _native.Pipeline.of_parts(text, objects, set)
        self._pipeline = self._make([])

    @classmethod
    def from_file(cls, path: str | os.PathLike[str], *, set: str | Sequence[str] = ()) -> Pipeline:
        """The pipeline in a file. Relative paths in it start from its folder.

        Args:
            path: The pipeline file.
            set: Options to override, such as `stage.0.max=90`: one, or several.

        Raises:
            SpecError: The file is wrong; it names all mistakes, each with its line.
            UnavailableError: There is no such file.
        """
        self = cls.__new__(cls)
        overrides = [set] if isinstance(set, str) else list(set)
        self._make = lambda set: _native.Pipeline.of_file(os.fspath(path), [*overrides, *set])
        self._pipeline = self._make([])
        self._has_sink = True
        self._made_by = (_from_file, (cls, path, overrides))
        return self

    def __reduce__(self) -> tuple[Callable[..., Pipeline], tuple[Any, ...]]:
        # Made anew by the process that gets it, from its parts or its file.
        return self._made_by

    @property
    def stages(self) -> tuple[Component, ...]:
        """Its stages, each with all options, defaults too: for `Chain`, and for `tidemill.spark` and `tidemill.dask`.

        Paths in the options are as the pipeline has them: those of a file start from its folder. What the options of its sources ask for is
        not among the stages: an order or period of the records, and `agree`.

        >>> from tidemill import MovingAverage, Pipeline
        >>> [stage.type for stage in Pipeline([[{"sensor": "a", "value": 1.0}], MovingAverage(window=2)]).stages]
        ['moving_average']

        Raises:
            SpecError: One is written in Python; or they are not one after another, but in branches.
        """
        return tuple(_stage(at, type, options) for at, (type, options) in enumerate(self._pipeline.stages()))

    def run(self, *, progress: bool = False, **settings: Unpack[Settings]) -> Report:
        """Runs it to the end of its input, and gives the report: the ledger of every part, as in `tidemill run --report`.

        Args:
            progress: Show how far it is: a bar in a notebook or terminal, and otherwise lines on standard error.
            settings: See `Settings`.

        Raises:
            TidemillError: What ended the run early; what a component in Python raised is raised as it is.
            KeyboardInterrupt: Ctrl-C was pressed; the run has stopped.
        """
        if not self._has_sink:
            raise SpecError("the pipeline has no sink", help="add one, or call `to_arrow`, `to_polars`, `to_pandas` or `stream`")
        own = _settings(**settings)
        return watch(self._pipeline.start_with(own)) if progress else self._pipeline.run_with(own)

    def start(self, **settings: Unpack[Settings]) -> Running:
        """Runs it in the background: the result has `status()`, `stop()` and `join()`, and stops at the end of a `with` block.

        Args:
            settings: See `Settings`.
        """
        if not self._has_sink:
            raise SpecError("the pipeline has no sink", help="add one, or call `stream`")
        return self._pipeline.start_with(_settings(**settings))

    def to_table(self, *, threads: int | None = None) -> Table:
        """Runs it, and gives what leaves its last stage: a table in memory, which anything that knows Arrow's C interface takes without a copy.

        Its own sinks are not run. Records that were rejected are told by a `RejectedWarning`, and other remarks of the run, such as on
        a column that was left out since it is nested, by a `RemarkWarning`.
        """
        return self._pipeline.table(_settings(threads))

    def to_arrow(self, *, threads: int | None = None) -> pyarrow.Table:
        """The same as a `pyarrow.Table`; needs pyarrow."""
        import pyarrow

        return pyarrow.table(self.to_table(threads=threads))

    def to_polars(self, *, threads: int | None = None) -> polars.DataFrame:
        """The same as a `polars.DataFrame`; needs polars."""
        import polars

        return polars.DataFrame(self.to_table(threads=threads))

    def to_pandas(self, *, threads: int | None = None) -> pandas.DataFrame:
        """The same as a `pandas.DataFrame`; needs pandas and pyarrow."""
        frame: pandas.DataFrame = self.to_arrow(threads=threads).to_pandas()
        return frame

    def stream(self, *, threads: int | None = None) -> Stream:
        """Runs it in the background, and gives what leaves its last stage as it comes, in constant memory.

        Its own sinks are not run. The run stops when the stream is dropped.
        """
        return self._pipeline.stream_with(_settings(threads))

    def explain(self) -> Plan:
        """What it would do, part by part, and what it guarantees: in notebooks a table, as text what `tidemill explain` prints.

        Opens its sources to see their columns; no record is lost by that.

        >>> from tidemill import MovingAverage, Pipeline
        >>> plan = Pipeline([[{"sensor": "a", "value": 1.0}], MovingAverage(window=2)]).explain()
        >>> plan.stages[0]["facts"]["adds"]
        'value_avg (measurement)'

        Raises:
            TidemillError: A source cannot be opened, or the parts do not fit its columns.
        """
        values, text = self._pipeline.explain()
        return Plan(values, text)

    def verify(self, *, rounds: int = 8, seed: int | None = None) -> Verdict:
        """Runs it in many ways (on several threads, live, in pieces of any size, stopped and resumed), and checks that all give the same bytes.

        Its own outputs are not touched: each run writes to a folder of its own, which is removed. Its sources must be such that can be read again:
        files, tables, DataFrames.

        Args:
            rounds: How many random runs of each kind.
            seed: Repeats a verification.

        Raises:
            InternalError: Two ways gave different output: a bug, or a part whose result depends on more than its input.
            DataError: All ways failed, in the same way.
            SpecError: The input cannot be read twice.
        """
        import random
        import tempfile

        seed = random.randrange(10**9) if seed is None else seed
        with tempfile.TemporaryDirectory(prefix="tidemill-", ignore_cleanup_errors=True) as folder:
            told = self._pipeline.verify(self._make, folder, seed, rounds)
        if told["difference"] is not None:
            raise InternalError(
                f"not all ways of running give the same output:\n{told['difference']}",
                help=f"this is a bug, or a part whose result depends on more than its input; seed={seed} repeats this test",
            )
        if told["failure"] is not None:
            raise DataError(f"{told['ways']} ways of running failed in the same way: {told['failure']}", help="mend what makes `run` fail")
        return Verdict(told["ways"], told["records"], tuple(told["files"]), seed)

    def plot(
        self,
        column: str | None = None,
        *,
        sensors: Sequence[str] | None = None,
        anomalies: str | None = None,
        max_points: int = 2000,
        threads: int | None = None,
    ) -> Figure:
        """Runs it, and draws what leaves its sources and what leaves its last stage, side by side for each sensor.

        Records that the stages have filtered, or whose value they have masked, are marked on the left, if the times of the others are those of the
        input. Anomalies are marked on the right. Where there are more points than can be seen, the least and the greatest of each stretch are
        drawn, so that no extreme is missed. Its own sinks are not run. Needs `pip install tidemill[plot]`.

        Args:
            column: The measurement to draw; by default, the first one.
            sensors: The sensors to draw, by name or glob; by default, the first eight.
            anomalies: The boolean column that is true for anomalies; by default, what `Threshold(action="flag")` has flagged.
            max_points: Points of a line, at most.
            threads: As for `run`.

        Returns:
            The figure: `figure.savefig("plot.png")` writes it.

        Raises:
            SpecError: There is no such column.
            DataError: There is no such sensor.
        """
        import pyarrow

        from .plotting import plot

        before, after = (pyarrow.table(table) for table in self._pipeline.tables(_settings(threads)))
        return plot(before, after, column=column, sensors=sensors, anomalies=anomalies, max_points=max_points)


class Verdict(NamedTuple):
    """All ways of running gave the same bytes."""

    ways: int
    """How many runs there were."""
    records: int
    """Of the input."""
    files: tuple[str, ...]
    """The outputs that were compared."""
    seed: int


def _stage(at: int, type: str, options: Mapping[str, Any] | None) -> Component:
    own = (vars(stages)[name] for name in stages.__all__)
    made = next((one for one in own if one.type == type), None)
    # One that is written in Python has no options here, and may have any name.
    if made is None or options is None:
        raise SpecError(f"stage {at} (`{type}`) is none of the engine's own stages", help="it runs in a `Pipeline` only")
    stage: Component = made.__new__(made)
    Component.__init__(stage, **options)
    return stage


def _from_file(cls: type[Pipeline], path: str | os.PathLike[str], set: Sequence[str]) -> Pipeline:
    return cls.from_file(path, set=set)


def _settings(
    threads: int | None = None,
    state: str | os.PathLike[str] | None = None,
    state_every: float | timedelta | None = None,
    accept_changes: bool = False,
    take_over: bool = False,
) -> dict[str, Any]:
    return {
        "threads": threads,
        "state": None if state is None else os.fspath(state),
        "state_every": state_every.total_seconds() if isinstance(state_every, timedelta) else state_every,
        "accept_changes": accept_changes,
        "take_over": take_over,
    }


def _tables(parts: Iterable[Part]) -> tuple[dict[str, list[dict[str, Any]]], list[Any]]:
    """The tables of a pipeline file for these parts, and the objects that they refer to."""
    tables: dict[str, list[dict[str, Any]]] = {}
    objects: list[Any] = []
    for at, part in enumerate(parts):
        if isinstance(part, Component):
            tables.setdefault(part.kind, []).append(plain_options(part))
        else:
            tables.setdefault(_kind(part, at), []).append({"type": "python:", "object": len(objects)})
            objects.append(part)
    return tables, objects


def _kind(part: Any, at: int) -> str:
    if isinstance(part, type):
        raise SpecError(f"part {at} is the class {part.__name__}", help=f"give an object: {part.__name__}()")
    methods = {"stream": "source", "process": "stage", "consume": "sink", "deliver": "sink"}
    kinds = sorted({kind for method, kind in methods.items() if callable(getattr(part, method, None))})
    if len(kinds) == 1:
        return kinds[0]
    if len(kinds) > 1:
        raise SpecError(f"part {at} ({part!r:.80}) is a {' and a '.join(kinds)}", help="give it one of the methods only")
    gives = ("__arrow_c_stream__", "__arrow_c_array__", "__iter__", "__aiter__")
    if not isinstance(part, str | bytes | Mapping) and any(hasattr(part, name) for name in gives):
        return "source"
    raise SpecError(
        f"part {at} ({part!r:.80}) is no source, stage or sink",
        help="a source has `stream()`, a stage `process(stream)`, a sink `consume(stream)` or `deliver(epoch, stream, writer)`",
    )
