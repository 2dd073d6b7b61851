"""As fast as it is taken: tidemill through a pipe and over TCP, and its peers through a pipe, in turn."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from live import load
from live.run import INPUT, Live, Setting, free_address
from peers.agreement import TOLERANCE, distance
from peers.data import warm

Once = Callable[[Path, IO[bytes]], float]
"""Does the pipeline on a file, with the output going where it is told; gives the seconds it took."""


@dataclass(frozen=True)
class Engine:
    """An engine that runs the pipeline."""

    name: str
    title: str
    is_peer: bool
    once: Once


def engines(setting: Setting, loader: Path) -> list[Engine]:
    """All, in the order of their turns."""
    return [
        Engine(
            "pipe", "tidemill, through a pipe", False, lambda file, to: _through_a_pipe(setting, file, to)
        ),
        Engine("tcp", "tidemill, over TCP", False, lambda file, to: _over_tcp(setting, loader, file, to)),
        Engine("bytewax", "Bytewax", True, lambda file, to: _peer("bytewax", file, to)),
        Engine("plain", "plain Python generators", True, lambda file, to: _peer("plain", file, to)),
    ]


def measure(
    all_engines: list[Engine], large: Path, small: Path, repeats: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """The seconds of all runs, in turn; peers have the small file."""
    agreement = agree(all_engines, small)
    say(f"throughput: all agree: {agreement}")
    records = {file: _records(file) for file in (large, small)}
    seconds: dict[str, list[float]] = {engine.name: [] for engine in all_engines}
    for turn in range(repeats):
        for engine in all_engines:
            file = small if engine.is_peer else large
            with load.discard() as nowhere:
                seconds[engine.name].append(engine.once(file, nowhere))
            rate = records[file] / seconds[engine.name][-1]
            say(f"throughput {turn + 1}: {engine.name}: {rate / 1e6:.2f} million records/s")
    return {
        "agreement": agreement,
        "engines": {
            engine.name: {
                "title": engine.title,
                "records": records[small if engine.is_peer else large],
                "seconds": seconds[engine.name],
                "records_per_s": records[small if engine.is_peer else large]
                / statistics.median(seconds[engine.name]),
            }
            for engine in all_engines
        },
    }


def agree(all_engines: list[Engine], file: Path) -> dict[str, str]:
    """Compares all outputs with the first one's, value by value; raises `RuntimeError` if one is other."""
    outputs = {engine.name: file.with_name(f"live-{engine.name}.csv") for engine in all_engines}
    try:
        for engine in all_engines:
            with outputs[engine.name].open("wb") as output:
                engine.once(file, output)
        first, *others = all_engines
        reference = outputs[first.name]
        return {engine.name: _compare(reference, outputs[engine.name], engine) for engine in others}
    finally:
        for path in outputs.values():
            path.unlink(missing_ok=True)


def _compare(reference: Path, other: Path, engine: Engine) -> str:
    if not engine.is_peer:
        if reference.read_bytes() != other.read_bytes():
            raise RuntimeError(f"{engine.title}: other bytes")
        return "the same bytes"
    theirs: dict[tuple[str, str], tuple[float, float]] = dict(_rows(other))
    worst, count = 0.0, 0
    for key, (value, mean) in _rows(reference):
        value_there, mean_there = theirs[key]
        worst = max(worst, distance(value, value_there), distance(mean, mean_there))
        count += 1
    if worst > TOLERANCE or count != len(theirs):
        raise RuntimeError(f"{engine.title}: {count} and {len(theirs)} rows, apart by {worst}")
    return f"{worst:.0e} at most"


def _rows(path: Path) -> Iterator[tuple[tuple[str, str], tuple[float, float]]]:
    with path.open() as file:
        next(file)
        for line in file:
            moment, sensor, value, mean = line.split(",")
            yield (moment, sensor), (float(value), float(mean))


@contextmanager
def _cat(file: Path) -> Iterator[IO[bytes]]:
    process = subprocess.Popen(["cat", file], stdout=subprocess.PIPE)
    assert process.stdout
    with process.stdout:
        yield process.stdout
    if process.wait() != 0:
        raise RuntimeError(f"cat {file} failed")


def _through_a_pipe(setting: Setting, file: Path, output: IO[bytes]) -> float:
    start = time.perf_counter()
    with _cat(file) as records:
        live = Live(setting, INPUT, records, output)
        live.process.wait()
        seconds = time.perf_counter() - start
        live.ended()
    return seconds


def _over_tcp(setting: Setting, loader: Path, file: Path, output: IO[bytes]) -> float:
    """From the connection on. When the sender knows that all was read, the run is stopped: its end is when
    all is out."""
    address = free_address()
    live = Live(setting, f"tcp-listen://{address}", subprocess.DEVNULL, output)
    try:
        found = load.said(load.flood(loader, address, file, 1), 600)
        start = time.perf_counter()
        live.process.terminate()
        live.process.wait()
        seconds = time.perf_counter() - start
        live.ended()
    finally:
        live.kill()
    return float(found["taken_s"] + seconds)


def _peer(name: str, file: Path, output: IO[bytes]) -> float:
    start = time.perf_counter()
    with _cat(file) as records:
        arguments = [sys.executable, "-m", f"live.engines.{name}"]
        if subprocess.run(arguments, stdin=records, stdout=output).returncode != 0:
            raise RuntimeError(f"{name} failed")
    return time.perf_counter() - start


def _records(file: Path) -> int:
    warm(file)
    with file.open("rb") as lines:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: lines.read(1 << 20), b"")) - 1
