"""Measures several things in turn, and prints their medians beside the first."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def measured(
    ways: Mapping[str, Callable[[], object]], repeats: int, warm_ups: int = 1
) -> dict[str, list[float]]:
    """The seconds of every way, A B A B; a first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(warm_ups + repeats):
        for name, way in ways.items():
            start = time.perf_counter()
            result = way()
            took = time.perf_counter() - start
            del result
            if number >= warm_ups:
                seconds[name].append(took)
    return seconds


def table(title: str, seconds: Mapping[str, Sequence[float]], rows: int | None = None) -> None:
    """Prints the median of each, its range, the ratio to the first, and the time of a record."""
    base = statistics.median(next(iter(seconds.values())))
    width = max(map(len, seconds))
    print(f"{title}\n{'':<{width}}  median s   min s   max s   ratio" + ("  µs a record" if rows else ""))
    for name, all_ in seconds.items():
        median = statistics.median(all_)
        line = f"{name:<{width}}  {median:8.3f}{min(all_):8.3f}{max(all_):8.3f}{median / base:8.2f}"
        print(line + (f"{median / rows * 1e6:13.4f}" if rows else ""))
    print()


def own_memory() -> int:
    """`RssAnon` of this process, in bytes."""
    return _status("RssAnon")


def peak_memory() -> int:
    """The greatest resident size of this process, in bytes; files in memory count too."""
    return _status("VmHWM")


def _status(name: str) -> int:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name)]
    return int(line.split()[1]) * 1024
