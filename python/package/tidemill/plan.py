"""What a pipeline would do: see `Pipeline.explain`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ._display import html_heading, html_table

if TYPE_CHECKING:
    from .schemas import PlanDict, PlanPart

__all__ = ["Plan"]


class Plan:
    """What a pipeline would do, part by part, and what it guarantees: as text the same as `tidemill explain` prints, in notebooks a table."""

    def __init__(self, values: PlanDict, text: str) -> None:
        self._values, self._text = values, text

    @property
    def sources(self) -> list[PlanPart]:
        return self._values["source"]

    @property
    def stages(self) -> list[PlanPart]:
        """Those that options of sources require come first."""
        return self._values["stage"]

    @property
    def sinks(self) -> list[PlanPart]:
        return self._values["sink"]

    @property
    def facts(self) -> dict[str, str]:
        """What holds for the whole pipeline, by topic: passes over the input, order of the output, memory."""
        return self._values["facts"]

    def to_dict(self) -> PlanDict:
        """The same as dicts and lists."""
        return self._values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Plan) and self._values == other._values

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return self._text.rstrip("\n")

    def _repr_html_(self) -> str:
        facts = "\n".join(_lines(self.facts))
        rows = [(part["label"], "\n".join(_options(part)), "\n".join(_lines(part["facts"]))) for part in self._parts()]
        title = html_heading(" → ".join(part["name"] for part in self._parts()))
        return title + html_table(("part", "options", "what it does"), [*rows, ("all", "", facts)])

    def _parts(self) -> list[PlanPart]:
        return [*self.sources, *self.stages, *self.sinks]


def _lines(facts: dict[str, str]) -> Iterator[str]:
    return (f"{topic}: {text}" for topic, text in facts.items())


def _options(part: PlanPart) -> Iterator[str]:
    """Those that are set."""
    return (f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in _given(part["options"] or {}).items())


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Without what is not given."""
    given = {name: _given(value) if isinstance(value, dict) else value for name, value in options.items()}
    return {name: value for name, value in given.items() if value not in (None, [], {})}
