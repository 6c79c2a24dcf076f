"""A picture of latencies as SVG, without a library: groups of bars on a logarithmic scale."""

import math
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from typing import NamedTuple

COLORS = ("#1f6f8b", "#b8c4cc", "#d98a3d", "#8c5a8c", "#6a994e")
PANEL_W, PANEL_H = 430, 250
LEFT, TOP, GAP_X, GAP_Y, FOOT = 64, 116, 76, 78, 44
COLUMNS = 2
INK, FAINT = "#22303a", "#dfe5e9"


class Bar(NamedTuple):
    """Two figures of one side: the bar is p50, what is lighter above it p95; milliseconds."""

    panel: str
    group: str
    side: str
    p50_ms: float
    p95_ms: float


def draw(bars: list[Bar], title: str, note: str, path: Path) -> None:
    """Write `bars` to `path`: a panel for each `panel`, in it a group for each `group`, in it a bar for each side."""
    panels, sides = _in_order(bar.panel for bar in bars), _in_order(bar.side for bar in bars)
    low_ms = 10 ** math.floor(math.log10(min(bar.p50_ms for bar in bars)))
    high_ms = 10 ** math.ceil(math.log10(max(bar.p95_ms for bar in bars)))
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    width = max(LEFT + columns * (PANEL_W + GAP_X) - GAP_X + 24, 620)
    height = TOP + rows * (PANEL_H + GAP_Y) - GAP_Y + FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        f' font-family="sans-serif" font-size="12" fill="{INK}">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="28" font-size="18" font-weight="bold">{escape(title)}</text>',
        f'<text x="{LEFT}" y="47" font-size="11" fill="#5b6b76">{escape(note)}</text>',
        *_legend(sides),
    ]
    for at, panel in enumerate(panels):
        x, y = LEFT + at % columns * (PANEL_W + GAP_X), TOP + at // columns * (PANEL_H + GAP_Y)
        parts += _panel(x, y, panel, [bar for bar in bars if bar.panel == panel], sides, (low_ms, high_ms))
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", "utf-8")


def _in_order(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _legend(sides: list[str]) -> list[str]:
    parts, x = [], LEFT
    for color, side in zip(COLORS, sides, strict=False):
        parts.append(f'<rect x="{x}" y="61" width="12" height="12" fill="{color}"/>')
        parts.append(f'<text x="{x + 17}" y="71">{escape(side)}</text>')
        x += 17 + round(len(side) * 6.6) + 22
    return parts


def _panel(x: int, y: int, title: str, bars: list[Bar], sides: list[str], scale: tuple[float, float]) -> list[str]:
    low, high = (math.log10(end) for end in scale)

    def height_of(ms: float) -> float:
        return (math.log10(ms) - low) / (high - low) * PANEL_H

    parts = [f'<text x="{x}" y="{y - 12}" font-weight="bold">{escape(title)}</text>']
    for power in range(round(low), round(high) + 1):
        at = y + PANEL_H - height_of(10.0**power)
        parts.append(f'<line x1="{x}" x2="{x + PANEL_W}" y1="{at:.1f}" y2="{at:.1f}" stroke="{FAINT}"/>')
        parts.append(f'<text x="{x - 6}" y="{at + 4:.1f}" text-anchor="end" font-size="11">{10**power:,} ms</text>')
    groups = _in_order(bar.group for bar in bars)
    group_w = PANEL_W / len(groups)
    for number, group in enumerate(groups):
        shown = [bar for bar in bars if bar.group == group]
        bar_w = min(group_w * 0.86 / len(shown), 46)
        begin = x + number * group_w + (group_w - bar_w * len(shown)) / 2
        for place, bar in enumerate(shown):
            parts += _bar(begin + place * bar_w, y + PANEL_H, bar_w, bar, COLORS[sides.index(bar.side)], height_of)
        middle = x + (number + 0.5) * group_w
        parts.append(f'<text x="{middle:.1f}" y="{y + PANEL_H + 18}" text-anchor="middle">{escape(group)}</text>')
    parts.append(f'<line x1="{x}" x2="{x + PANEL_W}" y1="{y + PANEL_H}" y2="{y + PANEL_H}" stroke="{INK}"/>')
    return parts


def _bar(x: float, floor: float, width: float, bar: Bar, color: str, height_of: Callable[[float], float]) -> list[str]:
    half, whole = height_of(bar.p50_ms), height_of(bar.p95_ms)
    left, inner = x + 1.5, width - 3
    tip = f"{bar.side}, {bar.group}: p50 {bar.p50_ms:.2f} ms, p95 {bar.p95_ms:.2f} ms"
    figure = f"{bar.p50_ms:.1f}" if bar.p50_ms < 100 else f"{bar.p50_ms:,.0f}"
    return [
        f"<g><title>{escape(tip)}</title>",
        f'<rect x="{left:.1f}" y="{floor - whole:.1f}" width="{inner:.1f}" height="{whole:.1f}" fill="{color}"'
        f' fill-opacity="0.35"/>',
        f'<rect x="{left:.1f}" y="{floor - half:.1f}" width="{inner:.1f}" height="{half:.1f}" fill="{color}"/>',
        f'<text x="{left + inner / 2:.1f}" y="{floor - whole - 4:.1f}" text-anchor="middle" font-size="10">'
        f"{figure}</text>",
        "</g>",
    ]
