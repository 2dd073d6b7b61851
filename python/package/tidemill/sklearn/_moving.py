"""Statistics of moving windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from .. import stages as engine
from ..component import Component
from ._estimator import Transformer

__all__ = ["MovingAverage", "MovingMax", "MovingMedian", "MovingMin", "MovingStd"]


class Moving(Transformer):
    """A statistic of the window that ends at each row, for every feature of every sensor."""

    _stage: ClassVar[type[Component]]
    _suffix: ClassVar[str]

    def __init__(
        self,
        window: int | str = 20,
        *,
        min_samples: int = 1,
        non_finite: Literal["skip", "propagate", "error"] = "skip",
    ) -> None:
        self.window = window
        self.min_samples = min_samples
        self.non_finite = non_finite

    @property
    def _needs_time(self) -> bool:
        return isinstance(self.window, str)

    def _stages(self, names: Sequence[str]) -> Sequence[Component]:
        return [self._stage(columns=list(names), into=f"{{column}}_{self._suffix}", **self._options())]

    def _options(self) -> dict[str, Any]:
        return {"window": self.window, "min_samples": self.min_samples, "non_finite": self.non_finite}

    def _names_out(self, names: Sequence[str]) -> list[str]:
        return [f"{name}_{self._suffix}" for name in names]


class MovingAverage(Moving):
    """The exact mean of a moving window: the features `{feature}_avg`.

    >>> from tidemill.sklearn import MovingAverage
    >>> MovingAverage(window=2).fit_transform([[1.0], [3.0], [float("nan")], [8.0]]).tolist()
    [[1.0], [2.0], [3.0], [8.0]]

    Args:
        window: The last rows, by number (20), or those of a duration ("5m"), which is the half-open interval (t - 5 min, t] and needs `time`.
            A window never contains a later row.
        min_samples: The minimum number of values in the window; with fewer, the result is NaN. Missing values do not count.
        non_finite: What to do with infinities: `skip` ignores them, `propagate` includes them, `error` raises a `DataError`.
    """

    _stage = engine.MovingAverage
    _suffix = "avg"


class MovingMin(Moving):
    """The least value of a moving window: the features `{feature}_min`.

    Args: as for `MovingAverage`.
    """

    _stage = engine.MovingMin
    _suffix = "min"


class MovingMax(Moving):
    """The greatest value of a moving window: the features `{feature}_max`.

    Args: as for `MovingAverage`.
    """

    _stage = engine.MovingMax
    _suffix = "max"


class MovingMedian(Moving):
    """The median of a moving window: the features `{feature}_median`.

    Args: as for `MovingAverage`.
    """

    _stage = engine.MovingMedian
    _suffix = "median"


class MovingStd(Moving):
    """The standard deviation of a moving window: the features `{feature}_std`.

    Args:
        window, min_samples, non_finite: As for `MovingAverage`.
        ddof: Degrees of freedom subtracted from the number of values in the divisor: 0 for the deviation of a population, 1 for that of a
            sample. With no more values than this, the result is NaN.
    """

    _stage = engine.MovingStd
    _suffix = "std"

    def __init__(
        self,
        window: int | str = 20,
        *,
        min_samples: int = 1,
        non_finite: Literal["skip", "propagate", "error"] = "skip",
        ddof: int = 0,
    ) -> None:
        super().__init__(window, min_samples=min_samples, non_finite=non_finite)
        self.ddof = ddof

    def _options(self) -> dict[str, Any]:
        return {**super()._options(), "ddof": self.ddof}
