"""Answers as a table, and into the README."""

from __future__ import annotations

from collections.abc import Sequence

from peers.machine import Machine
from scaling.cases import MIB, Case, Memory, Ratio

BEGIN = "<!-- scaling: written by `cargo xtask scaling` -->"
END = "<!-- scaling: end -->"


def table(
    ratios: Sequence[Ratio], memory: Sequence[Memory], seconds: dict[Case, float], peaks: dict[Case, int]
) -> str:
    """All answers, beside what they have to be; what is missed is marked."""
    lines = ["| | answer | wanted | seconds |", "|---|---:|---:|---:|"]
    for ratio in ratios:
        answer = ratio.answer(seconds)
        mark = "" if ratio.holds(answer) else " (missed)"
        times = f"{seconds[ratio.of]:.2f} / {seconds[ratio.to]:.2f}"
        lines.append(f"| {ratio.title} | {answer:.2f} ×{mark} | {ratio.limit()} | {times} |")
    for item in memory:
        mark = "" if peaks[item.of] <= item.most else " (missed)"
        peak = f"{peaks[item.of] / MIB:.0f} MiB{mark}"
        lines.append(
            f"| memory, {item.title} | {peak} | at most {item.most // MIB} MiB | {seconds[item.of]:.2f} |"
        )
    return "\n".join(lines) + "\n"


def section(answers: str, base: Case, repeats: int, machine: Machine, commit: str) -> str:
    """What stands in the README, between its markers."""
    return (
        f"{BEGIN}\n\nThreshold, normalize and a moving mean, nothing written: {base.rows:,} readings of {base.sensors:,} "
        f"sensors on {base.threads} threads, where nothing else is said; page cache warm, medians of {repeats} runs of the whole "
        f"process in turn. Memory is `RssAnon` at its peak.\n\n{answers}\n"
        f"Measured on: {machine}; commit {commit}.\n\n{END}"
    )
