"""Answers as a table, and into the README."""

from __future__ import annotations

from collections.abc import Sequence

from peers.machine import Machine
from scaling.cases import MIB, Case, Memory, Ratio
from scaling.feeds import Fed, Feed

BEGIN = "<!-- scaling: written by `cargo xtask scaling` -->"
END = "<!-- scaling: end -->"


def table(ratios: Sequence[Ratio], seconds: dict[Case, float]) -> str:
    """All ratios, beside what they have to be; what is missed is marked."""
    lines = ["| | answer | wanted | seconds |", "|---|---:|---:|---:|"]
    for ratio in ratios:
        answer = ratio.answer(seconds)
        mark = "" if ratio.holds(answer) else " (missed)"
        times = f"{seconds[ratio.of]:.2f} / {seconds[ratio.to]:.2f}"
        lines.append(f"| {ratio.title} | {answer:.2f} ×{mark} | {ratio.limit()} | {times} |")
    return "\n".join(lines) + "\n"


def memory_table(
    memory: Sequence[Memory],
    seconds: dict[Case, float],
    peaks: dict[Case, int],
    fed: Sequence[tuple[Feed, Fed]] = (),
) -> str:
    """All peaks with their limits, and what happens at the limit; misses are marked."""
    lines = ["| memory | peak | at most | at the limit | rejected | seconds |", "|---|---:|---:|---|---:|---:|"]
    rows = [(item, peaks[item.of], "", seconds[item.of]) for item in memory]
    rows += [(feed, found.peak, f"{found.rejected:,} of {found.records:,}", found.seconds) for feed, found in fed]
    for item, peak, aside, took in rows:
        mark = "" if peak <= item.most else " (missed)"
        lines.append(
            f"| {item.title} | {peak / MIB:.0f} MiB{mark} | {item.most // MIB} MiB | {item.ceiling} | {aside} | {took:.2f} |"
        )
    return "\n".join(lines) + "\n"


def section(answers: str, base: Case, repeats: int, machine: Machine, commit: str) -> str:
    """The section of the README between its markers."""
    return (
        f"{BEGIN}\n\nThreshold, normalize and a moving mean, nothing written: {base.rows:,} readings of {base.sensors:,} "
        f"sensors on {base.threads} threads, unless stated otherwise; page cache warm, medians of {repeats} runs of the whole "
        f"process in turn. Memory is `RssAnon` at its peak.\n\n{answers}\n"
        f"Measured on: {machine}; commit {commit}.\n\n{END}"
    )
