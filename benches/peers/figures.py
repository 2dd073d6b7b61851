"""From measured runs to what is reported: medians, ratios, peaks."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

OURS = "tidemill"


@dataclass(frozen=True)
class Run:
    """One run of one engine."""

    seconds: float
    cpu_seconds: float
    peak_resident: int
    peak_anonymous: int
    output_bytes: int | None


@dataclass
class Runs:
    """All runs of one engine at one job."""

    engine: str
    runs: list[Run] = field(default_factory=list)
    note: str | None = None
    """Why there are fewer than asked for."""

    def seconds(self) -> float | None:
        """The median wall time; `None` without a run."""
        return median(run.seconds for run in self.runs) if self.runs else None

    def peak_anonymous(self) -> int | None:
        """The greatest of all runs, in bytes."""
        return max((run.peak_anonymous for run in self.runs), default=None)

    def output_bytes(self) -> int | None:
        """The size of the file written; `None` where there is none."""
        return self.runs[0].output_bytes if self.runs else None


def fastest_peer(engines: list[Runs]) -> Runs | None:
    """The one with the least median, ours left out."""
    peers = [runs for runs in engines if runs.engine != OURS and runs.runs]
    return min(peers, key=lambda runs: runs.seconds() or 0.0, default=None)


def speed_up(runs: Runs, engines: list[Runs]) -> float | None:
    """How many times as fast as the fastest peer of the same rounds."""
    own, best = runs.seconds(), fastest_peer(engines)
    peer = best.seconds() if best else None
    return peer / own if own and peer else None
