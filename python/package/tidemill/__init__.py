"""One pipeline for sensor data, at rest and in motion: threshold, normalise, average, alert, write.

| you want to | see |
|---|---|
| run a pipeline | `Pipeline` |
| choose its parts | `sources`, stages such as `Threshold` (all in `stages`), `sinks` |
| write a part | `Pipeline`: any object with `stream()`, `process(stream)` or `consume(stream)` |
| push record batches through stages yourself | `Chain` |
| know what went wrong | `errors` |
"""

import atexit

from . import _native, errors, sinks, sources, stages
from ._native import Batch, Record, Running, Stream, Table
from .chain import Chain, Fit
from .component import Component
from .errors import (
    DataError,
    InternalError,
    SpecError,
    StoppedError,
    TidemillError,
    TransferError,
    UnavailableError,
)
from .pipeline import Pipeline
from .records import Reading
from .stages import *  # noqa: F403

# No thread of a run may use the interpreter once it has ended.
atexit.register(_native.shut_down)

__all__ = [
    "Batch",
    "Chain",
    "Component",
    "DataError",
    "Fit",
    "InternalError",
    "Pipeline",
    "Reading",
    "Record",
    "Running",
    "SpecError",
    "StoppedError",
    "Stream",
    "Table",
    "TidemillError",
    "TransferError",
    "UnavailableError",
    "errors",
    "sinks",
    "sources",
    "stages",
    *stages.__all__,
]
