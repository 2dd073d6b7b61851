"""A log of the settings of a component, and of their changes: see `audited`."""

from __future__ import annotations

import copy
import logging
import pickle
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, overload

from . import _async
from ._wrapped import Inlet, Wrapper, close, items_of, label, size_of, wrapping
from .description import describe
from .protocols import AsyncSink, AsyncSource, AsyncStage, BatchSource, BatchStage, Sink, Source, Stage

__all__ = ["Audited", "AuditedSink", "AuditedSource", "AuditedStage", "Change", "audited"]

_SECRET = re.compile(r"password|passwd|secret|token|credential|api_?key", re.IGNORECASE)


@dataclass(frozen=True)
class Change:
    """A setting that was changed."""

    name: str
    before: Any
    after: Any
    records: int
    """Records that had gone through before it was noticed, over all runs."""


class Audited(Wrapper):
    """A component whose settings are logged."""

    changes: list[Change]
    """What was changed so far, in order."""
    _own = frozenset({"changes", "_log", "_names", "_known", "_records"})

    def __init__(self, component: Any, log: logging.Logger, settings: Iterable[str] | None) -> None:
        super().__init__(component)
        named = settings if settings is not None else (parameter.name for parameter in describe(component).parameters)
        self.changes = []
        self._log = log
        self._names = [name for name in named if hasattr(component, name)]
        self._records = 0
        self._keep(self._settings())

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name not in self._own:
            self._look()

    def _settings(self) -> dict[str, Any]:
        return {name: getattr(self.__wrapped__, name, None) for name in self._names}

    def _keep(self, settings: dict[str, Any]) -> None:
        self._known = {name: _Kept(value) for name, value in settings.items()}

    def _begin(self) -> None:
        self._look()
        shown = ", ".join(f"{name}={self._shown(name, kept.copy)}" for name, kept in self._known.items())
        self._log.info("%s starts: %s", label(self.__wrapped__), shown or "no settings")

    def _look(self) -> None:
        """Notes what has changed."""
        for name, value in self._settings().items():
            kept = self._known[name]
            if not kept.is_still(value):
                hidden = bool(_SECRET.search(name))
                self.changes.append(Change(name, "***" if hidden else kept.copy, "***" if hidden else _copied(value), self._records))
                when = f"after {self._records:,} record{'' if self._records == 1 else 's'}"
                values = self._shown(name, kept.copy), self._shown(name, value)
                self._log.info("%s: %s changed from %s to %s %s", label(self.__wrapped__), name, *values, when)
                self._known[name] = _Kept(value)

    def _shown(self, name: str, value: Any) -> str:
        return "***" if _SECRET.search(name) else repr(value)

    def _pull(self, iterator: Iterator[Any]) -> Any:
        self._look()
        item = next(iterator)
        self._records += size_of(item)
        return item

    def _given(self, items: Iterator[Any]) -> Iterator[Any]:
        try:
            for item in items:
                self._look()
                yield item
        finally:
            close(items)
            self._look()


class _Kept:
    """What a setting was when it was looked at."""

    def __init__(self, value: Any) -> None:
        self._object = value
        # So that changes inside of it are seen.
        self.copy = value if _is_itself(value) else _copied(value)
        # NaN does not, arrays compare value by value, and what is itself only may be in a container.
        self._equals = _is_equal(value, self.copy)
        self._parts = None if self._equals else _kept_parts(value)
        self._pickled = None if self._equals or self._parts is not None else _pickled(value)

    def is_still(self, value: Any) -> bool:
        """Whether `value` is the same."""
        if _is_itself(value) or _is_itself(self._object):
            return value is self._object
        if self._equals:
            return _is_equal(value, self.copy)
        if self._parts is not None:
            return type(value) is type(self._object) and self._has_still(_parts(value))
        return value is self._object if self._pickled is None else _pickled(value) == self._pickled

    def _has_still(self, parts: dict[Any, Any]) -> bool:
        kept = self._parts or {}
        return parts.keys() == kept.keys() and all(kept[key].is_still(part) for key, part in parts.items())


