"""The files of the shapes."""

from __future__ import annotations

import random
from pathlib import Path

from shapes.shapes import SEED, Shape


def file_of(shape: Shape, rows: int, folder: Path) -> Path:
    """The file of `shape`, made if it is not there."""
    return _file(shape, shape.rows(rows), folder)


def empty_file_of(shape: Shape, folder: Path) -> Path:
    """The file of `shape` without rows: what a run on it takes is the start of the process, and its end."""
    return _file(shape, 0, folder)


def _file(shape: Shape, count: int, folder: Path) -> Path:
    path = folder / f"shape-{shape.name}-{count}-{SEED}.csv"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        # The file appears under its name only when it is complete.
        unfinished = path.with_suffix(".part")
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            file.write(shape.header + ("\r\n" if shape.name == "crlf" else "\n"))
            file.writelines(f"{line}\n" for line in shape.lines(count, random.Random(SEED)))
        unfinished.rename(path)
    return path
