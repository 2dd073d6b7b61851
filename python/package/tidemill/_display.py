"""What people see in notebooks."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

__all__ = ["html_heading", "html_table", "is_notebook"]


def is_notebook() -> bool:
    """Whether this runs in a kernel of Jupyter."""
    # Whoever is in one has imported it.
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def html_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, with all text escaped; cells may have several lines."""
    from html import escape

    def cells(tag: str, row: Sequence[str]) -> str:
        texts = (escape(text).replace("\n", "<br>") for text in row)
        return "<tr>" + "".join(f"<{tag} style='text-align:left; vertical-align:top'>{text}</{tag}>" for text in texts) + "</tr>"

    body = "".join(cells("td", row) for row in rows)
    return f"<table><thead>{cells('th', head)}</thead><tbody>{body}</tbody></table>"


def html_heading(title: str, remark: str = "") -> str:
    """A title, and what is said beside it."""
    from html import escape

    return f"<p><strong>{escape(title)}</strong> {escape(remark)}</p>"
