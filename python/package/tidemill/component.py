"""What the engine's own sources, stages and sinks have in common."""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = ["Component"]


class Component:
    """A source, stage or sink of the engine, with its options: a description, which does nothing by itself."""

    kind: ClassVar[str]
    """`source`, `stage` or `sink`."""
    type: ClassVar[str]
    """Its `type` in a pipeline file."""

    def __init__(self, **options: Any) -> None:
        self.options: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        """The options that were given, as in a pipeline file."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.options == other.__dict__["options"]

    def __hash__(self) -> int:
        return hash((self.kind, self.type))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{type(self).__name__}({shown})"
