"""Rows of scikit-learn as a record batch, and what stages make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow
from sklearn.utils.validation import check_consistent_length  # type: ignore[import-not-found, import-untyped, unused-ignore]

from ..chain import Chain, Fit
from ..component import Component
from ..errors import DataError, SpecError

__all__ = ["Array", "Rows", "check_unique"]

Array = np.ndarray[Any, np.dtype[Any]]

SENSOR = "tidemill:sensor"
TIME = "tidemill:time"


@dataclass(frozen=True)
class Rows:
    """Measurements, and the sensor and time of each row where they are given."""

    batch: pyarrow.RecordBatch

    @classmethod
    def of(cls, X: Array, names: Sequence[str], *, sensor: Any, time: Any) -> Rows:
        """The rows of `X`, of shape (n_samples, n_features); NaN becomes null.

        Raises:
            SpecError: Two features have one name, or one of them is a sensor.
            DataError: A row has no sensor or no time.
            ValueError: There is not one sensor, or one time, for each row.
        """
        if sensor is None and "sensor" in names:
            raise SpecError("X has a column `sensor`", help="give it as `sensor`, and leave it out of X")
        check_unique(names)
        columns: dict[str, pyarrow.Array[Any]] = {name: pyarrow.array(X[:, at], from_pandas=True) for at, name in enumerate(names)}
        for name, key, what in ((SENSOR, sensor, "sensor"), (TIME, time, "time")):
            if key is not None:
                check_consistent_length(X, key)
                columns[name] = _array(key)
                if missing := columns[name].null_count:
                    raise DataError(f"{missing} of {len(X)} rows have no {what}", help="remove them")
        return cls(pyarrow.record_batch(columns))

    @property
    def has_sensors(self) -> bool:
        return SENSOR in self.batch.schema.names

    def first_pass(self, stage: Component) -> Fit:
        """A first pass of `stage` over columns like these, which has observed nothing."""
        fit = Fit([stage], time=self._time, sensor=self._sensor)
        fit.observe(self.batch.slice(0, 0))
        return fit

    def check(self, stages: Sequence[Component], constants: Sequence[str | None]) -> None:
        """Raises an error if `stages` do not fit these columns."""
        self._push(self.batch.slice(0, 0), stages, constants)

    def through(self, stages: Sequence[Component], constants: Sequence[str | None], names: Sequence[str]) -> Array:
        """The columns `names` of what `stages` make of these rows: an array of shape (n_samples, len(names)); null becomes NaN.

        Raises:
            DataError: A row comes after a later one of its sensor.
        """
        made = self._push(self.batch, stages, constants)
        if len(made) != len(self.batch):
            raise DataError(
                f"{len(self.batch) - len(made)} of {len(self.batch)} rows come after a later one of their sensor",
                help="sort the rows by time",
            )
        return np.column_stack([made[name].cast(pyarrow.float64()).to_numpy(zero_copy_only=False) for name in names])

    @property
    def _sensor(self) -> str | None:
        return SENSOR if self.has_sensors else None

    @property
    def _time(self) -> str | None:
        return TIME if TIME in self.batch.schema.names else None

    def _push(self, batch: pyarrow.RecordBatch, stages: Sequence[Component], constants: Sequence[str | None]) -> pyarrow.RecordBatch:
        chain = Chain(stages, time=self._time, sensor=self._sensor, constants=constants)
        return pyarrow.record_batch(chain.push(batch))


def check_unique(names: Sequence[str]) -> None:
    """Raises an error if two of `names` are the same."""
    if len(set(names)) < len(names):
        raise SpecError(f"two features have one name: {', '.join(names)}", help="rename the columns of X")


def _array(key: Any) -> pyarrow.Array[Any]:
    """The Arrow array of a list, an array, or a column of a DataFrame."""
    if hasattr(key, "__arrow_c_stream__"):
        array: pyarrow.Array[Any] = pyarrow.chunked_array(key).combine_chunks()
    else:
        array = pyarrow.array(key, from_pandas=True)
    return array
