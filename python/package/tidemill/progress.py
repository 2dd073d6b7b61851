"""The progress of a run, on standard error or in a notebook."""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from ._display import is_notebook
from ._native import Running
from .errors import TidemillError

if TYPE_CHECKING:
    from .schemas import Report, Status

__all__ = ["watch"]

_WIDTH = 30
"""Of the bar, in characters."""
_PAUSE = 5.0
"""Seconds between two lines where there is no terminal and no known end."""


class _Display(Protocol):
    def show(self, share: float | None, text: str) -> None:
        """Shows how far it is: the share that is done, if the end is known."""

    def finish(self) -> None:
        """Takes it away."""


def watch(running: Running) -> Report:
    """Waits for the end of a run, shows its progress meanwhile, and gives its report."""
    display, begun, pause = _display(), time.monotonic(), 0.005
    try:
        while not (status := running.status())["is_over"]:
            share = _share(status)
            display.show(share, _text(status["records"] or 0, share, time.monotonic() - begun))
            time.sleep(pause)
            # A run of milliseconds is not waited for any longer.
            pause = min(2 * pause, 0.1)
    except BaseException:
        running.stop()
        with contextlib.suppress(TidemillError):
            running.join()
        raise
    finally:
        display.finish()
    return running.join()


def _display() -> _Display:
    if is_notebook():
        return _Notebook()
    return _Terminal() if sys.stderr is not None and sys.stderr.isatty() else _Lines()


def _share(status: Status) -> float | None:
    return min(1.0, (status["done"] or 0) / status["total"]) if status["total"] else None


def _text(records: int, share: float | None, seconds: float) -> str:
    """How far it is, in words.

    >>> _text(1_200_000, 0.25, 2.0)
    '25 %, 1,200,000 records, 600,000 /s, 6 s left'
    >>> _text(1_200_000, None, 2.0)
    '1,200,000 records, 600,000 /s'
    """
    rate = f"{records:,} records, {round(records / max(seconds, 1e-3)):,} /s"
    if share is None:
        return rate
    left = f", {seconds * (1 - share) / share:.0f} s left" if share > 0 else ""
    return f"{share:.0%}".replace("%", " %") + f", {rate}{left}"


class _Terminal:
    """One line, written over and over."""

    def show(self, share: float | None, text: str) -> None:
        bar = "" if share is None else f"[{'#' * round(share * _WIDTH):{_WIDTH}}] "
        print(f"\r\x1b[K{bar}{text}", end="", file=sys.stderr, flush=True)

    def finish(self) -> None:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


class _Lines:
    """A line for every tenth; every five seconds where the end is not known."""

    def __init__(self) -> None:
        self._tenth, self._spoke = 0, time.monotonic()

    def show(self, share: float | None, text: str) -> None:
        if share is None:
            is_due = time.monotonic() - self._spoke >= _PAUSE
        else:
            is_due = int(share * 10) > self._tenth
            self._tenth = int(share * 10)
        if is_due:
            self._spoke = time.monotonic()
            print(text, file=sys.stderr, flush=True)

    def finish(self) -> None:
        pass


class _Notebook:
    """A bar below the cell."""

    def __init__(self) -> None:
        self._shown: Any = importlib.import_module("IPython.display")
        self._handle = self._shown.display(self._shown.HTML(""), display_id=True)

    def show(self, share: float | None, text: str) -> None:
        value = "" if share is None else f" value='{share:.3f}'"
        self._handle.update(self._shown.HTML(f"<progress max='1'{value}></progress> {text}"))

    def finish(self) -> None:
        self._handle.update(self._shown.HTML(""))
