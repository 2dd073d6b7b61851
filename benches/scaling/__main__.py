"""`python -m scaling`: see `--help`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

from peers import machine
from peers.data import warm
from peers.engines import Command
from peers.options import CACHE, FULL_ROWS, ROOT
from peers.process import Usage, measure
from peers.record import replace_section
from scaling.cases import Case, cases, questions
from scaling.inputs import file_of, pipeline
from scaling.report import section, table

LIMIT = 600.0
"""Seconds after which a run is given up."""


def main(arguments: Sequence[str]) -> int:
    """Measures and writes down; gives the exit status."""
    options = _parser().parse_args(arguments)
    ratios, memory = questions(options.rows, options.threads)
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
    answers = section(table(ratios, memory, seconds, peaks), ratios[0].to, options.repeats, here, state)
    folder = options.record or ROOT / "benches" / "record" / f"{date.today().isoformat()}-{here.slug()}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scaling.md").write_text(f"# How tidemill scales\n\n{answers}\n")
    (folder / "scaling.json").write_text(_record(runs, here, state))
    if options.rows >= FULL_ROWS:
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
    usage = measure(Command(tuple(arguments)), LIMIT)
    shutil.rmtree(state, ignore_errors=True)
    return usage


def _record(runs: dict[Case, list[Usage]], here: machine.Machine, commit: str) -> str:
    """Every run, as JSON."""
    kept = ("seconds", "cpu_seconds", "peak_resident", "peak_anonymous")
    of = [
        asdict(case) | {"runs": [{name: getattr(usage, name) for name in kept} for usage in usages]}
        for case, usages in runs.items()
    ]
    return json.dumps({"machine": asdict(here), "commit": commit, "cases": of}, indent=1) + "\n"


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
    add("--data", type=Path, default=CACHE, help="folder of the input files, which are kept")
    add("--record", type=Path, default=None, help="folder of the figures; benches/record/DATE-MACHINE if not given")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
