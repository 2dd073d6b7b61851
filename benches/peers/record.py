"""What was measured, as JSON to be kept, as tables to be read, and as a section of the README."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from peers.figures import OURS, Run, Runs, fastest_peer, speed_up
from peers.machine import Machine

BEGIN = "<!-- peers: written by `cargo xtask peers` -->"
END = "<!-- peers: end -->"
MIB = 1 << 20
AGREEMENT = (
    "Every value of every row of the output on a small file, judged by the first engine's: how far values are "
    "apart at most, relative to 1 or to their magnitude. The last line is no contest: on values that are none "
    "the engines differ by design. tidemill drops NaN and nulls there, as each comparison with them is false."
)


@dataclass(frozen=True)
class Setting:
    """What has to be the same for figures to stand in one table."""

    rows: int
    """Readings in each input file."""
    sensors: int
    threads: int
    versions: dict[str, str]
    """By engine."""
    titles: dict[str, str]
    """By engine, in the order of the columns."""


@dataclass(frozen=True)
class Measured:
    """One job."""

    title: str
    input_bytes: int
    commit: str
    engines: list[Runs]
    wanted: float | None = None
    """How many times as fast as the fastest peer tidemill must be."""
    wanted_rate: float | None = None
    """How many rows a second tidemill must process."""

    def of(self, engine: str) -> Runs | None:
        return next((runs for runs in self.engines if runs.engine == engine), None)


@dataclass
class Record:
    """All jobs measured on one machine in one setting."""

    machine: Machine
    setting: Setting
    jobs: dict[str, Measured] = field(default_factory=dict)
    agreement: dict[str, dict[str, str]] = field(default_factory=dict)
    """What the comparison of outputs said: by job, by engine."""

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self._with_figures(), indent=1) + "\n")

    def _with_figures(self) -> dict[str, Any]:
        """With derived figures, for readers of the file."""
        text: dict[str, Any] = asdict(self)
        for name, measured in self.jobs.items():
            for runs, written in zip(measured.engines, text["jobs"][name]["engines"], strict=True):
                written["median_seconds"] = runs.seconds()
                written["times_as_fast_as_fastest_peer"] = speed_up(runs, measured.engines)
        return text


def load(path: Path, machine: Machine, setting: Setting) -> Record:
    """The record at `path`, if it is of the same machine and setting; else a new one."""
    fresh = Record(machine, setting)
    if not path.exists():
        return fresh
    old = json.loads(path.read_text())
    if old["machine"] != asdict(machine) or old["setting"] != asdict(setting):
        return fresh
    jobs = {name: _measured(job) for name, job in old["jobs"].items()}
    return Record(machine, setting, jobs, old["agreement"])


def _measured(job: dict[str, Any]) -> Measured:
    engines = [
        Runs(runs["engine"], [Run(**run) for run in runs["runs"]], runs["note"]) for runs in job["engines"]
    ]
    wanted, rate = job.get("wanted"), job.get("wanted_rate")
    return Measured(job["title"], job["input_bytes"], job["commit"], engines, wanted, rate)


def report(record: Record, order: list[str]) -> str:
    """The whole record for people, in Markdown."""
    jobs = [record.jobs[name] for name in order if name in record.jobs]
    parts = [
        "# tidemill beside its peers",
        _conditions(record),
        f"Machine: {record.machine}. Versions: {_versions(record)}.",
        "## Wall time",
        _times(record, jobs),
        "## Peak of anonymous memory",
        _grid(record, jobs, lambda runs, _: _mebibytes(runs.peak_anonymous())),
        "The process's own memory (`RssAnon`, sampled 50 times a second), without pages of mapped files.",
    ]
    written = [job for job in jobs if any((runs.output_bytes() or 0) > MIB for runs in job.engines)]
    if written:
        parts += [
            "## Size of the output",
            _grid(record, written, lambda runs, _: _mebibytes(runs.output_bytes())),
        ]
    parts += ["## Agreement", AGREEMENT, _agreement(record)]
    if notes := _notes(record, jobs):
        parts += ["## Notes", "\n".join(notes)]
    return "\n\n".join(parts) + "\n"


def section(record: Record, order: list[str], folder: str) -> str:
    """The section of the README, between its markers; `folder` is where the record is, seen from there."""
    jobs = [record.jobs[name] for name in order if name in record.jobs]
    parts = [
        BEGIN,
        _conditions(record),
        _times(record, jobs),
        f"![Wall time of tidemill and its peers]({folder}/peers.svg)",
        f"Measured on: {record.machine}. [Memory, sizes, agreement, versions]({folder}/peers.md).",
        END,
    ]
    return "\n\n".join(parts)


def replace_section(text: str, section: str) -> str:
    """`text` with what stands between the section's first and last line replaced; raises `ValueError` if they are not there."""
    lines = section.splitlines()
    before, begin, rest = text.partition(lines[0])
    _, end, after = rest.partition(lines[-1])
    if not begin or not end:
        raise ValueError(f"no section between {lines[0]} and {lines[-1]}")
    return before + section + after


