"""The process of one task of one Python engine: does it and says what came out."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import cast

from peers.jobs import Output, Summary, Task, job_named


def main(text: str) -> None:
    """Does the task that `text` describes, as `peers.peer` wrote it."""
    what = json.loads(text)
    job = job_named(what["job"]).writing(Output(what["writes"]))
    output = Path(what["output"]) if what["output"] else None
    engine = importlib.import_module(f"peers.engines.{what['engine']}")
    run = cast(Callable[[Task], Summary | None], engine.run)
    summary = run(Task(job, Path(what["input"]), output, what["threads"]))
    print(json.dumps(asdict(summary) if summary else None))


if __name__ == "__main__":
    main(sys.argv[1])
