"""Puts a record where it is read: its folder, and the README."""

from __future__ import annotations

import os
from pathlib import Path

from peers import chart
from peers.jobs import JOBS
from peers.options import ROOT
from peers.record import Record, replace_section, report, section

ORDER = [job.name for job in JOBS]
README = ROOT / "README.md"


def write(record: Record, folder: Path) -> None:
    """Writes `peers.json`, `peers.md` and `peers.svg` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    record.save(folder / "peers.json")
    (folder / "peers.md").write_text(report(record, ORDER))
    (folder / "peers.svg").write_text(chart.draw(record, ORDER))


def into_readme(record: Record, folder: Path) -> None:
    """Fills in the README's section."""
    there = os.path.relpath(folder, README.parent)
    README.write_text(replace_section(README.read_text(), section(record, ORDER, there)))
