"""The report of a run, as a dataset."""

import json
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset


class ReportDataset(AbstractDataset[dict[str, Any], dict[str, Any]]):
    """A file of JSON."""

    def __init__(self, filepath: str) -> None:
        self.path = Path(filepath)

    def load(self) -> dict[str, Any]:
        report: dict[str, Any] = json.loads(self.path.read_text())
        return report

    def save(self, data: dict[str, Any]) -> None:
        self.path.parent.mkdir(exist_ok=True)
        self.path.write_text(json.dumps(data))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self.path)}
