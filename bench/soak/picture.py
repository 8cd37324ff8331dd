"""The picture of a run as SVG, readable on light and on dark ground. Pure; no library."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, PANEL, LEFT, RIGHT, GAP, TOP = 960, 130, 64, 150, 34, 52
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c8c8c")
"""Okabe and Ito's, told apart by the colour-blind too, on both grounds; the last is a middle grey."""
STYLE = """\
svg { font: 12px system-ui, sans-serif; background: #ffffff }
text { fill: #24292f } .rule { stroke: #d0d7de } .fault { stroke: #afb8c1 } .quiet { fill: #57606a }
polyline { fill: none; stroke-width: 1 } .spared { stroke-width: 2.4 }
@media (prefers-color-scheme: dark) {
svg { background: #0d1117 } text { fill: #e6edf3 } .rule { stroke: #30363d } .fault { stroke: #484f58 }
.quiet { fill: #8d96a0 } }"""


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a panel."""

    name: str
    colour: str
    pieces: Sequence[Sequence[tuple[float, float]]]
    """(seconds, value), oldest first; a new piece after a gap."""
    restarts: bool = False
    """A gap is a restart: another process, marked with a triangle."""
    spared: bool = False
    """Drawn thick: the faults leave it alone."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One quantity over the whole run."""

    title: str
    lines: Sequence[Line]


def picture(panels: Sequence[Panel], faults: Sequence[float], length_s: float, title: str) -> str:
    """The panels one below the other, time from left to right, each fault a thin upright line through all of them."""
    height = TOP + len(panels) * (PANEL + GAP) + 20
    inner = WIDTH - LEFT - RIGHT
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title><style>{STYLE}</style>",
        f'<text x="{LEFT}" y="20">{escape(title)}</text>',
    ]
    bottom = TOP + len(panels) * (PANEL + GAP) - GAP
    for at in faults:
        x = LEFT + at / length_s * inner
        out.append(f'<line class="fault" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{bottom}" stroke-width="0.5"/>')
    for number, panel in enumerate(panels):
        out += _panel(panel, TOP + number * (PANEL + GAP), length_s)
    minutes = length_s / 60
    for tick in range(7):
        x = LEFT + tick / 6 * inner
        out.append(
            f'<text class="quiet" x="{x:.0f}" y="{bottom + 16}" text-anchor="middle">{minutes * tick / 6:.3g}</text>'
        )
    out.append(f'<text class="quiet" x="{WIDTH - RIGHT + 24}" y="{bottom + 16}">minutes</text></svg>')
    return "\n".join(out) + "\n"


def _panel(panel: Panel, top: float, length_s: float) -> list[str]:
    values = [value for line in panel.lines for piece in line.pieces for _, value in piece]
    high = _round_up(max(values, default=1.0))
    inner = WIDTH - LEFT - RIGHT
    out = [f'<text x="{LEFT}" y="{top - 6}">{escape(panel.title)}</text>']
    for share in (0.0, 0.5, 1.0):
        y = top + PANEL * (1 - share)
        out.append(f'<line class="rule" x1="{LEFT}" x2="{LEFT + inner}" y1="{y:.0f}" y2="{y:.0f}" stroke-width="1"/>')
        out.append(f'<text class="quiet" x="{LEFT - 8}" y="{y + 4:.0f}" text-anchor="end">{high * share:g}</text>')
    for number, line in enumerate(panel.lines):
        kind = ' class="spared"' if line.spared else ""
        for piece in line.pieces:
            points = " ".join(
                f"{LEFT + at / length_s * inner:.1f},{top + PANEL * (1 - value / high):.1f}" for at, value in piece
            )
            out.append(f'<polyline{kind} stroke="{line.colour}" points="{points}"/>')
        for piece in line.pieces[1:] if line.restarts else ():
            x = LEFT + piece[0][0] / length_s * inner
            y = top + PANEL
            out.append(f'<path fill="{line.colour}" d="M{x:.1f} {y - 7:.0f}l3.5 7h-7z"/>')
        y, x = top + 10 + number * 15, LEFT + inner + 12
        out.append(f'<polyline{kind} stroke="{line.colour}" points="{x},{y - 4} {x + 16},{y - 4}"/>')
        out.append(f'<text x="{x + 22}" y="{y}">{escape(line.name)}</text>')
    return out


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 6, 8 or 10 times a power of ten."""
    unit = 1.0
    while unit * 10 < value:
        unit *= 10
    return next((step * unit for step in (1, 2, 4, 6, 8) if step * unit >= value), 10 * unit)
