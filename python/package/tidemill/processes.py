"""A stage in several processes: see `parallel`."""

from __future__ import annotations

import copy
import importlib
import itertools
import json
import multiprocessing
import os
import pickle
import signal
import struct
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures import process as futures
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import util
from typing import TYPE_CHECKING, Any

from . import _native
from ._wrapped import Wrapper, items_of
from .component import Component
from .errors import InternalError, RejectedWarning, SpecError

if TYPE_CHECKING:
    import pyarrow

__all__ = ["Parallel", "parallel"]

_CHUNK = 1024
"""Records that are sent to a process at once where they do not come in record batches."""
_INPUT = b"tidemill.input"
"""In the metadata of a record batch: the roles of its columns."""
_LOOK = 0.1
"""Seconds between two looks whether the interpreter is about to end."""
_INTERRUPTED = 130
"""The exit code of a process that was stopped by Ctrl-C."""


class Parallel:
    """A stage that runs in several processes."""

    def __init__(self, stage: Any, workers: int, options: Mapping[str, Any]) -> None:
        self._recipe = _recipe(stage, options)
        self._workers = workers
        self._name = stage if isinstance(stage, str) else type(stage).__qualname__
        self._pending: deque[_Task] = deque()
        self._restored: list[bytes] = []
        fields = getattr(_found(stage) if isinstance(stage, str) else stage, "fields", None)
        if fields is not None:
            self.fields = fields

    def __repr__(self) -> str:
        return f"parallel({self._name}, workers={self._workers})"

    def process(self, stream: Any, /) -> Iterator[Any]:
        """What the stage gives for the stream, in its order."""
        pool = _Pool(self._workers, self._recipe, self._name)
        self._pending.clear()
        is_over = False
        try:
            for task in self._tasks(stream, pool):
                self._pending.append(task)
                while len(self._pending) > 2 * self._workers or (self._pending and self._pending[0].result.done()):
                    yield from self._next(pool)
            while self._pending:
                yield from self._next(pool)
            is_over = True
        finally:
            pool.close(is_over)

    def _next(self, pool: _Pool) -> Iterator[Any]:
        """What the stage gave for the oldest batch."""
        # It stays there until it is given: a checkpoint may come before.
        given = pool.wait(self._pending[0].result)
        self._pending.popleft()
        return given

    def _tasks(self, stream: Any, pool: _Pool) -> Iterator[_Task]:
        restored, self._restored = self._restored, []
        for data in restored:
            yield pool.submit_batch(data)
        if hasattr(stream, "batches"):
            roles = stream._input() if hasattr(stream, "_input") else None
            for batch in stream.batches():
                yield pool.submit_batch(_written(_record_batch(batch), roles))
        else:
            records = iter(stream)
            while chunk := list(itertools.islice(records, _CHUNK)):
                yield pool.submit_records(chunk)

    def save(self) -> bytes:
        """The records that are in the processes, for a checkpoint."""
        batches = [*self._restored, *(task.data for task in self._pending if task.data is not None)]
        return b"".join(struct.pack("<Q", len(data)) + data for data in batches)

    def restore(self, state: bytes) -> None:
        """Goes on with the records of a checkpoint."""
        self._restored = []
        while state:
            (size,) = struct.unpack_from("<Q", state)
            self._restored.append(bytes(state[8 : 8 + size]))
            state = state[8 + size :]


class _Task:
    """A batch of records that is in the processes."""

    def __init__(self, data: bytes | None, result: Future[Any]) -> None:
        self.data, self.result = data, result


