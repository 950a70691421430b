"""Small charts as SVG without script or style: the page's style sheet gives the colours."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 78, 16, 12, 46
_MARGIN = 0.04
"""Share of the range that is left free at both ends of an axis."""

_STEPS = (1, 2, 5, 10)
_MOST_TICKS = 7


@dataclass(frozen=True)
class Point:
    """A point of a chart, in the units of its axes, and what is said when one points at it."""

    x: float
    y: float
    title: str = ""


@dataclass(frozen=True)
class Axis:
    """Which values an axis shows.

    Attributes:
        label: what is written beside it.
        low: its lowest value.
        high: its highest value, above `low`.
        text: how a value is written.
        log: whether equal distances are equal ratios; `low` is positive then.
    """

    label: str
    low: float
    high: float
    text: Callable[[float], str]
    log: bool = False

    @classmethod
    def around(
        cls, label: str, values: Iterable[float], text: Callable[[float], str], log: bool = False
    ) -> Axis:
        """The axis that shows all of some values, with a margin; logarithmic if it can be."""
        shown = list(values)
        low, high = min(shown), max(shown)
        if log and low > 0:
            room = max((high / low) ** _MARGIN, 1.05)
            return cls(label, low / room, high * room, text, log=True)
        room = _MARGIN * (high - low) or 0.05 * abs(high) or 1.0
        return cls(label, low - room, high + room, text)

    def place(self, value: float) -> float:
        """Where a value stands: 0 at the low end, 1 at the high one."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def holds(self, value: float) -> bool:
        """Whether the value is on the axis."""
        return self.low <= value <= self.high

    def ticks(self) -> list[float]:
        """Round values: 1, 2 and 5 times powers of ten, or multiples of one of these."""
        if self.log:
            exponents = range(
                math.floor(math.log10(self.low)), math.floor(math.log10(self.high)) + 1
            )
            decades = [step * 10.0**exponent for exponent in exponents for step in _STEPS[:-1]]
            ticks = [tick for tick in decades if self.holds(tick)]
            if len(ticks) > 1:
                return [tick for tick in ticks if len(ticks) <= _MOST_TICKS or _is_power(tick)]
        span = self.high - self.low
        unit = 10.0 ** math.floor(math.log10(span / _MOST_TICKS))
        step = next(step * unit for step in _STEPS if span / (step * unit) <= _MOST_TICKS)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [round(number * step, 12) for number in range(first, last + 1)]


@dataclass(frozen=True)
class Chart:
    """Two axes. Its marks are pieces of SVG; what lies beyond the axes is left out.

    Attributes:
        title: says what the chart shows, for those who cannot see it.
        x: the axis below, from left to right.
        y: the axis on the left, from bottom to top.
    """

    title: str
    x: Axis
    y: Axis

    def shows(self, point: Point) -> bool:
        """Whether the point is within the axes."""
        return self.x.holds(point.x) and self.y.holds(point.y)

    def specks(self, points: Iterable[Point], css: str) -> str:
        """Many small dots without titles, as one path."""
        spots = "".join(f"M{self._at(point)}h0" for point in points if self.shows(point))
        return f'<path class="{css}" d="{spots}"/>' if spots else ""

    def dots(self, points: Iterable[Point], css: str, radius: float) -> str:
        """Circles, with the titles of their points."""
        return "".join(
            f'<circle class="{css}" cx="{self._x(point.x)}" cy="{self._y(point.y)}" r="{radius}">'
            f"<title>{html.escape(point.title)}</title></circle>"
            for point in points
            if self.shows(point)
        )

    def stairs(self, points: Sequence[Point], css: str) -> str:
        """A line that keeps the height of a point until the next one."""
        if not points:
            return ""
        steps = "".join(f"H{self._x(point.x)}V{self._y(point.y)}" for point in points[1:])
        return f'<path class="{css}" d="M{self._at(points[0])}{steps}"/>'

    def upright(self, x: float, css: str) -> str:
        """A line at `x` from bottom to top."""
        line = f'<path class="{css}" d="M{self._x(x)} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
        return line if self.x.holds(x) else ""

    def level(self, y: float, css: str) -> str:
        """A line at `y` from side to side."""
        line = f'<path class="{css}" d="M{_LEFT} {self._y(y)}H{_WIDTH - _RIGHT}"/>'
        return line if self.y.holds(y) else ""

    def svg(self, *marks: str) -> str:
        """The chart, with the later marks over the earlier."""
        bottom, middle = _HEIGHT - _BOTTOM, (_TOP + _HEIGHT - _BOTTOM) / 2
        grid = [
            f'<path class="grid" d="M{self._x(tick)} {_TOP}V{bottom}"/>'
            f'<text x="{self._x(tick)}" y="{bottom + 18}" text-anchor="middle">'
            f"{html.escape(self.x.text(tick))}</text>"
            for tick in self.x.ticks()
        ] + [
            f'<path class="grid" d="M{_LEFT} {self._y(tick)}H{_WIDTH - _RIGHT}"/>'
            f'<text x="{_LEFT - 8}" y="{self._y(tick)}" dy="0.35em" text-anchor="end">'
            f"{html.escape(self.y.text(tick))}</text>"
            for tick in self.y.ticks()
        ]
        title = html.escape(self.title)
        return (
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">'
            f"{''.join(grid)}{''.join(marks)}"
            f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">'
            f"{html.escape(self.x.label)}</text>"
            f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">'
            f"{html.escape(self.y.label)}</text></svg>"
        )

    def _at(self, point: Point) -> str:
        return f"{self._x(point.x)} {self._y(point.y)}"

    def _x(self, value: float) -> float:
        return round(_LEFT + self.x.place(value) * (_WIDTH - _LEFT - _RIGHT), 1)

    def _y(self, value: float) -> float:
        return round(_HEIGHT - _BOTTOM - self.y.place(value) * (_HEIGHT - _TOP - _BOTTOM), 1)


def _is_power(value: float) -> bool:
    return math.isclose(math.log10(value), round(math.log10(value)))
