"""What can be said on the command line."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from peers.jobs import JOBS
from peers.peer import PEERS

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""

CACHE = Path.home() / ".cache" / "tidemill" / "peers"

FULL_ROWS = 50_000_000
"""The size that the README speaks of."""

MEMORY = Path("/dev/shm")
"""A file system in memory: what is measured is the engines, not the disk."""


@dataclass(frozen=True)
class Options:
    """What was said, or else its default."""

    tidemill: Path
    rows: int
    sensors: int
    threads: int
    repeats: int
    repeats_of: dict[str, int]
    timeout: float
    jobs: list[str]
    engines: list[str]
    data: Path
    discard: bool
    output: Path
    record: Path | None
    readme: str

    def fills_readme(self) -> bool:
        """Whether the README is to tell of this run."""
        return self.readme == "always" or (self.readme == "auto" and self.rows >= FULL_ROWS)


def parse(arguments: Sequence[str]) -> Options:
    """Reads the command line; ends the process with a message where it makes no sense."""
    parser = _parser()
    said = vars(parser.parse_args(arguments))
    said["repeats_of"] = dict(said["repeats_of"])
    options = Options(**said)
    if options.rows < options.sensors * 8:
        parser.error(
            "--rows must be 8 times --sensors at least, so that each sensor has a row in the wide file"
        )
    return options


def _parser() -> argparse.ArgumentParser:
    jobs, peers = [job.name for job in JOBS], [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(
        prog="cargo xtask peers",
        description="Runs the same jobs with tidemill and its peers, in turn, and notes what they took.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--tidemill", type=Path, required=True, help=argparse.SUPPRESS)
    add("--rows", type=_count, default=FULL_ROWS, help="readings in each input file")
    add("--sensors", type=_count, default=1000, help="sensors, interleaved")
    add("--threads", type=_count, default=len(os.sched_getaffinity(0)), help="threads of each engine")
    add("--repeats", type=_count, default=5, help="runs of each engine at each job")
    add(
        "--repeats-of",
        type=_repeats_of,
        action="append",
        default=[],
        metavar="ENGINE=N",
        help="other repeats for one engine",
    )
    add(
        "--timeout",
        type=float,
        default=300.0,
        metavar="S",
        help="seconds after which an engine is dropped from a job",
    )
    add("--jobs", type=_names(jobs), default=jobs, metavar="A,B", help=f"some of {', '.join(jobs)}")
    add("--engines", type=_names(peers), default=peers, metavar="A,B", help=f"some of {', '.join(peers)}")
    add("--data", type=Path, default=CACHE, help="folder of the input files, which are kept")
    add("--discard", action="store_true", help="delete each input file after the last job that reads it")
    add(
        "--output",
        type=Path,
        default=MEMORY if MEMORY.is_dir() else CACHE,
        help="folder of the outputs, which are not",
    )
    add(
        "--record",
        type=Path,
        default=None,
        help="folder of the figures; benches/record/DATE-MACHINE if not given",
    )
    add(
        "--readme",
        choices=("auto", "always", "never"),
        default="auto",
        help="whether to fill in the README: auto does at full size",
    )
    return parser


def _count(text: str) -> int:
    number = int(text.replace("_", ""))
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 at least")
    return number


def _repeats_of(text: str) -> tuple[str, int]:
    engine, _, number = text.partition("=")
    return engine, _count(number)


def _names(known: list[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        chosen = [name for name in text.split(",") if name]
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)} among {', '.join(known)}")
        return chosen

    return names
