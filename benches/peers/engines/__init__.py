"""Who does the jobs, one file an engine.

A peer's module has one public function, `run(task)`, and is listed in `peers.peer`. Each job is written as
that engine's own manual would have it, in the fastest of the forms that were tried; where two forms are
equally fast, in the shorter one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from peers.jobs import Job, Summary, Task


@dataclass(frozen=True)
class Command:
    """A process to start."""

    arguments: Sequence[str | Path]
    environment: Mapping[str, str] = field(default_factory=dict)
    """What is laid over the environment."""


class Engine(Protocol):
    """An engine that runs a job in its own process."""

    @property
    def name(self) -> str:
        """The name on the command line."""

    @property
    def title(self) -> str:
        """The name for people."""

    def version(self) -> str:
        """The version installed."""

    def refuses(self, job: Job) -> str | None:
        """Why it cannot do `job`; `None` if it can."""

    def command(self, task: Task) -> Command:
        """The process that does `task`."""

    def summary(self, task: Task, stdout: str) -> Summary | None:
        """What the process said about its rows."""
