"""Stages without a runtime, for those who bring one of their own, such as Spark or Dask: the same kernels, the same bits."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from . import _native
from ._options import plain_options
from .component import Component
from .errors import SpecError

__all__ = ["Chain", "Fit", "loaded"]


class Chain(_native.Chain):
    """Stages without a runtime, on the calling thread: record batches in, record batches out, state as bytes.

    After a call that has failed in a stage, what the stages keep may be half a batch: the chain refuses everything from then on. A record batch
    that cannot be read, such as one with other columns, leaves it as it was.

    Args:
        stages: The engine's own stages. A file that one has as `load` is read now; relative paths start from the current folder.
        time: The column of the event time, if there is one.
        sensor: The column of the sensor's name; without it, all records are of one sensor.
        measurements: The columns of numbers; by default, all that have numbers.
        partitioned: The chain gets some of the sensors, while others are elsewhere: then stages that depend on other sensors go by the
            watermark that `advance` is given.
        constants: By stage, what `Fit.finish` gave for those with `fit=True`, or the text of the file that a stage would load; None for all
            others.
    """

    def __new__(
        cls,
        stages: Iterable[Component],
        *,
        time: str | None = None,
        sensor: str | None = "sensor",
        measurements: Sequence[str] | None = None,
        partitioned: bool = False,
        constants: Sequence[str | None] = (),
    ) -> Chain:
        listed = None if measurements is None else list(measurements)
        return super().__new__(cls, _tables(stages, constants), list(constants), time, sensor, listed, partitioned)


class Fit(_native.Fit):
    """The first pass of a stage that is fitted: what several processes have observed is merged exactly.

    >>> import pyarrow
    >>> from tidemill import Chain, Normalize
    >>> batch = pyarrow.record_batch({"sensor": ["a", "a", "a"], "value": [10.0, 20.0, 30.0]})
    >>> stage = Normalize(fit=True)
    >>> fit = Fit([stage])
    >>> fit.observe(batch)
    >>> constants = fit.finish()
    >>> pyarrow.record_batch(Chain([stage], constants=[constants]).push(batch))["value"].to_pylist()
    [0.0, 0.5, 1.0]

    Args:
        stages: The stage to fit, after those that its records go through.
        time, sensor, measurements: As for `Chain`.
        constants: By stage, what `Fit.finish` gave for earlier ones with `fit=True`; None for all others.
    """

    def __new__(
        cls,
        stages: Iterable[Component],
        *,
        time: str | None = None,
        sensor: str | None = "sensor",
        measurements: Sequence[str] | None = None,
        constants: Sequence[str | None] = (),
    ) -> Fit:
        listed = None if measurements is None else list(measurements)
        return super().__new__(cls, _tables(stages, constants), list(constants), time, sensor, listed)


def loaded(stages: Sequence[Component], constants: Sequence[str | None]) -> tuple[str | None, ...]:
    """By stage, the text of the file that it loads, for stages that are sent to where the file is not; what `constants` has is kept.

    Raises:
        SpecError: One is none of the engine's stages, or has wrong options.
        UnavailableError: There is no such file.
    """
    if not any("load" in stage.options for stage in stages if isinstance(stage, Component)):
        return tuple(constants)
    return tuple(_native.loaded(_tables(stages, constants), list(constants)))


def _tables(stages: Iterable[Component], constants: Sequence[str | None]) -> str:
    """The tables of a pipeline file for these stages, as JSON."""
    tables: list[dict[str, Any]] = []
    for at, stage in enumerate(stages):
        if not isinstance(stage, Component) or stage.kind != "stage":
            raise SpecError(f"{stage!r} is none of the engine's stages", help="a chain runs the engine's own stages")
        options = plain_options(stage)
        if at < len(constants) and constants[at] is not None:
            # Given as the text of the file that the stage would load.
            options = {name: value for name, value in options.items() if name not in ("fit", "save")}
            options["load"] = "constants"
        tables.append(options)
    spec = {"source": {"type": "synthetic"}, "stage": tables, "sink": [{"type": "null"}]}
    return json.dumps(spec)