def _conditions(record: Record) -> str:
    repeats = max((len(runs.runs) for job in record.jobs.values() for runs in job.engines), default=0)
    fewer = {
        record.setting.titles[runs.engine]: len(runs.runs)
        for job in record.jobs.values()
        for runs in job.engines
        if 0 < len(runs.runs) < repeats
    }
    but = f" ({', '.join(f'{title}: {count}' for title, count in fewer.items())})" if fewer else ""
    size = max((job.input_bytes for job in record.jobs.values()), default=0)
    return (
        f"{record.setting.rows:,} readings of {record.setting.sensors:,} sensors ({size / 1e9:.2f} GB), "
        f"{record.setting.threads} threads, page cache warm: wall time of the process, median of {repeats} "
        f"runs in turn{but}. In brackets: how many times as fast as the fastest peer of the same rounds."
    )


def _times(record: Record, jobs: list[Measured]) -> str:
    def cell(runs: Runs, job: Measured) -> str:
        seconds = runs.seconds()
        if seconds is None:
            return "–"
        if runs.engine == OURS and (gain := _gain(record, runs, job)):
            return f"**{_seconds(seconds)}** ({gain})"
        return f"*{_seconds(seconds)}*" if runs is fastest_peer(job.engines) else _seconds(seconds)

    return _grid(record, jobs, cell, lambda job: _wanted(record, job))


def _gain(record: Record, ours: Runs, job: Measured) -> str | None:
    """What the time means: how many times as fast as the fastest peer, or, without a peer, rows a second."""
    seconds, ratio = ours.seconds(), speed_up(ours, job.engines)
    if ratio:
        return f"{ratio:.1f} ×"
    return f"{record.setting.rows / seconds / 1e6:.1f} M/s" if seconds and job.wanted_rate else None


def _wanted(record: Record, job: Measured) -> str:
    """What is wanted of tidemill, and whether it is missed."""
    ours = job.of(OURS)
    seconds = ours.seconds() if ours else None
    if job.wanted is not None:
        ratio = speed_up(ours, job.engines) if ours else None
        return f"{job.wanted:g} ×" + (" (missed)" if ratio and ratio < job.wanted else "")
    if job.wanted_rate is not None:
        rate = record.setting.rows / seconds if seconds else None
        return f"{job.wanted_rate / 1e6:g} M/s" + (" (missed)" if rate and rate < job.wanted_rate else "")
    return ""


Cell = Callable[[Runs, Measured], str]


def _grid(
    record: Record, jobs: list[Measured], cell: Cell, wanted: Callable[[Measured], str] | None = None
) -> str:
    """A line a job, a column an engine, and perhaps one with what is `wanted`."""
    head, ruler = _head(record).splitlines()
    lines = [head + " wanted |", ruler + "---:|"] if wanted else [head, ruler]
    for job in jobs:
        found = [job.of(engine) for engine in record.setting.titles]
        cells = [cell(runs, job) if runs else "–" for runs in found]
        cells += [wanted(job)] if wanted else []
        lines.append(f"| {job.title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _agreement(record: Record) -> str:
    lines = [_head(record)]
    for job, said in record.agreement.items():
        lines.append(f"| {job} | {' | '.join(said.get(engine, '–') for engine in record.setting.titles)} |")
    return "\n".join(lines)


def _head(record: Record) -> str:
    titles = record.setting.titles.values()
    return f"| | {' | '.join(titles)} |\n|---|{'---:|' * len(titles)}"


def _notes(record: Record, jobs: list[Measured]) -> list[str]:
    """Why figures are missing: a line for all engines of a job with the same reason."""
    notes = []
    for job in jobs:
        titles: dict[str, list[str]] = {}
        for runs in job.engines:
            if runs.note:
                titles.setdefault(runs.note, []).append(record.setting.titles[runs.engine])
        notes += [f"- {job.title}, {', '.join(of)}: {note}" for note, of in titles.items()]
    return notes


def _versions(record: Record) -> str:
    titles = record.setting.titles
    return ", ".join(f"{titles[engine]} {version}" for engine, version in record.setting.versions.items())


def _seconds(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"


def _mebibytes(size: int | None) -> str:
    return "–" if size is None else f"{size / MIB:,.0f} MiB"
