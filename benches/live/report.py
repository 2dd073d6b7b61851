"""What came out as tables, and into the README."""

from __future__ import annotations

from typing import Any

from live import crowd, fair, latency, memory
from peers.machine import Machine

BEGIN = "<!-- live: written by `cargo xtask live` -->"
END = "<!-- live: end -->"

MIB = 1 << 20

WANTED = {"pipe": 2.5e6, "tcp": 1.5e6}
"""Records a second, at least."""


def section(record: dict[str, Any], machine: Machine) -> str:
    """The section of the README between its markers."""
    parts = record["parts"]
    texts = [_TEXTS[name](parts[name]) for name in _TEXTS if name in parts]
    commits = ", ".join(sorted({part["commit"] for part in parts.values()}))
    return "\n\n".join([BEGIN, *texts, f"Measured on: {machine}; commit {commits}.", END])


def page(record: dict[str, Any], answers: str) -> str:
    """The page beside the data: the section, and what belongs to it."""
    parts = record["parts"]
    lines = [f"- {name}: load average {_loads(part)}" for name, part in parts.items()]
    if "latency" in parts:
        lines += _every_run(parts["latency"])
    return "\n".join(["# Live runs", "", answers, "", "## Conditions", "", *lines, ""])


def _throughput(part: dict[str, Any]) -> str:
    lines = ["| | records/s | wanted | records |", "|---|---:|---:|---:|"]
    for name, engine in part["engines"].items():
        rate, wanted = engine["records_per_s"], WANTED.get(name)
        mark = "" if wanted is None or rate >= wanted else " (missed)"
        least = f"at least {wanted / 1e6:g} million" if wanted else ""
        lines.append(
            f"| {engine['title']} | {rate / 1e6:.2f} million{mark} | {least} | {engine['records']:,} |"
        )
    versions, repeats = part["versions"], len(part["engines"]["pipe"]["seconds"])
    agreement = "; ".join(
        f"{part['engines'][name]['title']}: {said}" for name, said in part["agreement"].items()
    )
    return (
        f"CSV in, threshold, normalize, mean of 20, CSV out and thrown away: {part['threads']} threads, "
        f"whole processes, medians of {repeats} rounds in turn. Bytewax {versions['bytewax']} and Python "
        f"{versions['python']} use one core and have fewer records. Values compared with those through the "
        f"pipe: {agreement}.\n\n" + "\n".join(lines)
    )


def _latency(part: dict[str, Any]) -> str:
    names = latency.QUANTILES
    lines = [f"| | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}"]
    repeats = 0
    for threads, runs in part["threads"].items():
        repeats = len(runs)
        cells = " | ".join(
            _limited(value, latency.LIMITS_MS[name]) for name, value in latency.medians(runs).items()
        )
        lines.append(f"| {threads} {'thread' if threads == '1' else 'threads'} | {cells} |")
    wanted = " | ".join(f"at most {limit:g} ms" for limit in latency.LIMITS_MS.values())
    return (
        f"{part['rate']:,} records/s of {part['sensors']:,} sensors over TCP in an open loop: from the "
        f"moment at which a record was meant to be sent until its line was read behind a pipe; "
        f"{part['seconds']} s each, medians of {repeats} runs in turn.\n\n"
        + "\n".join([*lines, f"| wanted | {wanted} |"])
    )


