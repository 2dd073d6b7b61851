"""Outliers by their distance from the centre."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from sklearn.base import OutlierMixin  # type: ignore[import-not-found, import-untyped, unused-ignore]

from .. import stages as engine
from ..component import Component
from ._estimator import REQUESTED
from ._learner import Learning
from ._rows import Array

__all__ = ["ZScoreOutlier"]


class ZScoreOutlier(OutlierMixin, Learning):  # type: ignore[misc, unused-ignore]
    """Finds rows with a value that is far from the centre of its series, measured in deviations.

    A missing value is no outlier, and neither is any value of a series that was constant in `fit`. What is learnt includes the outliers of
    `X`: with `robust` they have little influence.

    >>> from tidemill.sklearn import ZScoreOutlier
    >>> ZScoreOutlier("robust").fit_predict([[20.0], [21.0], [22.0], [23.0], [500.0]]).tolist()
    [1, 1, 1, 1, -1]

    Args:
        method: `z_score`: the distance from the mean in population deviations; `robust`: that from the median in interquartile ranges.
        threshold: The greatest distance of an inlier.

    Attributes:
        offset_: What `decision_function` subtracts from `score_samples`: -threshold.
    """

    __metadata_request__predict = REQUESTED
    __metadata_request__decision_function = REQUESTED

    def __init__(self, method: Literal["z_score", "robust"] = "z_score", *, threshold: float = 3.0) -> None:
        self.method: Literal["z_score", "robust"] = method
        self.threshold = threshold

    @property
    def offset_(self) -> float:
        return -self.threshold

    def predict(self, X: Any, *, sensor: Any = None, time: Any = None) -> Array:
        """1 for an inlier, -1 for an outlier: an array of integers, of shape (n_samples,).

        Args: as for `fit`.
        """
        return np.where(self._columns("z_ok", X, sensor, time).all(axis=1), 1, -1)

    def fit_predict(self, X: Any, y: Any = None, *, sensor: Any = None, time: Any = None) -> Array:
        """`fit`, then `predict`, of the same rows."""
        return self.fit(X, y, sensor=sensor, time=time).predict(X, sensor=sensor, time=time)

    def score_samples(self, X: Any, *, sensor: Any = None, time: Any = None) -> Array:
        """Of each row, the greatest distance of its values from their centres, negated: the lower, the more abnormal.

        Args: as for `fit`.
        """
        distances = np.abs(self._columns("z", X, sensor, time))
        scores: Array = -np.fmax.reduce(distances, axis=1, initial=0.0)
        return scores

    def decision_function(self, X: Any, *, sensor: Any = None, time: Any = None) -> Array:
        """`score_samples` less `offset_`: negative for outliers.

        Args: as for `fit`.
        """
        decision: Array = self.score_samples(X, sensor=sensor, time=time) - self.offset_
        return decision

    def _stages(self, names: Sequence[str]) -> Sequence[Component]:
        distances = [f"{name}_z" for name in names]
        return [
            engine.Normalize(method=self.method, fit=True, unknown="null", columns=list(names), into="{column}_z"),
            engine.Threshold(min=-self.threshold, max=self.threshold, action="flag", nulls="keep", columns=distances),
        ]

    def _names_out(self, names: Sequence[str]) -> list[str]:
        return [f"{name}_z_ok" for name in names]

    def _columns(self, suffix: str, X: Any, sensor: Any, time: Any) -> Array:
        """The columns of this suffix that the stages add: one for each feature."""
        rows = self._rows(X, sensor, time)
        return rows.through(self._stages(self._names), self._constants, [f"{name}_{suffix}" for name in self._names])
