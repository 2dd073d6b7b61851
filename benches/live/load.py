"""`benches/load`, which sends and reads."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import IO, Any

from live.run import Live


def flood(load: Path, address: str, file: Path, turns: int) -> subprocess.Popen[bytes]:
    """Sends `file` so many times, as fast as it is taken; with 0, until its standard input is closed."""
    arguments: list[str | Path] = [load, "flood", address, file, f"turns={turns}"]
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def paced(load: Path, address: str, live: Live, limit: float, **options: int) -> dict[str, Any]:
    """Sends on a schedule and reads what `live` makes of it; raises `RuntimeError` where records differ."""
    words = [f"{name}={value}" for name, value in options.items()]
    process = subprocess.Popen(
        [load, "paced", address, *words], stdin=live.process.stdout, stdout=subprocess.PIPE
    )
    found = said(process, limit)
    if found["read"] != found["sent"] or found["unlike"]:
        raise RuntimeError(f"not what was sent came out: {found}")
    return found


def said(process: subprocess.Popen[bytes], limit: float) -> dict[str, Any]:
    """Waits for the end of the process; gives what it found."""
    try:
        stdout, _ = process.communicate(timeout=limit)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"tidemill-load failed with status {process.returncode}")
    found: dict[str, Any] = json.loads(stdout)
    return found


def discard() -> IO[bytes]:
    """Where outputs go that nobody reads."""
    return Path("/dev/null").open("wb")
