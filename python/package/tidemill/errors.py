"""Exceptions. What a component written in Python raises is raised as it is, with a note that names the component."""

from __future__ import annotations

import os
import sys
import warnings

__all__ = [
    "DataError",
    "InternalError",
    "RejectedWarning",
    "RemarkWarning",
    "SpecError",
    "StoppedError",
    "TidemillError",
    "TransferError",
    "UnavailableError",
]


class TidemillError(Exception):
    """Why a pipeline could not be made, or its run failed. The message says what happened, where, and what to do next.

    Attributes:
        help: What to do next, if that is known.
        position: File, line (from 1) and byte (from 0) of the input where it happened, if that is known.
    """

    help: str | None
    position: tuple[str, int, int] | None

    def __init__(
        self,
        message: str,
        *,
        help: str | None = None,
        position: tuple[str, int, int] | None = None,
    ) -> None:
        super().__init__(message)
        self.help = help
        self.position = position


class SpecError(TidemillError, ValueError):
    """The pipeline is wrong: an unknown option, a missing column, a stage that cannot run here. Names all mistakes."""


class DataError(TidemillError, ValueError):
    """The input does not have the form that the pipeline declares."""


class UnavailableError(TidemillError):
    """A file or command does not exist."""


class TransferError(TidemillError):
    """Reading or writing failed."""


class StoppedError(TidemillError):
    """The run was stopped before its end."""


class InternalError(TidemillError):
    """A component broke its protocol: a bug, please report it."""


class RejectedWarning(UserWarning):
    """Records were rejected: the result does not have them. `Pipeline.run` gives them in its report instead, and a `dead_letter` sink keeps them."""


class RemarkWarning(UserWarning):
    """What a run remarks on, such as a column that was left out. `Pipeline.run` gives all remarks in its report instead."""


def warn_of(rejected: str | None, remarks: list[str]) -> None:
    """Warns at the line that called the package."""
    if rejected is not None:
        _warn(rejected, RejectedWarning)
    for remark in remarks:
        _warn(remark, RemarkWarning)


def _warn(message: str, kind: type[Warning]) -> None:
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and os.path.dirname(frame.f_code.co_filename) == os.path.dirname(__file__):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, kind, stacklevel=level)
