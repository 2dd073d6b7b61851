"""Just enough of SVG: shapes and text, in pixels, readable on light and on dark ground."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

STYLE = """\
text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #24292f }
.head { font-weight: 600 }
.quiet { fill: #57606a }
.end { text-anchor: end }
.ours { fill: #0b7285 }
.peer { fill: #b6bec8 }
.axis { stroke: #d0d7de; fill: none }
.curve { stroke: #0b7285; stroke-width: 2; fill: none; stroke-linejoin: round }
.curve.other { stroke: #b35900 }
.other { fill: #b35900 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .quiet { fill: #9198a1 }
  .ours { fill: #3bc9db }
  .peer { fill: #545d68 }
  .axis { stroke: #3d444d }
  .curve { stroke: #3bc9db }
  .curve.other { stroke: #f0a04b }
  .other { fill: #f0a04b }
}"""


@dataclass
class Canvas:
    """A picture under construction."""

    width: int
    height: int
    title: str
    """What it shows, for those who cannot see it."""
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, text: str, kind: str = "") -> None:
        """Text whose baseline begins (with `end` among its kinds: ends) at (x, y)."""
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" class={quoteattr(kind)}>{escape(text)}</text>')

    def bar(self, x: float, y: float, width: float, height: float, kind: str) -> None:
        """A rectangle, one pixel wide at least."""
        size = f'width="{max(width, 1):.1f}" height="{height:.1f}"'
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" {size} rx="2" class={quoteattr(kind)}/>')

    def line(self, points: list[tuple[float, float]], kind: str) -> None:
        """A line through points."""
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" class={quoteattr(kind)}/>')

    def document(self) -> str:
        """The finished file."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img">'
        )
        return "\n".join(
            [head, f"<title>{escape(self.title)}</title>", f"<style>{STYLE}</style>", *self.parts, "</svg>\n"]
        )
