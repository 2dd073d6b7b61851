"""The notebooks run."""

import re
from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output.data for output in outputs if "data" in output]
    # Once: the figure is not shown again at the end of its cell.
    assert sum("image/png" in data for data in shown) == 1
    assert any("<table>" in data.get("text/html", "") and "moving_average" in data["text/html"] for data in shown)
    said = "".join(output.get("text", "") for output in outputs)
    # Two may fall on the same record.
    assert 30 <= int(re.search(r"([0-9]+) records were filtered", said)[1]) <= 45
    # The pump that runs hot, and no other.
    assert any(re.fullmatch(r"sensor\npump-2 +[0-9]+\ndtype: int64", data.get("text/plain", "")) for data in shown)
    assert any("Verdict(" in data.get("text/plain", "") for data in shown)