class _Pool:
    """The processes of one run."""

    def __init__(self, workers: int, recipe: _Recipe, name: str) -> None:
        self._name = name
        self._processes: list[Any] = []
        # Not by fork: this process has threads.
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        context: Any = copy.copy(multiprocessing.get_context(method))
        make = context.Process

        def process(*arguments: Any, **keywords: Any) -> Any:
            self._processes.append(make(*arguments, **keywords))
            return self._processes[-1]

        context.Process = process
        self._executor = ProcessPoolExecutor(workers, context, _begin, (recipe,))

    def submit_batch(self, data: bytes) -> _Task:
        return _Task(data, self._submit(_of_batch, data))

    def submit_records(self, records: list[Any]) -> _Task:
        return _Task(None, self._submit(_of_records, records))

    def _submit(self, act: Callable[[Any], Any], data: Any) -> Future[Any]:
        try:
            return self._executor.submit(_safely, act, data)
        except BrokenProcessPool as error:
            raise self._died() from error

    def wait(self, result: Future[Any]) -> Iterator[Any]:
        """What came of a batch: records, or a record batch."""
        while not wait([result], _LOOK).done:
            if _is_closing():
                raise KeyboardInterrupt
        try:
            given = result.result()
        except BrokenProcessPool as error:
            raise self._died() from error
        return iter([_read(given)] if isinstance(given, bytes) else given)

    def _died(self) -> BaseException:
        # The executor's thread asks for the exit codes too, and the fork server tells each once: of two that ask at once, one is told 255.
        self._executor.shutdown(wait=True)
        codes = [process.exitcode for process in self._processes]
        if _INTERRUPTED in codes:
            return KeyboardInterrupt()
        # The others are terminated when one is gone.
        causes = {code for code in codes if code not in (None, 0, -signal.SIGTERM)}
        ends = ", ".join(signal.Signals(-code).name if code < 0 else f"exit code {code}" for code in sorted(causes)) or "terminated"
        return InternalError(
            f"a process that ran `{self._name}` died ({ends})",
            help="it may have run out of memory or crashed in native code; in a script, start the run below `if __name__ == '__main__':`",
        )

    def close(self, is_over: bool) -> None:
        """Ends the processes: at once, unless all is done."""
        if not is_over:
            for process in self._processes:
                if process.is_alive():
                    process.terminate()
        self._executor.shutdown(wait=True, cancel_futures=True)


def _is_closing() -> bool:
    """Whether the interpreter ends: it waits for the processes, and a thread of a run that was interrupted is not told."""
    return getattr(futures, "_global_shutdown", False) or not threading.main_thread().is_alive()


_Recipe = tuple[bytes | str, dict[str, Any]]
"""How a process makes the stage: what it unpickles, or a class and its arguments."""


def _recipe(stage: Any, options: Mapping[str, Any]) -> _Recipe:
    if isinstance(stage, str):
        return stage, dict(options)
    if isinstance(stage, Component):
        raise SpecError(f"{stage!r} runs on all cores already")
    if not callable(getattr(stage, "process", None)):
        raise SpecError(f"{stage!r:.80} is no stage", help="a stage has `process(stream)`")
    try:
        return pickle.dumps(stage), {}
    except Exception as error:
        raise SpecError(
            f"{stage!r:.80} cannot be sent to a process: {error}",
            help="define its class in a module, or name it: parallel('module:Class', options={...})",
        ) from error


def _found(name: str) -> Any:
    """What `module:Class` names."""
    module, separator, path = name.partition(":")
    if not separator:
        raise SpecError(f"`{name}` names no class", help="name it as `module:Class`")
    found: Any = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


# What follows runs in the processes.

_stage: Any = None
"""The stage of this process."""


def _begin(recipe: _Recipe) -> None:
    """Makes the stage, and enters it if it is a context manager; it is left when the process ends."""
    global _stage
    signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
    made, options = recipe
    _stage = _found(made)(**options) if isinstance(made, str) else pickle.loads(made)
    # Asynchronous ones too.
    manager = Wrapper(_stage)
    manager.__enter__()
    util.Finalize(None, manager.__exit__, (None, None, None), exitpriority=1)


