"""Figures as inline SVG: curves, scores by checkpoint, histograms. No script, no font, no colour of their own (CSS
classes).

Each function takes plain numbers and returns markup; hover texts are SVG titles. Coordinates are in user units of the
viewBox and rounded to a tenth, which keeps a page of sixty figures small. Knows nothing of runs or files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from posttrain.report.text import compact, escape

MAX_POINTS = 160  # drawn a curve; more are averaged into that many groups
MAX_HOVERS = 40  # hover strips a curve
SMOOTH_FROM = 24  # points from which a moving mean is drawn over the raw curve


@dataclass(frozen=True, kw_only=True, slots=True)
class Frame:
    """The plotting area inside a viewBox and the linear scales into it. Example: Frame(width=260, left=38, ...).x(5.0)
    -> 118.4"""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        span = self.x_high - self.x_low or 1.0
        return round(self.left + (value - self.x_low) / span * (self.width - self.left - self.right), 1)

    def y(self, value: float) -> float:
        span = self.y_high - self.y_low or 1.0
        return round(
            self.height - self.bottom - (value - self.y_low) / span * (self.height - self.top - self.bottom), 1
        )


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Round numbers (1, 2, 2.5 or 5 times a power of ten) that cover [low, high]: about `count` of them, at least
    two."""
    if high <= low:
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    raw = (high - low) / max(1, count - 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def group_means(points: Sequence[tuple[float, float]], limit: int) -> list[tuple[float, float, int]]:
    """At most `limit` points (x of the last member, mean y, members): a long curve keeps its shape and its end."""
    size = math.ceil(len(points) / limit)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(group[-1][0], sum(y for _, y in group) / len(group), len(group)) for group in groups]


def moving_mean(values: Sequence[float], window: int) -> list[float]:
    """Centred, with narrower windows at the ends. values: [N] -> [N]."""
    half = window // 2
    return [
        sum(values[max(0, i - half) : i + half + 1]) / len(values[max(0, i - half) : i + half + 1])
        for i in range(len(values))
    ]


def curve(name: str, points: Sequence[tuple[float, float]]) -> str:
    """One metric over steps. points: [(step, value)], finite, at least one."""
    drawn = group_means(points, MAX_POINTS)
    xs, ys = [x for x, _, _ in drawn], [y for _, y, _ in drawn]
    ticks = nice_ticks(min(ys), max(ys), 3)
    frame = Frame(
        width=260, height=128, left=40, right=8, top=8, bottom=20, x_low=xs[0], x_high=xs[-1], y_low=ticks[0],
        y_high=ticks[-1]
    )  # fmt: skip
    smooth = len(drawn) >= SMOOTH_FROM
    parts = [_y_axis(frame, [(tick, compact(tick)) for tick in ticks]), _step_axis(frame, xs[0], xs[-1])]
    if len(drawn) == 1:
        parts.append(f'<circle class="dot" cx="{frame.x(xs[0])}" cy="{frame.y(ys[0])}" r="3"/>')
    else:
        parts.append(f'<path class="{"raw" if smooth else "line"}" d="{_path(frame, xs, ys)}"/>')
    if smooth:
        parts.append(f'<path class="line" d="{_path(frame, xs, moving_mean(ys, max(3, len(ys) // 12)))}"/>')
    parts.append(_hover_strips(frame, points))
    return _svg(frame, f"{name} by step, from {compact(ys[0])} to {compact(ys[-1])}", "".join(parts))


def _hover_strips(frame: Frame, points: Sequence[tuple[float, float]]) -> str:
    groups = group_means(points, MAX_HOVERS)
    strips, left = [], frame.left
    for index, (x, mean, members) in enumerate(groups):
        right = (
            round((frame.x(x) + frame.x(groups[index + 1][0])) / 2, 1)
            if index + 1 < len(groups)
            else frame.width - frame.right
        )
        label = f"step {x:g}: {compact(mean)}" if members == 1 else f"{members} steps to {x:g}, mean {compact(mean)}"
        height = frame.height - frame.top - frame.bottom
        strips.append(
            f'<path d="M{left:g} {frame.top:g}h{right - left:.1f}v{height:g}H{left:g}z"><title>{label}</title></path>'
        )
        left = right
    return f'<g class="hover">{"".join(strips)}</g>'


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One checkpoint's score. Example: Point(label="general", value=0.41, low=0.34, high=0.49)"""

    label: str
    value: float
    low: float
    high: float