def _is_itself(value: Any) -> bool:
    """Whether an object equals no other: one without an `__eq__` of its own, such as a connection or a model."""
    equality: Any = type(value).__eq__
    return equality is object.__eq__


def _parts(container: Any) -> dict[Any, Any]:
    return container if type(container) is dict else dict(enumerate(container))


def _kept_parts(value: Any) -> dict[Any, _Kept] | None:
    """What is in a container; None for all else."""
    is_container = type(value) in (dict, list, tuple)
    return {key: _Kept(part) for key, part in _parts(value).items()} if is_container else None


def _pickled(value: Any) -> bytes | None:
    try:
        return pickle.dumps(value)
    except Exception:
        return None


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:
        # A lock or a connection, which is what it is.
        return value


def _is_equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:
        return False


class AuditedSource(Audited):
    """A source whose settings are logged."""

    def stream(self) -> Iterator[Any]:
        self._begin()
        return self._given(self._counted(items_of(self.__wrapped__.stream())))

    def _counted(self, items: Iterator[Any]) -> Iterator[Any]:
        for item in items:
            self._records += size_of(item)
            yield item


class AuditedStage(Audited):
    """A stage whose settings are logged."""

    def process(self, stream: Any, /) -> Iterator[Any]:
        self._begin()
        return self._given(items_of(self.__wrapped__.process(Inlet(stream, self._pull))))


class AuditedSink(Audited):
    """A sink whose settings are logged."""

    def consume(self, stream: Any, /) -> Any:
        self._begin()
        try:
            return _async.settled(self.__wrapped__.consume(Inlet(stream, self._pull)))
        finally:
            self._look()


_WRAPPERS: dict[str, type[Audited]] = {"stream": AuditedSource, "process": AuditedStage, "consume": AuditedSink}


@overload
def audited(
    component: Source | BatchSource | AsyncSource, *, log: logging.Logger | None = ..., settings: Iterable[str] | None = ...
) -> AuditedSource: ...
@overload
def audited(
    component: Stage | BatchStage | AsyncStage, *, log: logging.Logger | None = ..., settings: Iterable[str] | None = ...
) -> AuditedStage: ...
@overload
def audited(component: Sink | AsyncSink, *, log: logging.Logger | None = ..., settings: Iterable[str] | None = ...) -> AuditedSink: ...
@overload
def audited(component: Any, *, log: logging.Logger | None = ..., settings: Iterable[str] | None = ...) -> Any: ...
def audited(component: Any, *, log: logging.Logger | None = None, settings: Iterable[str] | None = None) -> Any:
    """The same component, with a log of its settings when it starts and whenever one changes: for one that is used alone.

    >>> import tidemill
    >>> class Scale:
    ...     def __init__(self, factor):
    ...         self.factor = factor
    ...     def process(self, stream):
    ...         for record in stream:
    ...             yield {**record, "value": record["value"] * self.factor}
    >>> scale = tidemill.audited(Scale(factor=2.0))
    >>> results = scale.process([{"value": 1.0}, {"value": 1.0}])
    >>> next(results)["value"]
    2.0
    >>> scale.factor = 3.0
    >>> next(results)["value"]
    3.0
    >>> scale.changes
    [Change(name='factor', before=2.0, after=3.0, records=1)]

    Settings are the parameters of its class that are attributes too. Changes are seen when they are made through this object, and else before the
    next record; also changes inside of a list, a dict, an array or a DataFrame, but not inside of an object that has no `__eq__`. The values of
    those whose names say that they are secret, such as `password` or `token`, are not logged.

    Args:
        component: An object with `stream()`, `process(stream)` or `consume(stream)`, or its class, as a decorator.
        log: Where it is logged, at level INFO; by default, the logger `tidemill.audit`.
        settings: The names of the attributes to watch.

    Returns:
        The same with `changes`, a list of `Change`.

    Raises:
        SpecError: It is no component.
    """
    log = log or logging.getLogger("tidemill.audit")
    return wrapping(component, _WRAPPERS, lambda wrapper, own: wrapper(own, log, settings))
