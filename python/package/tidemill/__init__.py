"""One pipeline for sensor data, at rest and in motion: threshold, normalise, average, alert, write.

| you want to | see |
|---|---|
| run a pipeline | `Pipeline` |
| choose its parts | `sources`, stages such as `Threshold` (all in `stages`), `sinks` |
| write a part | `Pipeline`: any object with `stream()`, `process(stream)` or `consume(stream)` |
| push record batches through stages yourself | `Chain` |
| see what a part is, and its parameters | `describe` |
| measure, retry or audit a part that is used alone | `measured`, `retry`, `audited` |
| run a stage in Python on all cores | `parallel` |
| check types | `protocols`, `schemas` |
| know what went wrong | `errors` |
"""

import atexit
import importlib
import os
from typing import TYPE_CHECKING, Any

from . import _native, errors, sinks, sources, stages
from ._native import Batch, Record, Running, Stream, Table
from .chain import Chain, Fit
from .component import Component
from .errors import (
    DataError,
    InternalError,
    RejectedWarning,
    RemarkWarning,
    SpecError,
    StoppedError,
    TidemillError,
    TransferError,
    UnavailableError,
)
from .pipeline import Pipeline, Settings, Verdict
from .plan import Plan
from .records import Reading
from .stages import *  # noqa: F403

if TYPE_CHECKING:
    from . import protocols, schemas
    from .auditing import audited
    from .description import Description, describe
    from .measuring import Measurement, measured
    from .processes import parallel
    from .retrying import retry

# No thread of a run may use the interpreter once it has ended.
atexit.register(_native.shut_down)
# A child has no threads of its parent.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_native.forked)

# Imported when they are asked for: most programs need none of them.
_LATER = {
    "Description": "description",
    "Measurement": "measuring",
    "audited": "auditing",
    "describe": "description",
    "measured": "measuring",
    "parallel": "processes",
    "protocols": None,
    "retry": "retrying",
    "schemas": None,
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module `tidemill` has no attribute `{name}`")
    module = importlib.import_module(f".{_LATER[name] or name}", __name__)
    return getattr(module, name) if _LATER[name] else module


__all__ = [
    "Batch",
    "Chain",
    "Component",
    "DataError",
    "Description",
    "Fit",
    "InternalError",
    "Measurement",
    "Pipeline",
    "Plan",
    "Reading",
    "Record",
    "RejectedWarning",
    "RemarkWarning",
    "Running",
    "Settings",
    "SpecError",
    "StoppedError",
    "Stream",
    "Table",
    "TidemillError",
    "TransferError",
    "UnavailableError",
    "Verdict",
    "audited",
    "describe",
    "errors",
    "measured",
    "parallel",
    "protocols",
    "retry",
    "schemas",
    "sinks",
    "sources",
    "stages",
    *stages.__all__,
]
