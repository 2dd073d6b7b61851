"""`python -m live`: see `--help`."""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from live import crowd, fair, latency, memory, report, throughput
from live.run import Setting, load_averages
from peers import machine
from peers.data import Files
from peers.jobs import LONG
from peers.options import CACHE, MEMORY, ROOT
from peers.record import replace_section

PARTS = ("throughput", "latency", "memory", "crowd", "fair")
ROWS = 10_000_000
"""The size that the README speaks of."""


def main(arguments: Sequence[str]) -> int:
    """Measures the parts asked for, writes them beside those of earlier calls; gives the exit status."""
    options = _parser().parse_args(arguments)
    _raise_limit()
    here = machine.this()
    folder = options.record or ROOT / "benches" / "record" / f"{date.today().isoformat()}-{here.slug()}"
    record = _load(folder / "live.json", asdict(here))
    commit = machine.commit(ROOT)
    for part in options.parts:
        before = load_averages()
        found = _PARTS[part](options)
        loads = {"load_before": before, "load_after": load_averages()}
        record["parts"][part] = {"commit": commit, **loads, **found}
        _write(record, folder, report.section(record, here))
    answers = report.section(record, here)
    _write(record, folder, answers)
    if options.readme:
        readme = ROOT / "README.md"
        readme.write_text(replace_section(readme.read_text(), answers))
    print(answers)
    return 0


def _write(record: dict[str, Any], folder: Path, answers: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "live.json").write_text(json.dumps(record, indent=1) + "\n")
    (folder / "live.md").write_text(report.page(record, answers))


def say(line: str) -> None:
    """Progress messages."""
    print(line, file=sys.stderr, flush=True)


def _throughput(options: argparse.Namespace) -> dict[str, Any]:
    engines = throughput.engines(_setting(options), options.load)
    files = Files(options.data, options.tidemill, options.sensors)
    large, small = files.timed(LONG, options.rows), files.timed(LONG, options.rows // 5)
    versions = {"python": sys.version.split()[0], "bytewax": version("bytewax")}
    return {"threads": options.threads, "versions": versions} | throughput.measure(
        engines, large, small, options.repeats, say
    )


def _latency(options: argparse.Namespace) -> dict[str, Any]:
    return latency.measure(
        _setting(options),
        options.load,
        sorted({1, options.threads}),
        options.seconds,
        options.latency_repeats,
        say,
    )


def _memory(options: argparse.Namespace) -> dict[str, Any]:
    file = Files(options.data, options.tidemill, options.sensors).timed(LONG, options.rows // 10)
    setting, kept = _setting(options), _setting(options, state=True)
    return {
        "threads": options.threads,
        "runs": [
            memory.measure(setting, options.load, file, options.memory_seconds, options.stall, say),
            memory.measure(
                kept, options.load, file, max(1, options.memory_seconds // 10), options.stall, say
            ),
        ],
    }


def _crowd(options: argparse.Namespace) -> dict[str, Any]:
    return crowd.measure(_setting(options), options.load, options.seconds, say)


def _fair(options: argparse.Namespace) -> dict[str, Any]:
    return fair.measure(_setting(options), options.load, options.fair_seconds, say)


_PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "throughput": _throughput,
    "latency": _latency,
    "memory": _memory,
    "crowd": _crowd,
    "fair": _fair,
}


def _setting(options: argparse.Namespace, state: bool = False) -> Setting:
    return Setting(options.tidemill, options.threads, state)


def _load(path: Path, here: dict[str, Any]) -> dict[str, Any]:
    """What is known of this machine so far."""
    if path.exists():
        record: dict[str, Any] = json.loads(path.read_text())
        if record["machine"] == here:
            return record
    return {"machine": here, "parts": {}}


def _raise_limit() -> None:
    """Every connection takes a descriptor; what is started here inherits the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _parts(text: str) -> list[str]:
    chosen = [part for part in text.split(",") if part]
    if unknown := [part for part in chosen if part not in PARTS]:
        raise argparse.ArgumentTypeError(f"no {', '.join(unknown)} among {', '.join(PARTS)}")
    return chosen


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cargo xtask live",
        description="Puts live runs under load, and notes their throughput, latency and memory.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--tidemill", type=Path, required=True, help=argparse.SUPPRESS)
    add("--load", type=Path, required=True, help=argparse.SUPPRESS)
    add(
        "--parts",
        type=_parts,
        default=list(PARTS),
        metavar="A,B",
        help=f"some of {', '.join(PARTS)}; none: tell anew",
    )
    add("--rows", type=int, default=ROWS, help="records for tidemill; peers have a fifth")
    add("--sensors", type=int, default=1000, help="sensors, interleaved")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)), help="threads that work")
    add("--repeats", type=int, default=5, help="rounds of the throughput")
    add("--seconds", type=int, default=60, help="how long latencies are measured, behind 5 s of warm-up")
    add("--latency-repeats", type=int, default=3, help="runs with each number of threads")
    add(
        "--memory-seconds",
        type=int,
        default=600,
        help="how long full load lasts; a tenth of it with checkpoints",
    )
    add("--fair-seconds", type=int, default=30, help="how long everybody has more to give")
    add("--stall", type=int, default=60, help="seconds for which the sink blocks")
    add(
        "--data",
        type=Path,
        default=MEMORY if MEMORY.is_dir() else CACHE,
        help="folder of the input files, which are kept",
    )
    add(
        "--record",
        type=Path,
        default=None,
        help="folder of the figures; benches/record/DATE-MACHINE if not given",
    )
    add("--readme", action="store_true", help="fill in the README")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
