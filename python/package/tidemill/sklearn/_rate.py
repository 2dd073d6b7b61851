"""How fast values change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from .. import stages as engine
from ..component import Component
from ._estimator import Transformer

__all__ = ["Rate"]


class Rate(Transformer):
    """The change of every feature since the last row of its sensor with a finite value: the features `{feature}_rate`.

    The first value of a series has no rate: NaN. Missing and infinite values have none, and are skipped.

    >>> from tidemill.sklearn import Rate
    >>> Rate().fit_transform([[1.0], [3.0], [2.5]]).tolist()
    [[nan], [2.0], [-0.5]]

    Args:
        method: `difference`: new - old; `derivative`: that, divided by the time between the two rows in units of `per`, which needs `time`.
        per: The unit of time of a derivative, such as "1h".
        counter: Whether the feature is a counter: a value below the last one means that it has restarted from 0.
    """

    def __init__(
        self,
        method: Literal["difference", "derivative"] = "difference",
        *,
        per: str = "1s",
        counter: bool = False,
    ) -> None:
        self.method: Literal["difference", "derivative"] = method
        self.per = per
        self.counter = counter

    @property
    def _needs_time(self) -> bool:
        return self.method == "derivative"

    def _stages(self, names: Sequence[str]) -> Sequence[Component]:
        return [engine.Rate(method=self.method, per=self.per, counter=self.counter, columns=list(names))]

    def _names_out(self, names: Sequence[str]) -> list[str]:
        return [f"{name}_rate" for name in names]
