"""The input files, made by tidemill's source `synthetic`; kept for the next run without `--discard`."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from peers.jobs import LONG, PLANT, ROW_GROUPS, WIDE, Input, Table

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

    def timed(self, table: Table, rows: int, kind: Input = Input.CSV) -> Path:
        """The file to measure on: `rows` readings, so a wide file has fewer rows of more each."""
        return self._file(table, kind, rows // len(table.measurements))

    def checked(self, table: Table, kind: Input = Input.CSV) -> Path:
        """The file to compare outputs on."""
        return self.timed(table, CHECKED_ROWS, kind)

    def odd(self) -> Path:
        """Long, with NaN and nulls."""
        return self._file(LONG, Input.CSV, CHECKED_ROWS, ("nan = 0.01", "nulls = 0.01"))

    def _file(self, table: Table, kind: Input, rows: int, more: tuple[str, ...] = ()) -> Path:
        options = [f"records = {rows}", f"sensors = {self.sensors}", "seed = 1", f"spikes = {SPIKES}"]
        options += [*_OPTIONS[table.name], *more]
        digest = hashlib.sha256(" ".join(options).encode()).hexdigest()[:8]
        path = self.folder / f"{table.name}-{rows}-{digest}.{kind.value}"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            # The file appears under its name only when it is complete.
            unfinished = path.with_name(f"unfinished-{path.name}")
            match kind:
                case Input.CSV | Input.JSONL | Input.PARQUET:
                    self._generate(options, kind, rows, unfinished)
                case Input.CSV_GZ:
                    self._convert(table, rows, more, compress, unfinished)
                case Input.INFLUX:
                    self._convert(table, rows, more, to_line_protocol, unfinished)
            unfinished.rename(path)
        return path

    def _generate(self, options: list[str], kind: Input, rows: int, path: Path) -> None:
        """Writes a file with a pipeline whose source is `synthetic`."""
        sink = [f'type = "{kind.value}"', f"path = {json.dumps(str(path))}"]
        if kind is Input.PARQUET:
            sink.append(f"row_group = {-(-rows // ROW_GROUPS)}")
        spec = path.with_suffix(".toml")
        spec.write_text("\n".join(["[source]", 'type = "synthetic"', *options, "[[sink]]", *sink, ""]))
        subprocess.run([self.binary, "run", spec, "--quiet"], check=True)
        spec.unlink()

    def _convert(
        self,
        table: Table,
        rows: int,
        more: tuple[str, ...],
        convert: Callable[[Path, Path], None],
        path: Path,
    ) -> None:
        """Writes a file from the one of CSV, which is deleted afterwards if it was not there before."""
        is_there = set(self.folder.iterdir())
        source = self._file(table, Input.CSV, rows, more)
        convert(source, path)
        if source not in is_there:
            source.unlink()


_OPTIONS = {
    LONG.name: ('kinds = ["temperature"]',),
    PLANT.name: ('kinds = ["temperature"]', "spread = true", 'jitter = "2ms"', "swaps = 0.5", "odd = 0.001"),
    WIDE.name: ('shape = "wide"', f"measurements = {len(WIDE.measurements)}"),
}


def compress(source: Path, target: Path) -> None:
    """Writes `source` compressed as the command `gzip` does by default."""
    with source.open("rb") as plain, gzip.open(target, "wb", compresslevel=6) as file:
        shutil.copyfileobj(plain, file, 1 << 20)


def to_line_protocol(source: Path, target: Path) -> None:
    """Writes the readings of a long CSV file as line protocol."""
    with source.open() as rows, target.open("w") as file:
        next(rows)
        for row in rows:
            time, sensor, value = row.rstrip("\n").split(",")
            milliseconds = round(datetime.fromisoformat(time).timestamp() * 1000)
            file.write(f"readings,sensor={sensor} value={value} {milliseconds}000000\n")


def warm(path: Path) -> None:
    """Reads `path` once, so that it is in the page cache."""
    with path.open("rb", buffering=0) as file:
        buffer = bytearray(1 << 20)
        while file.readinto(buffer):
            pass
