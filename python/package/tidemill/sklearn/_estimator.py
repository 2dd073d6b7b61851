"""What all estimators have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from sklearn.base import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
    BaseEstimator,
    OneToOneFeatureMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted, validate_data  # type: ignore[import-not-found, import-untyped, unused-ignore]

from ..component import Component
from ..errors import SpecError
from ._rows import Array, Rows

__all__ = ["REQUESTED", "Estimator", "Transformer"]

REQUESTED = {"sensor": True, "time": True}
"""The metadata that scikit-learn's pipelines pass on."""


class Estimator(BaseEstimator):  # type: ignore[misc, unused-ignore]
    """An estimator that runs stages of the engine."""

    __metadata_request__fit = REQUESTED

    def fit(self, X: Any, y: Any = None, *, sensor: Any = None, time: Any = None) -> Self:
        """Checks the parameters, and learns what is to be learnt from `X`.

        Args:
            X: The values, of shape (n_samples, n_features).
            y: Ignored.
            sensor: The sensor of each row, of shape (n_samples,); without it, all rows are of one sensor.
            time: The event time of each row, of shape (n_samples,).
        """
        rows = self._rows(X, sensor, time, reset=True)
        self._learn(rows)
        rows.check(self._stages(self._names), self._constants)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @property
    def _names(self) -> list[str]:
        """The names of the features in the order of the columns of X."""
        named = getattr(self, "feature_names_in_", None)
        return [f"x{at}" for at in range(self.n_features_in_)] if named is None else list(named)

    @property
    def _needs_time(self) -> bool:
        return False

    @property
    def _constants(self) -> list[str | None]:
        """What was learnt, by stage."""
        return []

    def _constants_for(self, names: Sequence[str], sensors: Sequence[str]) -> list[str | None]:
        """The same for features of other names, and for `sensors` where rows had none."""
        return []

    def _stages(self, names: Sequence[str]) -> Sequence[Component]:
        """The stages for features of these names."""
        raise NotImplementedError

    def _names_out(self, names: Sequence[str]) -> list[str]:
        """The columns that the stages make of features of these names."""
        raise NotImplementedError

    def _learn(self, rows: Rows) -> None:
        """Learns from `rows` alone."""

    def _rows(self, X: Any, sensor: Any, time: Any, *, reset: bool = False) -> Rows:
        """`X` checked; `reset`: its columns are those to expect from now on."""
        if not reset:
            check_is_fitted(self)
        index = getattr(X, "index", None)
        if time is None and getattr(getattr(index, "dtype", None), "kind", None) == "M":
            time = index
        if self._needs_time and time is None:
            raise SpecError(
                f"{type(self).__name__} needs the time of each row",
                help="give `time`, or a pandas DataFrame whose index has times",
            )
        X = validate_data(self, X, reset=reset, dtype=np.float64, ensure_all_finite=False)
        return Rows.of(X, self._names, sensor=sensor, time=time if self._needs_time else None)


class Transformer(OneToOneFeatureMixin, TransformerMixin, Estimator):  # type: ignore[misc, unused-ignore]
    """An estimator that gives columns for columns, row by row."""

    __metadata_request__transform = REQUESTED

    def transform(self, X: Any, *, sensor: Any = None, time: Any = None) -> Array:
        """The columns `get_feature_names_out` of each row, of shape (n_samples, n_features_out), or a DataFrame as `set_output` says.

        Args:
            X: The values, of shape (n_samples, n_features).
            sensor: The sensor of each row, of shape (n_samples,); without it, all rows are of one sensor.
            time: The event time of each row, of shape (n_samples,).

        Raises:
            DataError: A row has no sensor or time, or comes after a later one of its sensor.
        """
        rows = self._rows(X, sensor, time)
        return rows.through(self._stages(self._names), self._constants, self._names_out(self._names))

    def fit_transform(self, X: Any, y: Any = None, *, sensor: Any = None, time: Any = None) -> Array:
        """`fit`, then `transform`, of the same rows."""
        made: Array = self.fit(X, y, sensor=sensor, time=time).transform(X, sensor=sensor, time=time)
        return made

    def get_feature_names_out(self, input_features: Any = None) -> Array:
        """The names of the columns that `transform` gives."""
        return np.asarray(self._names_out(super().get_feature_names_out(input_features)), dtype=object)
