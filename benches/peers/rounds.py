"""All engines in turn, A B C A B C, so that a slow moment of the machine hits all of them alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from peers import agreement
from peers.data import warm
from peers.engines import Engine
from peers.figures import Run, Runs
from peers.jobs import Job, Output, Summary, Task
from peers.process import Usage, measure


@dataclass(frozen=True)
class Plan:
    """How often and under which conditions."""

    threads: int
    repeats: int
    repeats_of: Mapping[str, int]
    """Other numbers of repeats for some engines."""
    limit: float
    """Seconds after which a run is stopped, and its engine dropped from the job."""
    folder: Path
    """Where outputs are written; each is deleted after its run."""

    def repeats_for(self, engine: Engine) -> int:
        return self.repeats_of.get(engine.name, self.repeats)


def in_turn(
    job: Job, file: Path, engines: Sequence[Engine], plan: Plan, say: Callable[[str], None]
) -> list[Runs]:
    """The runs of every engine at `job` on `file`."""
    warm(file)
    results = {engine.name: Runs(engine.name, note=engine.refuses(job)) for engine in engines}
    totals: dict[str, Summary] = {}
    for turn in range(max(plan.repeats_for(engine) for engine in engines)):
        for engine in engines:
            runs = results[engine.name]
            if runs.note or turn >= plan.repeats_for(engine):
                continue
            usage, summary, size = once(
                engine, Task(job, file, _target(job, engine, plan), plan.threads), plan.limit
            )
            runs.note = usage.failure() or _dissent(engine, summary, totals)
            if runs.note is None:
                runs.runs.append(_run(usage, size))
            say(f"{job.name} {turn + 1}: {engine.name} {runs.note or f'{usage.seconds:.2f} s'}")
    return list(results.values())


def once(engine: Engine, task: Task, limit: float) -> tuple[Usage, Summary | None, int | None]:
    """One run of `engine`: what it took, what it said, the size of its output, which is gone then."""
    try:
        usage = measure(engine.command(task), limit)
        summary = None if usage.failure() else engine.summary(task, usage.stdout)
        size = task.output.stat().st_size if task.output and task.output.exists() else None
        return usage, summary, size
    finally:
        if task.output:
            task.output.unlink(missing_ok=True)


def outcome(engine: Engine, job: Job, file: Path, plan: Plan) -> agreement.Outcome:
    """The rows that `engine` makes of `file`; raises `RuntimeError` if it fails."""
    task = Task(job, file, _target(job, engine, plan), plan.threads)
    try:
        usage = measure(engine.command(task), plan.limit)
        if why := usage.failure():
            raise RuntimeError(f"{engine.name} at {job.name}: {why}")
        return agreement.read(task.target(), job)
    finally:
        task.target().unlink(missing_ok=True)


def _target(job: Job, engine: Engine, plan: Plan) -> Path | None:
    if job.output is Output.NONE:
        return None
    return plan.folder / f"peers-{engine.name}.{job.output.value}"


def _run(usage: Usage, size: int | None) -> Run:
    return Run(usage.seconds, usage.cpu_seconds, usage.peak_resident, usage.peak_anonymous, size)


def _dissent(engine: Engine, summary: Summary | None, totals: dict[str, Summary]) -> str | None:
    """Whom an engine contradicts, if anybody: those that came before it are remembered in `totals`."""
    if summary is None:
        return None
    for other, theirs in totals.items():
        if not agreement.same_totals(summary, theirs):
            return f"its totals are not those of {other}: {summary}, {theirs}"
    totals[engine.name] = summary
    return None
