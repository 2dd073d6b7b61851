"""What is run, and the questions that compare two runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

MIB = 1 << 20

STREAMED = "nothing: a few chunks a thread"


@dataclass(frozen=True)
class Case:
    """One pipeline on one file: drop, bring to scale, mean of a window, if it is no other job; nothing is written."""

    rows: int
    threads: int
    sensors: int = 1000
    window: int = 20
    shape: str = "plain"
    """`plain`, `quoted` (every field), `odd` (one row in a thousand is not as the others) or `magnitudes` (numbers of all of them)."""
    job: str = "smooth"
    """`smooth`, `quantiles` (one summary a sensor) or `sorted` (by time, within a bound)."""
    stateful: bool = False
    """Whether checkpoints are kept meanwhile, five a second."""
    resumed: bool = False
    """Whether it is the second run, which resumes where the first one was stopped."""


@dataclass(frozen=True)
class Ratio:
    """The time (a row, where asked so) of one case over that of another."""

    title: str
    of: Case
    to: Case
    most: float
    least: float = 0.0
    per_row: bool = False

    def answer(self, seconds: dict[Case, float]) -> float:
        """The ratio, of medians."""
        ratio = seconds[self.of] / seconds[self.to]
        return ratio * self.to.rows / self.of.rows if self.per_row else ratio

    def holds(self, answer: float) -> bool:
        """Whether the answer is within the limits."""
        return self.least <= answer <= self.most

    def limit(self) -> str:
        """The limits, for people."""
        if self.least and self.most < float("inf"):
            return f"{self.least:g} … {self.most:g}"
        return f"at least {self.least:g}" if self.least else f"at most {self.most:g}"


@dataclass(frozen=True)
class Memory:
    """The peak of anonymous memory of a case, in bytes."""

    title: str
    of: Case
    most: int
    ceiling: str
    """What is refused or rejected when it is reached."""


def questions(rows: int, threads: int) -> tuple[list[Ratio], list[Memory]]:
    """All questions, on files of up to `rows` rows: a tenth of them, but where it is about more."""
    base = Case(rows // 5, threads)
    few, many = replace(base, rows=rows // 50), replace(base, rows=rows)
    single = replace(base, threads=1)
    ratios = [
        Ratio("time a row, five times the rows", many, base, 1.1, 0.9, per_row=True),
        Ratio("time a row, a tenth of the rows", few, base, 1.1, 0.9, per_row=True),
        Ratio("one thread over all", single, base, float("inf"), 1.8),
        Ratio("10 times the sensors", replace(base, sensors=10_000), base, 1.5),
        Ratio("100 times the sensors", replace(base, sensors=100_000), base, 2.5),
        Ratio("window of 10,000 over 20", replace(many, window=10_000), many, 1.3),
        Ratio("every field quoted", replace(base, shape="quoted"), base, 2.5),
        Ratio("one odd row in a thousand", replace(base, shape="odd"), base, 1.2),
    ]
    million = Case(max(rows // 5, 5_000_000), threads, 1_000_000, 16)
    sensors = "`max_sensors` (1,000,000): the run ends"
    memory = [
        Memory("a tenth of the rows", replace(base, rows=rows // 10), 128 * MIB, STREAMED),
        Memory("all rows", many, 128 * MIB, STREAMED),
        Memory("a million sensors, window 16", million, 320 * MIB, sensors),
        Memory("the same, with --state", replace(million, stateful=True), 384 * MIB, sensors),
        Memory("the same, resumed", replace(million, stateful=True, resumed=True), 384 * MIB, sensors),
        Memory(
            "quantiles of 300 sensors over all magnitudes",
            replace(few, sensors=300, shape="magnitudes", job="quantiles"),
            160 * MIB,
            "nothing: so much a sensor at most",
        ),
        Memory(
            "sorted by time within a minute",
            replace(few, job="sorted"),
            128 * MIB,
            "nothing: what lies within `disorder` waits",
        ),
    ]
    return ratios, memory


def cases(ratios: Sequence[Ratio], memory: Sequence[Memory]) -> list[Case]:
    """Every case once, in order of appearance."""
    all_cases = [case for ratio in ratios for case in (ratio.to, ratio.of)] + [item.of for item in memory]
    return list(dict.fromkeys(all_cases))
