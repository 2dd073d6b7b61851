"""Where it was measured."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from peers.process import KIB


@dataclass(frozen=True)
class Machine:
    """What figures depend on."""

    cpu: str
    cores: int
    memory_bytes: int
    system: str
    kernel: str

    def slug(self) -> str:
        """A name for a folder."""
        return f"{re.sub('[^a-z0-9]+', '-', self.cpu.lower()).strip('-')}-{self.cores}-cores"

    def __str__(self) -> str:
        memory = round(self.memory_bytes / (1 << 30))
        return f"{self.cpu}, {self.cores} cores, {memory} GiB, {self.system}, Linux {self.kernel}"


def this() -> Machine:
    """The machine that this runs on."""
    return Machine(
        cpu=_field("/proc/cpuinfo", "model name") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=int((_field("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) * KIB,
        system=platform.freedesktop_os_release().get("PRETTY_NAME", platform.system()),
        kernel=platform.release(),
    )


def commit(folder: Path) -> str:
    """The state of the checkout, with `-dirty` where files were changed; empty outside of one."""
    git = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        return subprocess.run(git, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _field(path: str, name: str) -> str | None:
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None
