"""The figures as a picture: a panel a job, a bar an engine, each panel with its own scale."""

from __future__ import annotations

from peers.figures import OURS, Runs, speed_up
from peers.record import Measured, Record
from peers.svg import Canvas

COLUMNS = 2
PANEL = 430
"""Width of a panel."""
LABEL = 136
"""Room for the engines' names."""
VALUE = 62
"""Room for the seconds behind the longest bar."""
ROW = 20
HEAD = 44
GAP = 24
MARGIN = 8


def draw(record: Record, order: list[str]) -> str:
    """The picture of all jobs of `record`."""
    jobs = [record.jobs[name] for name in order if name in record.jobs]
    titles = record.setting.titles
    height_of_panel = HEAD + ROW * len(titles)
    lines = -(-len(jobs) // COLUMNS)
    canvas = Canvas(
        COLUMNS * (PANEL + GAP) - GAP + 2 * MARGIN,
        lines * (height_of_panel + GAP) - GAP + 2 * MARGIN,
        f"Wall time of {', '.join(titles.values())} at {len(jobs)} jobs; shorter is better",
    )
    for at, job in enumerate(jobs):
        x, y = at % COLUMNS * (PANEL + GAP), at // COLUMNS * (height_of_panel + GAP)
        _panel(canvas, MARGIN + x, MARGIN + y, job, titles)
    return canvas.document()


def _panel(canvas: Canvas, x: float, y: float, job: Measured, titles: dict[str, str]) -> None:
    canvas.text(x, y + 16, job.title, "head")
    ours = job.of(OURS)
    ratio = speed_up(ours, job.engines) if ours else None
    if ratio:
        canvas.text(x, y + 34, f"{ratio:.1f} × the fastest peer's speed", "quiet")
    longest = max((runs.seconds() or 0.0 for runs in job.engines), default=0.0)
    for at, (engine, title) in enumerate(titles.items()):
        top = y + HEAD + at * ROW
        kind = "ours" if engine == OURS else "peer"
        canvas.text(x + LABEL - 8, top + 13, title, "end head" if engine == OURS else "end")
        _bar(canvas, x + LABEL, top, job.of(engine), longest, kind)


def _bar(canvas: Canvas, x: float, top: float, runs: Runs | None, longest: float, kind: str) -> None:
    seconds = runs.seconds() if runs else None
    if seconds is None:
        canvas.text(
            x, top + 13, "not measured" if runs is None or not runs.note else _short(runs.note), "quiet"
        )
        return
    width = (PANEL - LABEL - VALUE) * seconds / longest
    canvas.bar(x, top + 2, width, ROW - 5, kind)
    canvas.text(x + width + 6, top + 13, f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s", "quiet")


def _short(note: str) -> str:
    return note if len(note) <= 40 else note[:39] + "…"