def _safely(act: Callable[[Any], Any], data: Any) -> Any:
    """Runs `act`; what it raises reaches the other process even if it cannot be pickled."""
    try:
        return act(data)
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            plain = RuntimeError(f"{type(error).__name__}: {error}")
            plain.add_note("".join(traceback.format_exception(error)))
            raise plain from None
        raise


def _of_records(records: list[Any]) -> list[Any]:
    return list(items_of(_stage.process(iter(records))))


class _Bare:
    """The stage of this process, which has been entered already."""

    def __init__(self) -> None:
        if hasattr(_stage, "fields"):
            self.fields = _stage.fields

    def process(self, stream: Any, /) -> Any:
        return _stage.process(stream)


def _of_batch(data: bytes) -> bytes:
    import pyarrow

    batch = _read(data)
    told = (batch.schema.metadata or {}).get(_INPUT)
    source = {"type": "python:", "object": 0, "input": _roles(batch.schema) if told is None else json.loads(told)}
    stage = {"type": "python:", "object": 1}
    bare = type(type(_stage).__qualname__, (_Bare,), {})()
    tables = {"source": source, "stage": [stage], "sink": [{"type": "null"}]}
    pipeline = _native.Pipeline.of_parts(json.dumps(tables), [pyarrow.table(batch), bare], [])
    settings = {"threads": 1, "state": None, "state_every": None, "accept_changes": False, "take_over": False}
    with warnings.catch_warnings():
        # What the run has accepted is not rejected here.
        warnings.simplefilter("error", RejectedWarning)
        made = pyarrow.table(pipeline.table(settings)).combine_chunks().to_batches()
    return _written(made[0] if made else batch.slice(0, 0))


def _roles(schema: pyarrow.Schema) -> dict[str, str]:
    """Which columns have the sensor and the time, as the engine gives them."""
    from pyarrow import types

    sensor = next(field.name for field in schema if types.is_dictionary(field.type))
    time = next((field.name for field in schema if types.is_timestamp(field.type)), None)
    return {"sensor": sensor} if time is None else {"sensor": sensor, "time": time}


def _record_batch(batch: Any) -> pyarrow.RecordBatch:
    import pyarrow

    return pyarrow.record_batch(batch)


def _written(batch: pyarrow.RecordBatch, roles: Mapping[str, Any] | None = None) -> bytes:
    """A record batch in Arrow's format, with the roles of its columns."""
    import pyarrow

    if roles is not None:
        batch = batch.replace_schema_metadata({**(batch.schema.metadata or {}), _INPUT: json.dumps(roles).encode()})
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def _read(data: bytes) -> pyarrow.RecordBatch:
    import pyarrow

    return pyarrow.ipc.open_stream(data).read_next_batch()


def parallel(stage: Any, workers: int | None = None, *, options: Mapping[str, Any] | None = None) -> Parallel:
    """The same stage in several processes, for one that needs much time in Python; the order of the records is kept.

    Each process has its own stage, and gets some of the record batches. So it is for stages that look at each record, or each record batch, by
    itself: one that remembers earlier records would remember some of them only. `batches()` and `fields` work as elsewhere. At most two batches
    for each process are under way; if the run stops, they are in its checkpoint. What the stage raises is raised here as it is.

    ```python
    if __name__ == "__main__":
        Pipeline([source, tidemill.parallel(Model("weights.bin"), workers=8), sink]).run()
    ```

    In a pipeline file, `type = "python:tidemill:parallel"` with `stage = "module:Class"`, `workers` and `options`. It needs pyarrow.

    Args:
        stage: A stage that can be pickled, or the name of its class as `module:Class`, which each process imports. If it is a context manager,
            each process enters it once.
        workers: How many processes; by default, one for each core.
        options: The arguments of the class that is named.

    Raises:
        SpecError: It is no stage, or cannot be sent to a process.
        InternalError: In the run: a process died.
    """
    count = os.cpu_count() or 1 if workers is None else workers
    if count < 1:
        raise SpecError("`workers` is at least 1")
    return Parallel(stage, count, options or {})
