"""A common scale for every feature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from .. import stages as engine
from ..component import Component
from ._estimator import Transformer
from ._learner import Learning

__all__ = ["Normalize"]


class Normalize(Learning, Transformer):
    """Brings every feature of every sensor to a common scale.

    A series that is constant becomes 0. Infinities are not learnt from.

    >>> from tidemill.sklearn import Normalize
    >>> normalize = Normalize("z_score").fit([[10.0], [20.0], [30.0]])
    >>> normalize.transform([[20.0], [float("nan")]]).tolist()
    [[0.0], [nan]]
    >>> normalize.constants_[None]["x0"]["constants"]["zero"]
    20.0

    Args:
        method: `min_max`: minimum and maximum become the ends of `range`; `z_score`: (v - mean) / population deviation; `robust`:
            (v - median) / (upper quartile - lower quartile).
        range: The target range of `min_max`.
        clip: Whether `min_max` clamps values to the target range.
        running: Scale each value by the values before it in the same call of `transform`, and learn nothing: the first value of a series
            becomes NaN. Not for `robust`.
        unknown: What happens to a series without constants, because `fit` has seen no finite value of it: `null` makes its values NaN, `keep`
            leaves them unchanged, `error` raises a `DataError`.
    """

    def __init__(
        self,
        method: Literal["min_max", "z_score", "robust"] = "min_max",
        *,
        range: Sequence[float] = (0.0, 1.0),
        clip: bool = False,
        running: bool = False,
        unknown: Literal["null", "keep", "error"] = "null",
    ) -> None:
        self.method: Literal["min_max", "z_score", "robust"] = method
        self.range = range
        self.clip = clip
        self.running = running
        self.unknown = unknown

    def _stages(self, names: Sequence[str]) -> Sequence[Component]:
        source: dict[str, Any] = {"running": True} if self.running else {"fit": True, "unknown": self.unknown}
        return [engine.Normalize(method=self.method, range=self.range, clip=self.clip, columns=list(names), **source)]

    def _names_out(self, names: Sequence[str]) -> list[str]:
        return list(names)
