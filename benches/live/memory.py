"""Full load for long, then a sink that blocks for a while, then resumes."""

from __future__ import annotations

import os
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from live import load
from live.run import Live, Setting, free_address, load_averages
from peers.jobs import HIGH, LOW

SETTLING = 10.0
"""Seconds before the first look."""

GOES_ON = 1_000_000
"""Records that must come out for a run to count as resumed: more than may wait between source and reader."""


class Reader(threading.Thread):
    """Reads what a run writes and counts its lines; blocks when told to."""

    def __init__(self, output: IO[bytes]) -> None:
        super().__init__()
        self.output = output
        self.lines = 0
        self.may_read = threading.Event()
        self.may_read.set()

    def run(self) -> None:
        while chunk := os.read(self.output.fileno(), 1 << 20):
            self.lines += chunk.count(b"\n")
            self.may_read.wait()


def measure(
    setting: Setting, loader: Path, file: Path, seconds: int, stall: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """`RssAnon` once a second under full load, then with a sink that blocks; what was lost."""
    address, passing = free_address(), _passing(file)
    live = Live(setting, f"tcp-listen://{address}", subprocess.DEVNULL, subprocess.PIPE)
    assert live.process.stdout
    reader = Reader(live.process.stdout)
    sender = load.flood(loader, address, file, 0)
    assert sender.stdin
    try:
        before = load_averages()
        reader.start()
        time.sleep(SETTLING)
        lines, start = reader.lines, time.perf_counter()
        loaded = _watch(live, seconds)
        rate = (reader.lines - lines) / (time.perf_counter() - start)
        say(f"memory: {max(loaded) / 2**20:.1f} MiB at most, {rate / 1e6:.2f} million records/s")
        reader.may_read.clear()
        stalled = _watch(live, stall)
        went_on = _goes_on(reader)
        say(f"memory: {max(stalled) / 2**20:.1f} MiB while the sink stood still, on in {went_on:.3f} s")
        # The sender ends when its standard input does; then all that was sent has been read.
        sent = load.said(sender, 60)["turns"]
        _settle(reader)
        live.process.terminate()
        reader.join()
        live.process.stdout.close()
        live.process.wait()
        report = live.ended()
    finally:
        reader.may_read.set()
        sender.kill()
        live.kill()
    lines = reader.lines - 1
    return {
        "state": setting.state,
        "seconds": seconds,
        "records_per_s": rate,
        "loaded": loaded,
        "stall_seconds": stall,
        "stalled": stalled,
        "went_on_s": went_on,
        "sent": sent * passing[0],
        "expected": sent * passing[1],
        "written": lines,
        "input": report["source"]["input"],
        "load_before": before,
        "load_after": load_averages(),
    }


def summary(found: dict[str, Any]) -> dict[str, float]:
    """In bytes: the peak, the medians of the first and the last tenth, and how much more than the median of
    all there was while the sink stood still; and the records lost."""
    loaded, stalled = found["loaded"], found["stalled"]
    tenth = max(1, len(loaded) // 10)
    return {
        "peak": max(loaded),
        "first": statistics.median(loaded[:tenth]),
        "last": statistics.median(loaded[-tenth:]),
        "more": max(0, max(stalled) - statistics.median(loaded)),
        "lost": found["expected"] - found["written"],
    }


def _watch(live: Live, seconds: int) -> list[int]:
    sizes = []
    for _ in range(seconds):
        time.sleep(1)
        sizes.append(live.anonymous())
    return sizes


def _goes_on(reader: Reader) -> float:
    """Seconds from when the reader reads again until so much has come that it cannot have waited."""
    lines, start = reader.lines, time.perf_counter()
    reader.may_read.set()
    while reader.lines < lines + GOES_ON and time.perf_counter() - start < 60:
        time.sleep(0.001)
    return time.perf_counter() - start


def _settle(reader: Reader) -> None:
    """Waits until nothing has come for a second."""
    lines = -1
    while lines != reader.lines:
        lines = reader.lines
        time.sleep(1)


def _passing(file: Path) -> tuple[int, int]:
    """How many records there are, and how many of them pass."""
    with file.open() as lines:
        next(lines)
        values = [float(line.rsplit(",", 1)[1]) for line in lines]
    return len(values), sum(LOW <= value <= HIGH for value in values)