def _memory(part: dict[str, Any]) -> str:
    lines = [
        "| | peak | first tenth | last tenth | sink blocked | resumed in | lost |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for run in part["runs"]:
        found = memory.summary(run)
        title = f"{run['seconds']} s, {run['records_per_s'] / 1e6:.1f} million records/s"
        title += ", with checkpoints" if run["state"] else ""
        peak = _mebibytes(found["peak"], 32)
        more = f"+{_mebibytes(found['more'], 16)}"
        lines.append(
            f"| {title} | {peak} | {_mebibytes(found['first'])} | {_mebibytes(found['last'])} | {more} | "
            f"{run['went_on_s']:.2f} s | {found['lost']:,} of {run['sent']:,} |"
        )
    return (
        f"`RssAnon` at full load over TCP, {part['threads']} threads; then the sink blocks for "
        f"{part['runs'][0]['stall_seconds']} s. Wanted: at most 32 MiB and flat, at most 16 MiB more, "
        "resumed within 2 s, nothing lost.\n\n" + "\n".join(lines)
    )


def _crowd(part: dict[str, Any]) -> str:
    lines = ["| | p50 | p99 | p99.9 | `RssAnon`, peak |", "|---|---:|---:|---:|---:|"]
    for title, run in (
        (
            f"{crowd.SILENT:,} silent connections beside the one that sends {latency.RATE:,} records/s",
            part["silent"],
        ),
        (f"{crowd.NEW:,} new sensors in a minute", part["new_sensors"]),
    ):
        cells = " | ".join(f"{run['latency_ms'][name]:.2f} ms" for name in latency.QUANTILES)
        lines.append(f"| {title} | {cells} | {_mebibytes(run['rss_anon_peak'], crowd.LIMIT / MIB)} |")
    return (
        f"Crowds, {part['threads']} threads; wanted of a million sensors with a window of "
        f"{crowd.NEW_WINDOW}: at most {crowd.LIMIT // MIB} MiB.\n\n" + "\n".join(lines)
    )


def _fair(part: dict[str, Any]) -> str:
    lines = ["| | records/s | the least served, of the mean | the most |", "|---|---:|---:|---:|"]
    for title, name in (("connections", "connections"), ("growing files", "files")):
        served = part[name]
        least, most = fair.least(served), max(served) * len(served) / sum(served)
        mark = "" if least >= fair.SHARE else " (missed)"
        rate = sum(served) / part["seconds"] / 1e6
        lines.append(f"| {len(served)} {title} | {rate:.2f} million | {least:.2f}{mark} | {most:.2f} |")
    return (
        f"All senders always have data, for {part['seconds']} s; {part['threads']} threads. Target: the sender that is served "
        f"least gets at least {fair.SHARE:g} of the mean.\n\n" + "\n".join(lines)
    )


_TEXTS = {
    "throughput": _throughput,
    "latency": _latency,
    "memory": _memory,
    "crowd": _crowd,
    "fair": _fair,
}


_SLIPS = ("p99", "p99.9", "max")


def _every_run(part: dict[str, Any]) -> list[str]:
    """The latency run by run, with how late the generator itself was."""
    heads = ["threads", "p50", "p90", "p99", "p99.9", "p99.99", "max", "p99.9 inside"]
    heads += [f"generator late, {name}" for name in _SLIPS]
    lines = ["", "## Latency, run by run (ms)", ""]
    lines += [f"| {' | '.join(heads)} |", f"|---|{'---:|' * (len(heads) - 1)}"]
    for threads, runs in part["threads"].items():
        for run in runs:
            outside = " | ".join(f"{value:.2f}" for value in run["latency_ms"].values())
            slips = " | ".join(f"{run['slip_ms'][name]:.2f}" for name in _SLIPS)
            lines.append(f"| {threads} | {outside} | {_inside(run)} | {slips} |")
    return lines


def _inside(run: dict[str, Any]) -> str:
    """What tidemill says itself, from arrival to the sink."""
    sinks = [entry["p999_seconds"] for entry in run["inside"] if entry["part"].startswith("sink")]
    return " / ".join(f"{seconds * 1e3:.2f}" for seconds in sinks)


def _limited(value: float, limit: float) -> str:
    return f"{value:.2f} ms" + ("" if value <= limit else " (missed)")


def _mebibytes(size: float, most: float | None = None) -> str:
    missed = most is not None and size > most * MIB
    return f"{size / MIB:.1f} MiB" + (" (missed)" if missed else "")


def _loads(part: dict[str, Any]) -> str:
    both = (" / ".join(f"{load:.2f}" for load in part[name]) for name in ("load_before", "load_after"))
    return " before, ".join(both) + " after (1 / 5 / 15 minutes, the measured processes included)"
