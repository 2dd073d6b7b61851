"""Input that does not end and has too much of something: its memory, and how much is rejected."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from live.run import Live, Setting, columns, free_address, in_memory
from peers.jobs import LONG
from scaling.cases import MIB

PATIENCE = 120.0
"""Seconds in which all that was sent has to be read."""

IDLE = 0.2
"""Seconds of a core in a second: who uses less waits."""

TIME = b"2026-01-01T00:00:00Z"


@dataclass(frozen=True)
class Fed:
    """What a run took."""

    peak: int
    """Bytes of `RssAnon`."""
    seconds: float
    records: int
    rejected: int


@dataclass(frozen=True)
class Feed:
    """A run, and the ceiling of its memory."""

    title: str
    most: int
    """Bytes of `RssAnon`."""
    ceiling: str
    """What is refused or rejected when it is reached."""
    run: Callable[[Setting], Fed]
    stateful: bool = False


def feeds() -> list[Feed]:
    """All of them."""
    aside = "records of new sensors are rejected beyond 128 MiB of names"
    idle = "sensors that have been idle for 10 s make room for others"
    return [
        Feed("3,000 names of 200 kB over TCP", 48 * MIB, "names over 1 KiB are rejected", _long_names),
        Feed("200,000 names of 1 kB over TCP", 256 * MIB, aside, _many_names),
        Feed("the same, with --state", 288 * MIB, aside, _many_names, stateful=True),
        Feed("1 million new names over TCP, with idle_sensors", 64 * MIB, idle, _passing_names),
        Feed("new names with idle_sensors, with --state", 64 * MIB, idle, _passing_names, stateful=True),
        Feed("600 connections with 0.9 MB unfinished each", 128 * MIB, "the longest is rejected beyond 16 MiB", _unfinished_connections),
        Feed("600 followed files with 1 MB unfinished each", 256 * MIB, "the longest is read again later, behind 16 MiB", _unfinished_files),
        Feed("live into Parquet, 3 million records in pieces of 40", 160 * MIB, "nothing: a row group of 1 Mi records waits", _parquet),
    ]


def _long_names(setting: Setting) -> Fed:
    return _sent(setting, [b"%s,%06d%s,20.5\n" % (TIME, at, b"x" * 200_000) for at in range(3000)])


def _many_names(setting: Setting) -> Fed:
    def lines() -> Iterator[bytes]:
        for first in range(0, 200_000, 100):
            yield b"".join(b"%s,%06d%s,20.5\n" % (TIME, at, b"x" * 994) for at in range(first, first + 100))

    return _sent(setting, lines())


def _passing_names(setting: Setting) -> Fed:
    """A thousand new names in each second of the sensors' time, none of which comes again."""

    def lines() -> Iterator[bytes]:
        for second in range(1000):
            time = b"2026-01-01T00:%02d:%02dZ" % divmod(second, 60)
            yield b"".join(b"%s,passing-%09d,20.5\n" % (time, second * 1000 + at) for at in range(1000))

    return _sent(setting, lines(), idle="10s")


def _parquet(setting: Setting) -> Fed:
    pieces = [b"".join(b"%s,s-%04d,%d.5\n" % (TIME, at * 7 % 1000, at % 90) for at in range(40))] * 75_000
    with TemporaryDirectory(prefix="tidemill-feed-", dir=in_memory()) as folder:
        return _sent(setting, pieces, f'type = "parquet"\npath = "{folder}/out.parquet"')


def _sent(setting: Setting, pieces: Iterator[bytes] | list[bytes], sink: str = 'type = "null"', idle: str = "") -> Fed:
    """Sends everything over one connection, and waits until it has been read."""
    address = free_address()

    def act(_live: Live) -> None:
        with _connect(address) as stream:
            for piece in pieces:
                stream.sendall(piece)
            stream.shutdown(socket.SHUT_WR)
            stream.recv(1)

    return _fed(setting, f"tcp-listen://{address}", sink, act, idle=idle)


def _unfinished_connections(setting: Setting) -> Fed:
    address, line = free_address(), b"%s,s-1,%s" % (TIME, b"1" * 900_000)

    def act(live: Live) -> None:
        with ExitStack() as open_streams:
            for _ in range(600):
                open_streams.enter_context(_connect(address)).sendall(line)
            _settles(live)

    return _fed(setting, f"tcp-listen://{address}", 'type = "null"', act, 600 * len(line))


def _unfinished_files(setting: Setting) -> Fed:
    line = b"%s,s-1,%s" % (TIME, b"1" * 1_000_000)
    with TemporaryDirectory(prefix="tidemill-feed-", dir=in_memory()) as name:
        folder = Path(name)
        for at in range(600):
            (folder / f"{at:03}.csv").touch()

        def act(live: Live) -> None:
            for at in range(600):
                (folder / f"{at:03}.csv").write_bytes(line)
            _settles(live)

        return _fed(setting, f"{folder}/*.csv", 'type = "null"', act, 600 * len(line))


def _connect(address: str) -> socket.socket:
    """Connects as soon as somebody listens."""
    host, port = address.split(":")
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection((host, int(port)))
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.01)


def _settles(live: Live) -> None:
    """Waits until the run has nothing more to do."""
    until = time.monotonic() + PATIENCE
    before, now = -1.0, live.busy()
    while now - before > IDLE and time.monotonic() < until:
        time.sleep(1)
        before, now = now, live.busy()


def _fed(setting: Setting, source: str, sink: str, act: Callable[[Live], None], least: int = 0, idle: str = "") -> Fed:
    """Runs a mean of each sensor to `sink` while `act` gives it at least so many bytes to read."""
    live = Live(setting, source, subprocess.DEVNULL, subprocess.DEVNULL, pipeline(source, sink, idle))
    start = time.perf_counter()
    try:
        with live.watched() as sizes:
            act(live)
            # What was read is on its way.
            time.sleep(1)
        seconds = time.perf_counter() - start
        report = live.stop()
        if report["bytes"] < least:
            raise RuntimeError(f"{report['bytes']} of {least} bytes were read")
        ledger = report["source"]
        return Fed(max(sizes), seconds, ledger["input"], ledger["rejected"])
    finally:
        live.kill()


def pipeline(source: str, sink: str, idle: str = "") -> str:
    """The pipeline file: a moving mean; sensors that have been idle for so long are given up."""
    more = "" if source.startswith("tcp") else "follow = true\n"
    more += f'order = "time"\ndisorder = "1s"\nidle_sensors = "{idle}"\n' if idle else ""
    return f"""\
[source]
type = "csv"
path = "{source}"
time = "{LONG.time}"
sensor = "{LONG.sensor}"
{more}{columns()}
[[stage]]
type = "moving_average"
window = 16
[[sink]]
{sink}
"""
