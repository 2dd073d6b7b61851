"""Values outside of bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from .. import stages as engine
from ..component import Component
from ..errors import SpecError
from ._estimator import Transformer

__all__ = ["Threshold"]

Bound = float | Sequence[float | None] | Mapping[str, float] | None


class Threshold(Transformer):
    """Masks or flags values outside of bounds: they become NaN, or get a column that says so.

    >>> from tidemill.sklearn import Threshold
    >>> Threshold(min=0, max=100).fit_transform([[20.0], [500.0], [30.0]]).tolist()
    [[20.0], [nan], [30.0]]

    Args:
        min: The lowest value that passes: one for all features, one for each in their order, or by the name of the feature. None or a missing
            name is no bound; a feature without bounds is unchanged.
        max: The highest value that passes, likewise.
        action: `mask` makes a value that fails NaN; `flag` adds a column `{feature}_ok` for each feature with bounds, which is 1.0 if the value
            passes and 0.0 if it fails.
        missing: With `flag`: whether a missing value passes (`keep`) or fails (`drop`).
        sensors: Other bounds for some sensors, by name or glob, such as `{"press-*": {"max": 10.0}}`; the last match wins.
    """

    def __init__(
        self,
        min: Bound = None,
        max: Bound = None,
        *,
        action: Literal["mask", "flag"] = "mask",
        missing: Literal["drop", "keep"] = "drop",
        sensors: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.min = min
        self.max = max
        self.action: Literal["mask", "flag"] = action
        self.missing: Literal["drop", "keep"] = missing
        self.sensors = sensors

    def _stages(self, names: Sequence[str]) -> Sequence[Component]:
        if self.action not in ("mask", "flag"):
            raise SpecError(f"`action` {self.action!r} is neither 'mask' nor 'flag'", help="to drop rows, mask them, and drop those with NaN")
        bounds = self._bounds()
        columns = {name: bounds[own] for name, own in zip(names, self._names, strict=True) if own in bounds}
        if not columns:
            raise SpecError("no feature has a bound", help="set `min` or `max`")
        return [engine.Threshold(columns=columns, action=self.action, nulls=self.missing, sensors=self.sensors)]

    def _names_out(self, names: Sequence[str]) -> list[str]:
        if self.action == "mask":
            return list(names)
        bounds = self._bounds()
        return [*names, *(f"{name}_ok" for name, own in zip(names, self._names, strict=True) if own in bounds)]

    def _bounds(self) -> dict[str, dict[str, float]]:
        """By feature: its bounds, if it has some."""
        ends = {"min": self._by_feature("min"), "max": self._by_feature("max")}
        bounds = {name: {end: by_feature[name] for end, by_feature in ends.items() if name in by_feature} for name in self._names}
        return {name: some for name, some in bounds.items() if some}

    def _by_feature(self, end: str) -> dict[str, float]:
        """One end of the range, by feature."""
        bound, names = getattr(self, end), self._names
        if isinstance(bound, Mapping):
            if unknown := [name for name in bound if name not in names]:
                raise SpecError(f"`{end}` names no feature: {', '.join(map(str, unknown))}", help=f"there are {', '.join(names)}")
            given = dict(bound)
        elif np.ndim(bound):
            if len(bound) != len(names):
                raise SpecError(f"`{end}` has {len(bound)} bounds for {len(names)} features", help="give one for each, or one for all")
            given = dict(zip(names, bound, strict=True))
        else:
            given = dict.fromkeys(names, bound)
        return {name: value for name, value in given.items() if value is not None}
