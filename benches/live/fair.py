"""Sixty connections that always have more to send, then twenty files to which more is always written: who is served how much."""

from __future__ import annotations

import contextlib
import csv
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from live.run import STAGES, Live, Setting, columns, free_address, in_memory
from peers.jobs import LONG

CONNECTIONS = 60
FILES = 20

RATE = 6 << 20
"""Bytes a second that are appended to each file."""

LINE = len("2026-01-01T00:00:00Z,s-000000,20.5\n")

STARTING = 1.0
"""Seconds for a run to begin in."""

PATIENCE = 30
"""How many seconds longer than the measurement a sender sends."""

SHARE = 0.5
"""The least-served sender gets at least this share of the mean."""


def measure(setting: Setting, loader: Path, seconds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Records served of each connection, and of each file."""
    found = {"connections": _connections(setting, loader, seconds), "files": _files(setting, loader, seconds)}
    for name, served in found.items():
        say(f"{name}: {sum(served) / seconds / 1e6:.2f} million records/s, the least {least(served):.2f} of the mean")
    return {"threads": setting.threads, "seconds": seconds} | found


def least(served: Sequence[int]) -> float:
    """What the least served gets of the mean."""
    return min(served) * len(served) / sum(served)


def _connections(setting: Setting, loader: Path, seconds: int) -> list[int]:
    address = free_address()
    sender = [loader, "connections", address, f"connections={CONNECTIONS}", f"seconds={seconds + PATIENCE}"]
    return _served(setting, f"tcp-listen://{address}", sender, seconds, CONNECTIONS)


def _files(setting: Setting, loader: Path, seconds: int) -> list[int]:
    with TemporaryDirectory(prefix="tidemill-fair-", dir=in_memory()) as name:
        folder = Path(name)
        files = [folder / f"{at:02}.csv" for at in range(FILES)]
        for file in files:
            file.touch()
        sender = [loader, "files", folder, f"files={FILES}", f"seconds={seconds + PATIENCE}", f"rate={RATE}"]
        served = _served(setting, f"{folder}/*.csv", sender, seconds, FILES)
        if any(file.stat().st_size <= records * LINE for file, records in zip(files, served, strict=True)):
            raise RuntimeError("a file was read to its end: it was not saturated")
        return served


def _served(setting: Setting, source: str, sender: Sequence[str | Path], seconds: int, count: int) -> list[int]:
    """How many records of each sensor come out of a run that is stopped while all of them have more."""
    live = Live(setting, source, subprocess.DEVNULL, subprocess.PIPE, pipeline(source))
    # It looks at the files while they are empty, so that none of them waits for another.
    time.sleep(STARTING)
    sending = subprocess.Popen(sender, stdout=subprocess.DEVNULL)
    try:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = sending.wait(seconds)
            raise RuntimeError(f"the sender has ended before its time with status {status}")
        live.process.terminate()
        assert live.process.stdout
        lines = live.process.stdout.read().decode().splitlines()
        live.ended()
    finally:
        sending.kill()
        sending.wait()
        live.kill()
    served = {row["sensor"]: int(row["records"]) for row in csv.DictReader(lines)}
    return [served.get(f"s-{at:06}", 0) for at in range(count)]


def pipeline(source: str) -> str:
    """The usual steps and a median, so that no sender is slower; then the records of each sensor are counted."""
    follow = "" if source.startswith("tcp") else "follow = true\n"
    return f"""\
[source]
type = "csv"
path = "{source}"
time = "{LONG.time}"
sensor = "{LONG.sensor}"
{follow}{columns()}
{STAGES}[[stage]]
type = "moving_median"
window = 100
columns = ["value"]
[[stage]]
type = "aggregate"
columns = ["value"]
statistics = ["count"]
into = "records"
[[sink]]
type = "csv"
path = "-"
"""
