"""One process measured: wall time, CPU time, memory, a time limit. Linux only, for `/proc`."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from peers.engines import Command

INTERVAL = 0.02
"""Seconds between two looks at the memory. Reading it takes some 50 µs of one core."""

KIB = 1024


@dataclass(frozen=True)
class Sample:
    """The memory of a process at a time, in bytes."""

    seconds: float
    resident: int
    anonymous: int
    """What is not pages of files: the process's own."""


@dataclass(frozen=True)
class Usage:
    """What a process took."""

    seconds: float
    """Wall time, from before it is started until after it has ended."""
    cpu_seconds: float
    """Of all its threads, in user mode and in the kernel."""
    peak_resident: int
    """Bytes, as the kernel counted them; pages of a mapped file included."""
    peak_anonymous: int
    """Bytes, the greatest of the samples."""
    status: int
    """The exit status; minus the signal's number if one ended it."""
    timed_out: bool
    stdout: str
    stderr: str

    def failure(self) -> str | None:
        """Why nothing can be said about the process's speed; `None` if all went well."""
        if self.timed_out:
            return f"stopped after {self.seconds:.0f} s"
        if self.status == -signal.SIGKILL:
            return "killed, by the kernel for want of memory most likely"
        if self.status != 0:
            last = self.stderr.strip().splitlines()[-1:] or ["it said nothing"]
            return f"failed with status {self.status}: {last[0][:200]}"
        return None


def measure(command: Command, limit: float, watch: Callable[[Sample], None] | None = None) -> Usage:
    """Runs `command`, for `limit` seconds at most. `watch` is shown every sample, from another thread."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        start = time.perf_counter()
        process = subprocess.Popen(
            [os.fspath(argument) for argument in command.arguments],
            env=os.environ | dict(command.environment),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
        with _sampling(process.pid, start, watch) as peak, _limited(process.pid, limit) as stopped:
            # Waits without polling, so that the time is exact.
            _, status, used = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        return Usage(
            seconds=seconds,
            cpu_seconds=used.ru_utime + used.ru_stime,
            peak_resident=used.ru_maxrss * KIB,
            peak_anonymous=max(peak, default=0),
            status=process.returncode,
            timed_out=stopped.is_set(),
            stdout=_text(stdout),
            stderr=_text(stderr),
        )


def memory_of(pid: int) -> tuple[int, int] | None:
    """Resident and anonymous bytes of a process; `None` when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    sizes = {
        name: value.split()[0] for name, _, value in (line.partition(":") for line in lines) if "kB" in value
    }
    if "VmRSS" not in sizes:
        return None
    return int(sizes["VmRSS"]) * KIB, int(sizes["RssAnon"]) * KIB


@contextmanager
def _sampling(pid: int, start: float, watch: Callable[[Sample], None] | None) -> Iterator[list[int]]:
    """Looks at the memory of `pid` meanwhile; the list gets the anonymous bytes."""
    ended, seen = threading.Event(), list[int]()

    def look() -> None:
        while not ended.is_set() and (memory := memory_of(pid)):
            seen.append(memory[1])
            if watch:
                watch(Sample(time.perf_counter() - start, *memory))
            ended.wait(INTERVAL)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


@contextmanager
def _limited(pid: int, limit: float) -> Iterator[threading.Event]:
    """Ends `pid` after `limit` seconds; the event says whether it came to that."""
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        os.kill(pid, signal.SIGKILL)

    timer = threading.Timer(limit, stop)
    timer.start()
    try:
        yield stopped
    finally:
        timer.cancel()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")
