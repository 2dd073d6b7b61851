"""First passes on a cluster: every partition is summarised where it is, and the summaries are merged exactly."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._partitions import Kernel, empty, nanoseconds
from .chain import Fit, loaded
from .component import Component
from .errors import SpecError

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Pass", "fit", "fitted", "save"]


@dataclass(frozen=True)
class Pass:
    """One pass over the input for one stage: a description, which is sent to the workers."""

    stages: tuple[Component, ...]
    """The stage to fit, after those that its records go through."""
    columns: pyarrow.Schema
    time: str
    sensor: str
    measurements: tuple[str, ...] | None
    constants: tuple[str | None, ...]
    """By stage, what earlier passes have given, and the text of the files that stages load."""
    found: bytes | None = None
    """What the pass before this one, for the same stage, has found."""

    @property
    def is_ordered(self) -> bool:
        """Whether the records of a sensor must be in one partition, in order: stages before the one to fit depend on earlier records."""
        return not all(stage.type == "threshold" or (stage.type == "normalize" and not stage.options.get("running")) for stage in self.stages[:-1])

    def start(self) -> Fit:
        """A first pass that has observed nothing yet."""
        fit = Fit(self.stages, time=self.time, sensor=self.sensor, measurements=self.measurements, constants=self.constants)
        fit.observe(empty(self.columns))
        if self.found is not None:
            fit.merge(self.found)
        return fit

    def observe(self, batches: Iterable[pyarrow.RecordBatch]) -> bytes:
        """The summary of a partition."""
        fit = self.start()
        for batch in batches:
            # Spark gives times in the zone of its session.
            fit.observe(batch.cast(self.columns))
        return fit.save()

    def run(self, batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
        """The same as a record batch of one row."""
        import pyarrow

        yield pyarrow.RecordBatch.from_pydict({"summary": [self.observe(batches)]})


def fit(
    stages: Iterable[Component],
    columns: pyarrow.Schema,
    observe: Callable[[Pass], Iterable[bytes]],
    *,
    time: str,
    sensor: str,
    measurements: Sequence[str] | None,
    constants: Sequence[str | None],
) -> list[str | None]:
    """By stage, the constants of those with `fit=True`; those that `constants` has are kept.

    Args:
        stages: All stages.
        columns: The columns of the input.
        observe: Gives the summaries of all partitions for a pass.
        time, sensor, measurements, constants: As for `Chain`.

    Raises:
        SpecError: The stages do not fit the columns, or a fitted one depends on the watermark.
    """
    stages = tuple(stages)
    others = _fitted_here(stages, constants)
    chosen = None if measurements is None else tuple(measurements)
    known = [constants[at] if at < len(constants) else None for at in range(len(stages))]
    for at in _unfitted(stages, known):
        _refuse_watermark(stages[:at], at)
        before = loaded(others[:at], known[:at])
        known[at] = _constants(Pass((*others[:at], stages[at]), columns, time, sensor, chosen, before), observe)
    return known


def save(stages: Iterable[Component], constants: Sequence[str | None]) -> None:
    """Writes the constants of the stages with an option `save`, on the driver."""
    for stage, text in zip(stages, constants, strict=True):
        if text is not None and (path := stage.options.get("save")):
            Path(path).write_text(text, encoding="utf-8")


def fitted(
    stages: Iterable[Component],
    columns: pyarrow.Schema,
    observe: Callable[[Pass], Iterable[bytes]],
    *,
    time: str,
    sensor: str,
    measurements: Sequence[str] | None,
    constants: Sequence[str | None],
    watermark: datetime | None,
) -> Kernel:
    """The kernel for an input that ends, to which stages with `fit=True` and without `constants` are fitted.

    Args: as for `fit`; and `watermark`, the time that the input has reached.

    Raises:
        SpecError: As for `Kernel.of`, before any pass.
    """
    stages = tuple(stages)
    roles: Any = {"time": time, "sensor": sensor, "measurements": measurements}
    unknown = fit(stages, columns, lambda _: (), **roles, constants=constants)
    reached = None if watermark is None else nanoseconds(watermark)
    kernel = Kernel.of(_fitted_here(stages, constants), columns, **roles, constants=unknown, has_end=True, has_watermark=watermark is not None)
    if _unfitted(stages, constants):
        constants = fit(stages, columns, observe, **roles, constants=constants)
        save(stages, constants)
    return replace(kernel, constants=loaded(stages, constants), watermark=reached)


def _unfitted(stages: Sequence[Component], constants: Sequence[str | None]) -> list[int]:
    """The indices of the stages that need a first pass."""
    known = {at for at, text in enumerate(constants) if text is not None}
    return [at for at, stage in enumerate(stages) if at not in known and _is_fitted(stage)]


def _is_fitted(stage: Component) -> bool:
    return getattr(stage, "type", None) == "normalize" and bool(stage.options.get("fit"))


def _fitted_here(stages: Sequence[Component], constants: Sequence[str | None]) -> list[Component]:
    """The stages, of which those without `constants` are fitted to the very input: a series without a finite value has none, and becomes null."""
    here = list(stages)
    for at in _unfitted(stages, constants):
        here[at] = copy.copy(stages[at])
        here[at].options = {**stages[at].options, "unknown": "null"}
    return here


def _refuse_watermark(before: Sequence[Component], at: int) -> None:
    """Refuses to fit stage `at` to what a stage makes by the watermark, which is not known before the end of the pass."""
    for index, stage in enumerate(before):
        if getattr(stage, "type", None) == "silence":
            raise SpecError(
                f"stage {at} (normalize) cannot be fitted to records that stage {index} (silence) makes",
                help="fit it before that stage, or give its `constants`",
            )


def _constants(one: Pass, observe: Callable[[Pass], Iterable[bytes]]) -> str:
    """What all partitions together give; some methods need several passes."""
    while True:
        fit = one.start()
        for summary in observe(one):
            fit.merge(summary)
        constants = fit.finish()
        if constants is not None:
            return constants
        one = replace(one, found=fit.save())
