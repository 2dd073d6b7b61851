"""`python -m peers`: see `--help`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from peers import agreement, machine
from peers.data import Files
from peers.engines import Engine
from peers.engines.tidemill import Tidemill
from peers.jobs import JOBS, ODD, Input, Job, Output
from peers.options import ROOT, Options, parse
from peers.peer import PEERS
from peers.publish import into_readme, write
from peers.record import Measured, Record, Setting, load
from peers.rounds import Plan, in_turn, outcome


def main(arguments: Sequence[str]) -> int:
    """Compares, measures, writes down; gives the exit status."""
    options = parse(arguments)
    engines: list[Engine] = [
        Tidemill(options.tidemill, options.data / "pipelines"),
        *(peer for peer in PEERS if peer.name in options.engines),
    ]
    jobs = [job for job in JOBS if job.name in options.jobs]
    files = Files(options.data, options.tidemill, options.sensors)
    plan = Plan(options.threads, options.repeats, options.repeats_of, options.timeout, options.output)
    record, folder = _record(options, engines)
    disputes = _compare(record, jobs, engines, files, plan)
    if disputes:
        say("the engines do not agree, so nothing was measured:", *disputes)
        return 1
    for at, job in enumerate(jobs):
        file = files.timed(job.table, options.rows, job.input)
        runs = in_turn(job, file, engines, plan, say)
        record.jobs[job.name] = Measured(
            job.title, file.stat().st_size, machine.commit(ROOT), runs, job.wanted, job.wanted_rate
        )
        write(record, folder)
        if options.discard and not any(_read_the_same(job, later) for later in jobs[at + 1 :]):
            file.unlink()
    if options.fills_readme():
        into_readme(record, folder)
    say(f"written to {folder}")
    return 0


def say(*lines: str) -> None:
    """Progress messages."""
    print(*lines, sep="\n", file=sys.stderr, flush=True)


def _read_the_same(one: Job, other: Job) -> bool:
    """Whether two jobs have the same input file."""
    return (one.table, one.input) == (other.table, other.input)


def _record(options: Options, engines: Sequence[Engine]) -> tuple[Record, Path]:
    """What is known so far in this setting, and where it is kept."""
    here = machine.this()
    setting = Setting(
        options.rows,
        options.sensors,
        options.threads,
        {engine.name: engine.version() for engine in engines},
        {engine.name: engine.title for engine in engines},
    )
    folder = options.record or ROOT / "benches" / "record" / f"{date.today().isoformat()}-{here.slug()}"
    return load(folder / "peers.json", here, setting), folder


def _compare(
    record: Record, jobs: Sequence[Job], engines: Sequence[Engine], files: Files, plan: Plan
) -> list[str]:
    """Compares all outputs on small files and writes down what comes out; gives what must not be."""
    disputes = []
    for job in (*jobs, ODD):
        said = _verdicts(job.writing(Output.CSV) if job.output is Output.NONE else job, files, engines, plan)
        record.agreement[job.title] = {engine: str(verdict) for engine, verdict in said.items()}
        if job is not ODD:
            wrong = {engine: verdict for engine, verdict in said.items() if not verdict.agrees()}
            disputes += [f"{job.name}: {engine}: {verdict}" for engine, verdict in wrong.items()]
        say(f"{job.name}: compared {', '.join(said) or 'nothing'}")
    return disputes


def _verdicts(
    job: Job, files: Files, engines: Sequence[Engine], plan: Plan
) -> dict[str, agreement.Comparison]:
    """Every engine judged by the first that can do the job; if no other can, that one by what it makes of CSV."""

    def of(engine: Engine, job: Job) -> agreement.Outcome:
        file = files.odd() if job.name == ODD.name else files.checked(job.table, job.input)
        return outcome(engine, job, file, plan)

    first, *others = [engine for engine in engines if engine.refuses(job) is None]
    if others or job.input is Input.CSV:
        reference = of(first, job)
        return {other.name: agreement.compare(reference, of(other, job)) for other in others}
    return {first.name: agreement.compare(of(first, job.reading(Input.CSV)), of(first, job))}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
