"""Components that are tried again: see `retry`."""

from __future__ import annotations

import copy
import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, overload

from . import _async
from ._native import Record
from ._wrapped import Inlet, Wrapper, close, items_of, label, wrapping
from .errors import DataError, SpecError

__all__ = ["Retried", "RetriedSink", "RetriedSource", "RetriedStage", "retry"]

T = TypeVar("T")
_NOTHING = object()
Restart = Literal["beginning", "next"]


@dataclass(frozen=True)
class _Policy:
    """When a component is tried again."""

    on: tuple[type[Exception], ...]
    attempts: int
    delay: float
    max_delay: float
    jitter: bool
    restart: Restart | None

    def pause(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        longest = min(self.max_delay, self.delay * 2.0 ** min(failures - 1, 1000))
        return random.uniform(0, longest) if self.jitter else longest


class Retried(Wrapper):
    """A component that is tried again."""

    _own = frozenset({"_policy", "_failures"})

    def __init__(self, component: Any, policy: _Policy) -> None:
        super().__init__(component)
        self._policy = policy
        self._failures = 0

    def _failed(self, error: Exception) -> None:
        """Waits for the next attempt; raises `error` after the last one."""
        self._failures += 1
        if self._failures >= self._policy.attempts:
            error.add_note(f"{label(self.__wrapped__)} failed {self._failures} times in a row")
            self._failures = 0
            raise error
        pause = self._policy.pause(self._failures)
        log = logging.getLogger("tidemill")
        log.warning("%s failed (%s: %s): trying again in %.1f s", label(self.__wrapped__), type(error).__name__, error, pause)
        time.sleep(pause)


class RetriedSource(Retried):
    """A source that is tried again."""

    def stream(self) -> Iterator[Any]:
        self._failures = 0
        given, position, items = 0, _NOTHING, None
        try:
            while True:
                try:
                    items = self._begun(given, position) if items is None else items
                    item = next(items, _NOTHING)
                    if item is _NOTHING:
                        return
                    # A copy: it may be an object that the source goes on with.
                    position = copy.deepcopy(self.__wrapped__.position()) if self._resumes() else position
                except self._policy.on as error:
                    close(items)
                    items = None
                    self._refuse(error, given)
                    self._failed(error)
                    continue
                self._failures = 0
                # None says that it waits.
                given += item is not None
                yield item
        finally:
            close(items)

    def _resumes(self) -> bool:
        return hasattr(self.__wrapped__, "position") and hasattr(self.__wrapped__, "resume")

    def _refuse(self, error: Exception, given: int) -> None:
        """Raises `error` if it is not known where the source would go on."""
        if given and not self._resumes() and self._policy.restart is None:
            error.add_note(
                f"{label(self.__wrapped__)} is not tried again after {given} records: it is not known where it would go on. "
                'Give `retry` restart="beginning" or restart="next", or the source `position()` and `resume(position)`.'
            )
            raise error

    def _begun(self, given: int, position: Any) -> Iterator[Any]:
        """Its items after those that were given."""
        if position is not _NOTHING:
            self.__wrapped__.resume(copy.deepcopy(position))
            return items_of(self.__wrapped__.stream())
        items = items_of(self.__wrapped__.stream())
        repeated = 0
        while repeated < given and self._policy.restart == "beginning":
            item = next(items, _NOTHING)
            if item is _NOTHING:
                raise DataError(
                    f"{label(self.__wrapped__)} was read again, and ended after {repeated} records where it had given {given}",
                    help='restart="beginning" is for sources that give the same records every time',
                )
            repeated += item is not None
        return items


class _Replay:
    """The input of a component that is tried again: first the item that it had not finished."""

    def __init__(self, component: Any) -> None:
        self._component = component
        self._has_state = hasattr(component, "save") and hasattr(component, "restore")
        self._state: Any = None
        self._item: Any = _NOTHING
        self._is_due = False
        self.finished = 0
        """Items that it has finished."""
        self.given = 0
        """Items that it gave for the one that it has not finished."""
        self.failure: BaseException | None = None
        """How its input ended: nothing more is read from it."""
        self._save()

    def pull(self, iterator: Iterator[Any]) -> Any:
        if self._is_due:
            self._is_due = False
            return _copy(self._item)
        if self.failure is not None:
            raise self.failure
        # Whoever asks for the next item has finished the one before.
        if self._item is not _NOTHING:
            self.finished += 1
        self.given, self._item = 0, _NOTHING
        self._save()
        try:
            self._item = next(iterator)
        except BaseException as error:
            self.failure = error
            raise
        return _copy(self._item)

    @property
    def has_failed(self) -> bool:
        """Whether its input has failed: that is not tried again, whatever the component made of it."""
        return self.failure is not None and not isinstance(self.failure, StopIteration)

    def again(self) -> None:
        """The component starts again."""
        self._is_due = self._item is not _NOTHING
        if self._has_state:
            self._component.restore(copy.deepcopy(self._state))

    def _save(self) -> None:
        if self._has_state:
            # A copy: it may be what the component goes on with.
            self._state = copy.deepcopy(self._component.save())


def _copy(item: Any) -> Any:
    """What the component may change: the item itself is needed if it fails."""
    if isinstance(item, Record):
        return item.replace()
    is_batch = hasattr(item, "__arrow_c_array__") or hasattr(item, "__arrow_c_stream__")
    return item if is_batch else copy.copy(item)


class RetriedStage(Retried):
    """A stage that is tried again."""

    def process(self, stream: Any, /) -> Iterator[Any]:
        self._failures = 0
        replay = _Replay(self.__wrapped__)
        inlet = Inlet(stream, replay.pull)
        items, surplus, finished = None, 0, 0
        try:
            while True:
                try:
                    if items is None:
                        items, surplus = items_of(self.__wrapped__.process(inlet)), replay.given
                    item = next(items, _NOTHING)
                except self._policy.on as error:
                    if replay.has_failed:
                        raise
                    close(items)
                    items = None
                    self._failures = self._failures if replay.finished == finished else 0
                    finished = replay.finished
                    self._failed(error)
                    replay.again()
                    continue
                if item is _NOTHING:
                    return
                # It gives again what it gave for this item before it failed.
                if surplus and replay.finished == finished:
                    surplus -= 1
                    continue
                replay.given += 1
                yield item
        finally:
            close(items)


class RetriedSink(Retried):
    """A sink that is tried again."""

    def consume(self, stream: Any, /) -> Any:
        self._failures = 0
        replay = _Replay(self.__wrapped__)
        inlet = Inlet(stream, replay.pull)
        finished = 0
        while True:
            try:
                return _async.settled(self.__wrapped__.consume(inlet))
            except self._policy.on as error:
                if replay.has_failed:
                    raise
                self._failures = self._failures if replay.finished == finished else 0
                finished = replay.finished
                self._failed(error)
                replay.again()


_WRAPPERS: dict[str, type[Retried]] = {"stream": RetriedSource, "process": RetriedStage, "consume": RetriedSink}


@overload
def retry(
    component: T,
    *,
    on: type[Exception] | tuple[type[Exception], ...] = ...,
    attempts: int = ...,
    delay: float = ...,
    max_delay: float = ...,
    jitter: bool = ...,
    restart: Restart | None = ...,
) -> T: ...
@overload
def retry(
    component: None = None,
    *,
    on: type[Exception] | tuple[type[Exception], ...] = ...,
    attempts: int = ...,
    delay: float = ...,
    max_delay: float = ...,
    jitter: bool = ...,
    restart: Restart | None = ...,
) -> Callable[[T], T]: ...
def retry(
    component: Any = None,
    *,
    on: type[Exception] | tuple[type[Exception], ...] = OSError,
    attempts: int = 5,
    delay: float = 0.1,
    max_delay: float = 30.0,
    jitter: bool = True,
    restart: Restart | None = None,
) -> Any:
    """The same component, tried again after failures: for one whose calls may fail for a while, such as those over a network.

    >>> import tidemill
    >>> class Weather:
    ...     failures = 2
    ...     def stream(self):
    ...         if self.failures:
    ...             self.failures -= 1
    ...             raise ConnectionError("no route")
    ...         yield {"sensor": "roof", "value": 12.5}
    >>> weather = tidemill.retry(Weather(), delay=0.001)
    >>> list(weather.stream())
    [{'sensor': 'roof', 'value': 12.5}]

    After each failure it waits for a random time of up to `delay` × 2ⁿ seconds, and calls the method again. What was given already is neither
    repeated nor lost:

    | what | goes on |
    |---|---|
    | a source with `position()` and `resume(position)` | where it was after the last record that it gave |
    | another source | before its first record, from its beginning; later as `restart` says, and without it the exception is raised |
    | a stage | at the record, or batch, that it had not finished; what it had given for this one is not given again |
    | a sink | at the record, or batch, that it had not finished: it may get this one twice |

    A stage or sink has finished a record when it asks for the next one. So one that collects many before it gives or writes them must have `save()`
    and `restore(state)`, which are then called for each record; or else it should take record batches, or try again inside. Stages must give the
    same for the same record, and nothing before their first. Failures of the input itself are not tried again.

    Args:
        component: An object with `stream()`, `process(stream)` or `consume(stream)`, or its class, as a decorator. Without it, the result is a
            decorator: `@retry(attempts=3)`.
        on: The exceptions after which it is tried again.
        attempts: How often it is tried, at most, without finishing a record.
        delay: Seconds to wait after the first failure, at most.
        max_delay: Seconds to wait after any failure, at most.
        jitter: Whether the time to wait is random, so that many clients do not come back at the same moment.
        restart: What a source without `resume` gives when it is read again: the same records from the "beginning", of which those that were given
            are left out; or the "next" ones, as a queue or socket does.

    Raises:
        SpecError: It is no component, or an argument is out of range.
        DataError: A source was to begin again, and has fewer records than before.
    """
    exceptions = on if isinstance(on, tuple) else (on,)
    if attempts < 1 or delay < 0 or max_delay < 0:
        raise SpecError("`attempts` is at least 1, `delay` and `max_delay` at least 0")
    policy = _Policy(exceptions, attempts, delay, max_delay, jitter, restart)

    def wrap(component: Any) -> Any:
        return wrapping(component, _WRAPPERS, lambda wrapper, own: wrapper(own, policy))

    return wrap if component is None else wrap(component)
