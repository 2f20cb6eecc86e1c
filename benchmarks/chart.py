"""The measured calls as a picture: ``python -m benchmarks.chart`` draws ``benchmarks/results/speed.svg``.

Plain SVG by hand: it follows the reader's light or dark scheme, and needs no library.
"""

from __future__ import annotations

import json
from html import escape

from benchmarks.figure import RESULTS

__all__ = ["draw"]

ROW, LEFT, BAR, GAP = 30, 190, 250, 90
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328 } .small { fill: #59636e; font-size: 12px }
.plain { fill: #b6bfc9 } .ours { fill: #1a7f4b }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 } .plain { fill: #545d68 } .ours { fill: #3fb97f }
}
"""


def draw(calls: dict[str, dict[str, float]]) -> str:
    """Mails a second and CPU a mail of each way, side by side."""
    columns = (("mails_per_s", "mails a second", ""), ("cpu_us_per_mail", "CPU a mail in the client", " µs"))
    width, height = LEFT + 2 * (BAR + GAP), 50 + ROW * len(calls)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(_spoken(calls))}"><style>{STYLE}</style>'
    ]
    for column, (field, title, unit) in enumerate(columns):
        x = LEFT + column * (BAR + GAP)
        most = max(way[field] for way in calls.values())
        parts.append(f'<text x="{x}" y="22" font-weight="600">{title}</text>')
        for row, (name, way) in enumerate(calls.items()):
            y, length = 40 + row * ROW, way[field] / most * BAR
            kind = "ours" if name.startswith("mailonce") else "plain"
            parts.append(f'<rect class="{kind}" x="{x}" y="{y}" width="{length:.1f}" height="18" rx="3"/>')
            parts.append(f'<text class="small" x="{x + length + 6:.1f}" y="{y + 14}">{way[field]:,.0f}{unit}</text>')
    for row, name in enumerate(calls):
        parts.append(f'<text x="{LEFT - 10}" y="{54 + row * ROW}" text-anchor="end">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>\n"])


def _spoken(calls: dict[str, dict[str, float]]) -> str:
    return "; ".join(
        f"{name}: {way['mails_per_s']:,.0f} mails a second, {way['cpu_us_per_mail']:,.0f} µs of CPU a mail"
        for name, way in calls.items()
    )


def main() -> None:
    figures = json.loads((RESULTS / "speed.json").read_text())["figures"]
    calls = next(figure["detail"]["ways"] for figure in figures if "ways" in figure["detail"])
    (RESULTS / "speed.svg").write_text(draw(calls))


if __name__ == "__main__":
    main()
