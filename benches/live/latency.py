"""An open loop: a fixed rate, whatever comes back; latency counts from when a record was meant to be sent."""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from live import load
from live.run import Live, Setting, free_address, load_averages

RATE = 100_000
SENSORS = 1000
QUANTILES = ("p50", "p99", "p99.9")

LIMITS_MS = {"p50": 0.5, "p99": 5.0, "p99.9": 20.0}
"""What is wanted."""


def measure(
    setting: Setting,
    loader: Path,
    threads: Sequence[int],
    seconds: int,
    repeats: int,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Several runs with each number of threads, in turn."""
    runs: dict[int, list[dict[str, Any]]] = {count: [] for count in threads}
    for turn in range(repeats):
        for count in threads:
            run = once(replace(setting, threads=count), loader, seconds)
            runs[count].append(run)
            say(f"latency {turn + 1}: {count} threads: {run['latency_ms']}, slip {run['slip_ms']}")
    return {
        "rate": RATE,
        "sensors": SENSORS,
        "seconds": seconds,
        "threads": {str(n): of for n, of in runs.items()},
    }


def once(setting: Setting, loader: Path, seconds: int, **options: int) -> dict[str, Any]:
    """One run, with what it says about itself."""
    address = free_address()
    live = Live(setting, f"tcp-listen://{address}", subprocess.DEVNULL, subprocess.PIPE)
    try:
        before = load_averages()
        wanted = {"rate": RATE, "sensors": SENSORS, "seconds": seconds} | options
        with live.watched() as sizes:
            found = load.paced(loader, address, live, seconds + 60, **wanted)
        report = live.stop()
        return found | {
            "rss_anon_peak": max(sizes),
            "load_before": before,
            "load_after": load_averages(),
            "inside": report["latencies"],
        }
    finally:
        live.kill()


def medians(runs: list[dict[str, Any]]) -> dict[str, float]:
    """The median over runs of each quantile, in milliseconds."""
    return {name: statistics.median(run["latency_ms"][name] for run in runs) for name in QUANTILES}
