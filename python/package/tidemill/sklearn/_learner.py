"""What a normaliser learns: exact summaries of every series."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Self

from ..component import Component
from ..errors import SpecError
from ._estimator import REQUESTED, Estimator
from ._rows import Rows

__all__ = ["Learner", "Learning", "ONE"]

ONE = "batch"
"""The sensor of rows that have none."""


class Learner:
    """The first pass of a stage over rows that come in parts: the constants are those of all rows at once, bit for bit."""

    def __init__(self, stage: Component) -> None:
        self.stage = stage
        self.has_sensors: bool | None = None
        """Whether the rows have sensors, once there are some."""
        self._constants: str | None = None
        # What is known of all rows, if one pass over them is enough.
        self._summary: bytes | None = None
        # Exact quantiles may need several passes, and so the rows.
        self._rows: list[Rows] | None = None

    @property
    def constants(self) -> str:
        """The text of the file of constants."""
        if self._constants is None:
            self._constants = self._passes(self._rows or [])
        return self._constants

    def constants_for(self, features: Mapping[str, str], sensors: Sequence[str]) -> str:
        """The same for features of other names, and for `sensors` if there were none."""
        if self.has_sensors and sensors:
            raise SpecError("the constants were learnt by sensor", help="leave out `sensors`")
        if not self.has_sensors and not sensors:
            raise SpecError("the constants were learnt without sensors", help="give `sensors`: the names of those that they are for")
        file = json.loads(self.constants)
        series = file["series"] if self.has_sensors else {sensor: file["series"][ONE] for sensor in sensors}
        series = {sensor: {features[name]: learnt for name, learnt in columns.items()} for sensor, columns in series.items()}
        return json.dumps({**file, "series": series}, indent=2) + "\n"

    def learn(self, rows: Rows) -> None:
        """Takes all rows at once, and keeps none of them."""
        self.has_sensors = rows.has_sensors
        if not self._summarise(rows):
            self._constants = self._passes([rows])

    def observe(self, rows: Rows) -> None:
        """Takes the next rows."""
        self.check(rows)
        if self.has_sensors is None and self.stage.options["method"] == "robust":
            self._rows = []
        self.has_sensors = rows.has_sensors
        if self._rows is not None:
            self._rows.append(rows)
            self._constants = None
        elif not self._summarise(rows):
            raise SpecError(
                "exact quantiles of so many different values need all of them, and `fit` has not kept them",
                help="call `partial_fit` from the beginning",
            )

    def check(self, rows: Rows) -> None:
        """Raises an error if either `rows` or those learnt from have sensors, and the other ones have not."""
        if self.has_sensors is not None and self.has_sensors != rows.has_sensors:
            raise SpecError(
                f"the constants were learnt {'by sensor' if self.has_sensors else 'without sensors'}",
                help="give `sensor` always, or never",
            )

    def _summarise(self, rows: Rows) -> bool:
        """Adds `rows` to the summary. Does nothing if that needs another pass over the rows before."""
        if self._constants is not None and self._summary is None:
            return False
        fit = rows.first_pass(self.stage)
        if self._summary is not None:
            fit.merge(self._summary)
        fit.observe(rows.batch)
        summary = fit.save()
        constants = fit.finish()
        if constants is None:
            return False
        self._summary, self._constants = summary, constants
        return True

    def _passes(self, all_rows: Sequence[Rows]) -> str:
        """The constants, after as many passes over the rows as they need."""
        fit = all_rows[0].first_pass(self.stage)
        while True:
            for rows in all_rows:
                fit.observe(rows.batch)
            if (constants := fit.finish()) is not None:
                return constants


class Learning(Estimator):
    """An estimator whose first stage learns constants."""

    __metadata_request__partial_fit = REQUESTED

    _learner: Learner | None

    def partial_fit(self, X: Any, y: Any = None, *, sensor: Any = None, time: Any = None) -> Self:
        """Learns from further rows: the constants are those of `fit` over all rows at once, bit for bit, in any order and any parts.

        Extremes, means and deviations need constant memory, and go on from `fit`, too. For the exact quantiles of `robust`, `partial_fit`
        keeps all rows; it goes on from `fit` if each series has at most 4,096 different values.

        Args: as for `fit`.
        """
        is_first = not hasattr(self, "_learner")
        rows = self._rows(X, sensor, time, reset=is_first)
        if is_first:
            self._learner = self._new_learner()
        if self._learner is not None:
            self._learner.observe(rows)
        if is_first:
            rows.check(self._stages(self._names), self._constants)
        return self

    @property
    def constants_(self) -> dict[str | None, dict[str, dict[str, Any]]]:
        """What was learnt: by sensor (None if rows have none), then by feature.

        Of each series: `count`, the number of its finite values, and `constants`: `zero`, the value that becomes 0 or the low end of the
        range, and `unit`, the distance from there to 1 or the high end. `constants` is None if the series has no finite value.
        """
        if self._learner is None:
            return {}
        series: dict[str | None, dict[str, Any]] = json.loads(self._learner.constants)["series"]
        return series if self._learner.has_sensors else {None: series[ONE]}

    @property
    def _constants(self) -> list[str | None]:
        return [] if self._learner is None else [self._learner.constants]

    def _constants_for(self, names: Sequence[str], sensors: Sequence[str]) -> list[str | None]:
        if self._learner is None:
            return []
        return [self._learner.constants_for(dict(zip(self._names, names, strict=True)), sensors)]

    def _new_learner(self) -> Learner | None:
        stage = self._stages(self._names)[0]
        return Learner(stage) if stage.options.get("fit") else None

    def _learn(self, rows: Rows) -> None:
        self._learner = self._new_learner()
        if self._learner is not None:
            self._learner.learn(rows)

    def _rows(self, X: Any, sensor: Any, time: Any, *, reset: bool = False) -> Rows:
        rows = super()._rows(X, sensor, time, reset=reset)
        if not reset and self._learner is not None:
            self._learner.check(rows)
        return rows
