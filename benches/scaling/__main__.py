"""`python -m scaling`: see `--help`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

from live.run import Setting
from peers import machine
from peers.data import warm
from peers.engines import Command
from peers.options import CACHE, FULL_ROWS, ROOT
from peers.process import Usage, measure
from peers.record import replace_section
from scaling.cases import Case, cases, questions
from scaling.feeds import Fed, Feed, feeds
from scaling.inputs import file_of, pipeline
from scaling.report import memory_table, section, table

LIMIT = 600.0
"""Seconds after which a run is given up."""

STOPPED = 130
"""The status of a run that was asked to stop before the end of its input."""


def main(arguments: Sequence[str]) -> int:
    """Measures and writes down; gives the exit status."""
    options = _parser().parse_args(arguments)
    ratios, memory = questions(options.rows, options.threads)
    if options.memory_only:
        ratios = []
    runs: dict[Case, list[Usage]] = {case: [] for case in cases(ratios, memory)}
    files = {case: file_of(case, options.data, options.tidemill) for case in runs}
    for turn in range(options.repeats):
        for case in runs:
            usage = _once(case, files[case], options)
            if failure := usage.failure():
                print(f"{case}: {failure}", file=sys.stderr)
                return 1
            runs[case].append(usage)
            print(f"{turn + 1}: {usage.seconds:.2f} s, {case}", file=sys.stderr, flush=True)
    seconds = {case: statistics.median(usage.seconds for usage in of) for case, of in runs.items()}
    peaks = {case: max(usage.peak_anonymous for usage in of) for case, of in runs.items()}
    here, state = machine.this(), machine.commit(ROOT)
    fed = [(feed, _feed(feed, options)) for feed in feeds()]
    answers = table(ratios, seconds) + "\n" if ratios else ""
    answers += memory_table(memory, seconds, peaks, fed)
    answers = section(answers, memory[1].of, options.repeats, here, state)
    folder = options.record or ROOT / "benches" / "record" / f"{date.today().isoformat()}-{here.slug()}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scaling.md").write_text(f"# How tidemill scales\n\n{answers}\n")
    (folder / "scaling.json").write_text(_record(runs, fed, here, state))
    if options.rows >= FULL_ROWS and ratios:
        readme = ROOT / "README.md"
        readme.write_text(replace_section(readme.read_text(), answers))
    print(answers)
    return 0


def _once(case: Case, file: Path, options: argparse.Namespace) -> Usage:
    spec = options.data / "pipelines" / "scaling.toml"
    spec.parent.mkdir(parents=True, exist_ok=True)
    spec.write_text(pipeline(case, file))
    warm(file)
    arguments = [options.tidemill, "run", spec, "--quiet", "--threads", str(case.threads)]
    state = options.data / "scaling-state"
    shutil.rmtree(state, ignore_errors=True)
    if case.stateful:
        arguments += ["--state", state, "--checkpoint-every", "200ms"]
    if case.resumed:
        _begin(arguments, state)
    usage = measure(Command(tuple(arguments)), LIMIT)
    shutil.rmtree(state, ignore_errors=True)
    return usage


def _begin(arguments: Sequence[str | Path], state: Path) -> None:
    """Stops a run when it has kept some checkpoints."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + LIMIT
    while not (state / "checkpoint-0000000004").exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    process.terminate()
    if process.wait() != STOPPED:
        raise RuntimeError(f"a run was to be stopped, and has ended with status {process.returncode}")


def _feed(feed: Feed, options: argparse.Namespace) -> Fed:
    found = feed.run(Setting(options.tidemill, options.threads, feed.stateful))
    print(f"{found.seconds:.2f} s, {feed.title}", file=sys.stderr, flush=True)
    return found


def _record(
    runs: dict[Case, list[Usage]], fed: Sequence[tuple[Feed, Fed]], here: machine.Machine, commit: str
) -> str:
    """Every run, as JSON."""
    kept = ("seconds", "cpu_seconds", "peak_resident", "peak_anonymous")
    of = [
        asdict(case) | {"runs": [{name: getattr(usage, name) for name in kept} for usage in usages]}
        for case, usages in runs.items()
    ]
    feeds_of = [{"title": feed.title, "stateful": feed.stateful} | asdict(found) for feed, found in fed]
    record = {"machine": asdict(here), "commit": commit, "cases": of, "feeds": feeds_of}
    return json.dumps(record, indent=1) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cargo xtask scaling",
        description="Runs one pipeline on files of several sizes and kinds, in turn, and notes how the time changes.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--tidemill", type=Path, required=True, help=argparse.SUPPRESS)
    add("--rows", type=int, default=FULL_ROWS, help="readings in the largest file")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads, where it is not about one")
    add("--repeats", type=int, default=5, help="runs of each case")
    add("--memory-only", action="store_true", help="only what memory is taken, no times")
    add("--data", type=Path, default=CACHE, help="folder of the input files, which are kept")
    add("--record", type=Path, default=None, help="folder of the figures; benches/record/DATE-MACHINE if not given")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
