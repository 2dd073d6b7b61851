"""The input files, made by `tidemill generate` and kept for the next run."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from peers.jobs import LONG, WIDE, Table

SPIKES = 0.005
"""The share of readings that jump out of bounds, so that the filter has something to do."""

CHECKED_ROWS = 60_000
"""Rows of the files on which all outputs are compared in full."""


@dataclass(frozen=True)
class Files:
    """Where the input files are, and what makes them."""

    folder: Path
    binary: Path
    sensors: int

    def timed(self, table: Table, rows: int) -> Path:
        """The file to measure on: `rows` readings, so a wide file has fewer rows of more each."""
        return self._file(table, rows // len(table.measurements))

    def checked(self, table: Table) -> Path:
        """The file to compare outputs on."""
        return self._file(table, CHECKED_ROWS // len(table.measurements))

    def odd(self) -> Path:
        """Long, with NaN and nulls."""
        return self._file(LONG, CHECKED_ROWS, ("nan=0.01", "nulls=0.01"))

    def _file(self, table: Table, rows: int, more: tuple[str, ...] = ()) -> Path:
        options = [*_OPTIONS[table.name], f"spikes={SPIKES}", *more]
        arguments = ["--records", str(rows), "--sensors", str(self.sensors), "--seed", "1"]
        arguments += [part for option in options for part in ("--set", option)]
        digest = hashlib.sha256(" ".join(arguments).encode()).hexdigest()[:8]
        path = self.folder / f"{table.name}-{rows}-{digest}.csv"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            # The file appears under its name only when it is complete.
            subprocess.run([self.binary, "generate", *arguments, "--quiet", "--output", path], check=True)
        return path


_OPTIONS = {
    LONG.name: ('kinds=["temperature"]',),
    WIDE.name: ('shape="wide"', f"measurements={len(WIDE.measurements)}"),
}


def warm(path: Path) -> None:
    """Reads `path` once, so that it is in the page cache."""
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(1 << 20)
        while file.readinto(buffer):
            pass
