"""What a component is and which parameters it has: see `describe`."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from . import _native
from ._display import html_heading, html_table
from ._docstring import parameters_in, summary_of
from .component import Component
from .errors import SpecError

__all__ = ["Description", "Parameter", "describe"]

_METHODS = {"stream": "source", "process": "stage", "consume": "sink", "deliver": "sink"}
_MISSING = inspect.Parameter.empty


@dataclass(frozen=True)
class Parameter:
    """A parameter of a component."""

    name: str
    type: str
    """As annotated; empty if it is not."""
    is_required: bool
    default: Any
    """None if it is required, or if nothing is the default."""
    value: Any
    """That of the object that was described; None for a class."""
    doc: str


@dataclass(frozen=True, repr=False)
class Description:
    """What a component is: shown as text, and in notebooks as a table."""

    name: str
    """Its class."""
    kind: str
    """`source`, `stage` or `sink`."""
    type: str
    """Its `type` in a pipeline file."""
    doc: str
    """The first paragraph of its documentation."""
    parameters: tuple[Parameter, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as dicts and lists."""
        return {**asdict(self), "parameters": [asdict(parameter) for parameter in self.parameters]}

    def __getitem__(self, name: str) -> Parameter:
        """The parameter called `name`.

        Raises:
            KeyError: There is none.
        """
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        raise KeyError(name)

    def __str__(self) -> str:
        lines = [f'{self.name}: a {self.kind}, type = "{self.type}"', self.doc]
        for name, kind, value, doc in self._rows():
            lines.append(f"  {name}" + (f": {kind}" if kind else "") + (f" = {value}" if value else ""))
            lines.extend(textwrap.wrap(doc, 100, initial_indent=" " * 6, subsequent_indent=" " * 6))
        return "\n".join(line for line in lines if line)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        title = html_heading(self.name, f'{self.kind}, type = "{self.type}". {self.doc}')
        return title + html_table(("parameter", "type", "value", ""), self._rows())

    def _rows(self) -> Iterator[tuple[str, str, str, str]]:
        for parameter in self.parameters:
            value = parameter.default if parameter.value is None else parameter.value
            shown = "(required)" if value is None and parameter.is_required else "" if value is None else repr(value)
            yield parameter.name, parameter.type, shown, parameter.doc


def describe(component: object) -> Description:
    """What a component is, and its parameters: types and defaults from its signature, text from its docstring (Google, numpy or Sphinx style).

    >>> from tidemill import Threshold, describe
    >>> description = describe(Threshold(max=100))
    >>> description.kind, description["max"].type, description["max"].value
    ('stage', 'float | None', 100)
    >>> class Scale:
    ...     "Scales all values."
    ...     def __init__(self, factor: float = 2.0):
    ...         self.factor = factor
    ...     def process(self, stream):
    ...         ...
    >>> describe(Scale)
    Scale: a stage, type = "python:tidemill.description:Scale"
    Scales all values.
      factor: float = 2.0

    Args:
        component: One of the engine's or one in Python, or its class.

    Raises:
        SpecError: It is no component.
    """
    # What `measured`, `retry` and `audited` gave is described as what they were given.
    wrapped: Any = component
    own = inspect.unwrap(wrapped)
    cls: type[Any] = own if isinstance(own, type) else type(own)
    kind, name = _identity(component, cls)
    docs = parameters_in(cls.__doc__) | parameters_in(cls.__init__.__doc__)
    defaults = _native_defaults().get((kind, name), {})
    values = None if isinstance(own, type) else own
    parameters = tuple(_parameter(parameter, docs, defaults, values) for parameter in _signature(cls))
    return Description(cls.__qualname__, kind, name, summary_of(_doc(cls)), parameters)


def _identity(component: object, cls: type[Any]) -> tuple[str, str]:
    """Its kind and type."""
    if issubclass(cls, Component):
        return cls.kind, cls.type
    kinds = dict.fromkeys(kind for method, kind in _METHODS.items() if callable(getattr(cls, method, None)))
    if not kinds:
        raise SpecError(
            f"{component!r:.80} is no source, stage or sink",
            help="a source has `stream()`, a stage `process(stream)`, a sink `consume(stream)`",
        )
    return " and ".join(kinds), f"python:{cls.__module__}:{cls.__qualname__}"


def _signature(cls: type[Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(cls).parameters.values())
    except ValueError:
        # Written in another language, without a signature.
        return []


def _doc(cls: type[Any]) -> str | None:
    # Dataclasses without a docstring have their signature as one.
    generated = f"{cls.__name__}{inspect.signature(cls)}".replace(" -> None", "") if hasattr(cls, "__dataclass_fields__") else None
    return None if cls.__doc__ == generated else cls.__doc__


def _parameter(parameter: inspect.Parameter, docs: dict[str, str], defaults: dict[str, Any], component: object) -> Parameter:
    plain = parameter.name.removesuffix("_")
    default = None if parameter.default is _MISSING else parameter.default
    if isinstance(component, Component):
        value = component.options.get(plain)
    else:
        value = getattr(component, parameter.name, None)
    return Parameter(
        name=parameter.name,
        type=_hint(parameter.annotation),
        is_required=parameter.default is _MISSING and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD),
        default=defaults.get(plain) if default is None else default,
        value=value,
        doc=docs.get(parameter.name, ""),
    )


def _hint(annotation: Any) -> str:
    if annotation is _MISSING:
        return ""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


@cache
def _native_defaults() -> dict[tuple[str, str], dict[str, Any]]:
    """The defaults of the engine's own components, by kind and type: in their signatures, None says that an option is not given."""
    defaults: dict[tuple[str, str], dict[str, Any]] = {}
    for component in _native.components():
        options = defaults.setdefault((component["kind"], component["type"]), {})
        for schema in component["schemas"]:
            for name, option in schema.get("properties", {}).items():
                if option.get("default") not in (None, [], {}):
                    options.setdefault(name, option["default"])
    return defaults
