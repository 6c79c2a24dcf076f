"""What a wiring picture is drawn with: SVG text of lines, boxes, words, and the symbols of a circuit diagram."""

from collections.abc import Sequence
from html import escape

INK, SOFT, PAPER, CARD, EDGE = "#1c2733", "#5b6876", "#f4f2ec", "#ffffff", "#c9d0d8"
A_WIRE, B_WIRE, GROUND, PLUS, SIGNAL = "#1565c0", "#d97706", "#37424d", "#c62828", "#2e7d32"
DEVICE, BOX, WARN, WARN_INK = "#e3edf7", "#eef1f4", "#fdecea", "#9b1c1c"
_WIDTH_OF_A_LETTER = 0.57  # of its size, on average: DejaVu Sans, wider than what most machines have

Point = tuple[float, float]


def words(x: float, y: float, text: str, size: float = 13, weight: str = "", fill: str = INK, anchor: str = "") -> str:
    """A line of text, its baseline at y. anchor: "middle" or "end"."""
    more = (f' font-weight="{weight}"' if weight else "") + (f' text-anchor="{anchor}"' if anchor else "")
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{fill}"{more}>{escape(text, quote=False)}</text>'


def clipped(text: str, width: float, size: float = 13) -> str:
    """As much of the text as fits into `width`: what is in its middle goes first, for names differ at their ends."""
    room = max(int(width / (size * _WIDTH_OF_A_LETTER)), 3)
    if len(text) <= room:
        return text
    tail = (room - 1) // 2
    return f"{text[: room - 1 - tail]}…{text[-tail:]}"


def wire(points: Sequence[Point], color: str = INK, dashed: bool = False, width: float = 2) -> str:
    """A line through points."""
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    look = f'stroke="{color}" stroke-width="{width:g}" stroke-linejoin="round"{dash}'
    return f'<polyline points="{path}" fill="none" {look}/>'


def joint(x: float, y: float, color: str = INK) -> str:
    """Where two wires are joined."""
    return f'<circle cx="{x:g}" cy="{y:g}" r="3.5" fill="{color}"/>'


def box(x: float, y: float, width: float, height: float, fill: str = BOX, edge: str = EDGE, radius: float = 6) -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius:g}" fill="{fill}" '
        f'stroke="{edge}" stroke-width="1.5"/>'
    )


def labelled_box(
    x: float, y: float, width: float, height: float, lines: Sequence[str], fill: str = BOX, edge: str = EDGE
) -> str:
    """A box with its first line bold, the others small, cut where they do not fit; whole in its tooltip."""
    parts = [f"<g><title>{escape(' · '.join(lines), quote=False)}</title>", box(x, y, width, height, fill, edge)]
    at = y + 20
    for number, line in enumerate(lines):
        size = 11.5 if number else 13
        text = clipped(line, width - 14 if number else (width - 14) * 0.92, size)  # bold is wider
        parts.append(words(x + 9, at, text, size, "" if number else "bold", SOFT if number else INK))
        at += 16
    return "".join(parts) + "</g>"


def resistor(x: float, top: float, bottom: float, label: str) -> str:
    """Between two wires, one above the other."""
    middle, half = (top + bottom) / 2, min(15.0, (bottom - top) / 2 - 2)
    return (
        wire([(x, top), (x, bottom)])
        + box(x - 5, middle - half, 10, 2 * half, CARD, INK, 1)
        + joint(x, top)
        + joint(x, bottom)
        + words(x + 10, middle + 4, label, 11.5, "bold")
    )


def switch(x: float, y: float, is_closed: bool, color: str = INK, width: float = 44) -> str:
    """A contact in a horizontal wire, from x to x + width, drawn as it is at rest."""
    right = x + width
    blade_end = (right + 2, y - 3) if is_closed else (right - 4, y - 15)
    parts = wire([(x, y), blade_end], color, width=2.5)
    stop = wire([(right, y - 8), (right, y)], color) if is_closed else ""
    ring = '<circle cx="{:g}" cy="{:g}" r="3.5" fill="' + CARD + '" stroke="' + color + '" stroke-width="2"/>'
    return parts + stop + ring.format(x, y) + ring.format(right, y)


def upright_switch(x: float, top: float, bottom: float, is_closed: bool, color: str = INK) -> str:
    """A contact between two wires, one above the other."""
    first, second = top + 8, bottom - 8
    blade = wire([(x, second), (x + (2 if is_closed else 11), first + (0 if is_closed else 3))], color, width=2.5)
    ring = '<circle cx="{:g}" cy="{:g}" r="3" fill="' + CARD + '" stroke="' + color + '" stroke-width="2"/>'
    ends = wire([(x, top), (x, first)], color) + wire([(x, second), (x, bottom)], color)
    return ends + blade + ring.format(x, first) + ring.format(x, second)


def diode(x: float, top: float, bottom: float) -> str:
    """Between two wires, its cathode at the upper one."""
    middle = (top + bottom) / 2
    triangle = f"{x - 9:g},{middle + 9:g} {x + 9:g},{middle + 9:g} {x:g},{middle - 7:g}"
    return (
        wire([(x, top), (x, bottom)])
        + f'<polygon points="{triangle}" fill="{INK}"/>'
        + wire([(x - 9, middle - 8), (x + 9, middle - 8)], width=2.5)
        + joint(x, top)
        + joint(x, bottom)
    )


def coil(x: float, y: float, width: float = 40, height: float = 22) -> str:
    """A relay's coil."""
    return box(x, y, width, height, CARD, INK, 1) + wire([(x + 10, y + height), (x + width - 10, y)])


def antenna(x: float, y: float) -> str:
    return wire([(x, y), (x, y - 34)]) + wire([(x - 9, y - 34), (x, y - 22), (x + 9, y - 34)])