def score_chart(suite: str, points: Sequence[Point], levels: Sequence[tuple[str, float]]) -> str:
    """A suite's score by checkpoint with its intervals; `levels` are dashed lines of reference (a teacher). Fractions 0
    to 1."""
    frame = Frame(
        width=360,
        height=230,
        left=34,
        right=10,
        top=12,
        bottom=62,
        x_low=-0.4,
        x_high=len(points) - 0.6,
        y_low=0.0,
        y_high=1.0,
    )
    parts = [_y_axis(frame, [(share, f"{100 * share:.0f}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)])]
    for label, value in levels:
        y = frame.y(value)
        parts.append(f'<g class="level"><path d="M{frame.left:g} {y}H{frame.width - frame.right:g}"/>')
        parts.append(f'<text x="{frame.left + 3:g}" y="{y - 3:.1f}">{escape(label)} {100 * value:.1f}</text></g>')
    parts.append(f'<path class="line" d="{_path(frame, range(len(points)), [point.value for point in points])}"/>')
    for index, point in enumerate(points):
        x = frame.x(index)
        title = f"{escape(point.label)}: {100 * point.value:.1f} [{100 * point.low:.1f}, {100 * point.high:.1f}]"
        parts.append(
            f'<g class="score"><title>{title}</title><path class="whisker" d="M{x} '
            f'{frame.y(point.low)}V{frame.y(point.high)}"/>'
            f'<circle class="dot" cx="{x}" cy="{frame.y(point.value)}" r="3.6"/>'
            f'<text class="tick" text-anchor="end" transform="translate({x + 4:.1f} '
            f'{frame.height - frame.bottom + 14:g}) rotate(-38)">'
            f"{escape(point.label)}</text></g>"
        )
    return _svg(frame, f"{suite}: score by checkpoint", "".join(parts))


def difficulty_chart(name: str, counts: Sequence[int], kept: Sequence[bool]) -> str:
    """Prompts by number of right answers. counts, kept: [k + 1]; kept bars stand out."""
    ticks = nice_ticks(0, max(*counts, 1), 3)
    frame = Frame(
        width=360,
        height=170,
        left=34,
        right=8,
        top=8,
        bottom=34,
        x_low=0,
        x_high=len(counts),
        y_low=0,
        y_high=ticks[-1],
    )
    base, parts = frame.y(0), [_y_axis(frame, [(tick, compact(tick)) for tick in ticks])]
    every = math.ceil(len(counts) / 9)
    for right, (count, keep) in enumerate(zip(counts, kept, strict=True)):
        x, edge = frame.x(right + 0.08), frame.x(right + 0.92)
        word = "kept" if keep else "left out"
        parts.append(
            f'<path class="bar{" kept" if keep else ""}" d="M{x} {base}V{frame.y(count)}H{edge}V{base}z">'
            f"<title>{right} of {len(counts) - 1} right: {count:,} prompts, {word}</title></path>"
        )
        if right % every == 0 or right == len(counts) - 1:
            parts.append(
                f'<text class="tick" text-anchor="middle" x="{frame.x(right + 0.5)}" y="{base + 13:.1f}">{right}</text>'
            )
    middle = (frame.left + frame.width - frame.right) / 2
    parts.append(
        f'<text class="tick" text-anchor="middle" x="{middle:g}" y="{frame.height - 4:g}">right answers of '
        f"{len(counts) - 1}</text>"
    )
    return _svg(frame, f"{name}: prompts by number of right answers", "".join(parts))


def _path(frame: Frame, xs: Sequence[float], ys: Sequence[float]) -> str:
    return "M" + "L".join(f"{frame.x(x):g} {frame.y(y):g}" for x, y in zip(xs, ys, strict=True))


def _y_axis(frame: Frame, ticks: Sequence[tuple[float, str]]) -> str:
    lines = "".join(f"M{frame.left:g} {frame.y(value):g}H{frame.width - frame.right:g}" for value, _ in ticks)
    labels = "".join(
        f'<text class="tick" text-anchor="end" x="{frame.left - 5:g}" y="{frame.y(value) + 3.5:.1f}">{label}</text>'
        for value, label in ticks
    )
    return f'<path class="grid" d="{lines}"/>{labels}'


def _step_axis(frame: Frame, first: float, last: float) -> str:
    y = frame.height - 6
    if last <= first:
        return f'<text class="tick" x="{frame.left:g}" y="{y:g}">step {first:g}</text>'
    return (
        f'<text class="tick" x="{frame.left:g}" y="{y:g}">step {first:g}</text>'
        f'<text class="tick" text-anchor="end" x="{frame.width - frame.right:g}" y="{y:g}">{last:g}</text>'
    )


def _svg(frame: Frame, label: str, content: str) -> str:
    return (
        f'<svg viewBox="0 0 {frame.width:g} {frame.height:g}" role="img" aria-label="{escape(label)}">{content}</svg>'
    )
