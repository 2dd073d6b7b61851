"""A tidemill with its pipeline, running."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from peers.jobs import HIGH, LONG, LOW, WINDOW
from peers.process import memory_of

PATIENCE = 30.0
"""Seconds in which a run has to end when it is asked to."""

INPUT = "-"
"""Standard input, in place of an address."""


@dataclass(frozen=True)
class Setting:
    """How tidemill is started."""

    binary: Path
    threads: int
    state: bool = False
    """Whether it keeps checkpoints, in a folder in memory."""
    window: int = WINDOW


class Live:
    """One process; `stdin` and `stdout` are handed to it."""

    def __init__(
        self,
        setting: Setting,
        source: str,
        stdin: int | IO[bytes],
        stdout: int | IO[bytes],
        text: str | None = None,
    ) -> None:
        """Runs the pipeline file `text`; if there is none, the usual one over `source`."""
        # In memory: what is measured is the run, not the disk.
        self.folder = tempfile.TemporaryDirectory(prefix="tidemill-live-", dir=in_memory())
        self.report = Path(self.folder.name) / "report.json"
        spec = Path(self.folder.name) / "pipeline.toml"
        spec.write_text(text or pipeline(source, setting.window))
        arguments: list[str | Path] = [setting.binary, "run", spec, "--quiet", "--report", self.report]
        arguments += ["--threads", str(setting.threads)]
        if setting.state:
            arguments += ["--state", Path(self.folder.name) / "state"]
        self.process = subprocess.Popen(arguments, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)

    def anonymous(self) -> int:
        """Bytes of `RssAnon` now; 0 when it has ended."""
        memory = memory_of(self.process.pid)
        return memory[1] if memory else 0

    def busy(self) -> float:
        """Seconds of a core that it has used so far; 0 when it has ended."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return sum(int(ticks) for ticks in fields[11:13]) / os.sysconf("SC_CLK_TCK")

    @contextmanager
    def watched(self) -> Iterator[list[int]]:
        """Looks at its memory ten times a second meanwhile; the list gets the bytes of `RssAnon`."""
        ended, sizes = threading.Event(), list[int]()

        def look() -> None:
            while not ended.wait(0.1):
                sizes.append(self.anonymous())

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield sizes
        finally:
            ended.set()
            thread.join()

    def stop(self) -> dict[str, Any]:
        """Asks it to stop, as Ctrl-C does; gives its report."""
        self.process.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> dict[str, Any]:
        """Waits for its end; gives its report."""
        try:
            _, stderr = self.process.communicate(timeout=PATIENCE)
            if self.process.returncode != 0:
                raise RuntimeError(f"tidemill: status {self.process.returncode}: {stderr.decode()[-500:]}")
            report: dict[str, Any] = json.loads(self.report.read_text())["report"]
            return report
        finally:
            self.kill()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()


STAGES = f"""\
[[stage]]
type = "threshold"
min = {LOW}
max = {HIGH}
[[stage]]
type = "normalize"
min = 0.0
max = {HIGH}
"""
"""What every pipeline begins with: drop what is out of bounds, bring to scale."""


def pipeline(source: str, window: int = WINDOW) -> str:
    """The pipeline file: drop what is out of bounds, bring to scale, mean of a window; CSV to CSV."""
    named = "" if source == INPUT else columns()
    return f"""\
[source]
type = "csv"
path = "{source}"
time = "{LONG.time}"
sensor = "{LONG.sensor}"
{named}
{STAGES}[[stage]]
type = "moving_average"
window = {window}
[[sink]]
type = "csv"
path = "-"
"""


def columns() -> str:
    """Of what has no header, such as a connection."""
    names = ", ".join(f'"{name}"' for name in (LONG.time, LONG.sensor, *LONG.measurements))
    measurements = ", ".join(f'"{name}"' for name in LONG.measurements)
    return f"header = false\nnames = [{names}]\nmeasurements = [{measurements}]\n"


def free_address() -> str:
    """A host and port at which nobody listens."""
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


def load_averages() -> Sequence[float]:
    """How many processes wanted a core in the last 1, 5 and 15 minutes, ours included."""
    return [round(average, 2) for average in os.getloadavg()]


def in_memory() -> str | None:
    """Where files are kept in memory; `None` for the usual place."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
