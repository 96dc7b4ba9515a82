"""Charts over time as SVG: lines, areas, cells, without any library."""

import math
from html import escape

PALETTE = ["#ea7317", "#2f7ed8", "#3aa655", "#c44569", "#8e6bbf", "#b08b00", "#14a3a8", "#7a8793", "#d9534f", "#5b6ee1", "#7fb800", "#a0522d"]


def text(x, y, said, kind=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(said)}</text>'


def steps(low, high, count=4):
    """Round numbers from `low` to `high`, about so many."""
    span = (high - low) or 1
    raw = span / count
    power = 10 ** math.floor(math.log10(raw))
    step = next(power * part for part in (1, 2, 2.5, 5, 10) if power * part >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]


class Chart:
    """A place on the picture with its two scales. What is drawn is added to `drawn`."""

    def __init__(self, place, times, values, logarithmic=False, unit=1):
        self.x, self.y, self.width, self.height = place
        self.begin, self.end = times
        self.low, self.high = values
        # Round numbers are round in this unit, such as 1,024.
        self.logarithmic, self.unit, self.drawn = logarithmic, unit, []

    def at(self, time):
        return self.x + self.width * (time - self.begin) / (self.end - self.begin)

    def up(self, value):
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, low))
        part = (value - low) / ((high - low) or 1)
        return self.y + self.height * (1 - min(max(part, 0), 1))

    def value_ticks(self):
        if not self.logarithmic:
            return [value * self.unit for value in steps(self.low / self.unit, self.high / self.unit)]
        powers = [10.0 ** power for power in range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)]
        return powers[::max(1, math.ceil(len(powers) / 5))]

    def grid(self, said, time_ticks):
        """Lines with what is `said` of each value, and with the text of each `(time, text)`."""
        for value in self.value_ticks():
            y = self.up(value)
            self.drawn.append(f'<line x1="{self.x}" y1="{y:.1f}" x2="{self.x + self.width}" y2="{y:.1f}" class="grid"/>')
            self.drawn.append(text(self.x - 6, y + 3.5, said(value), "scale right"))
        for time, label in time_ticks:
            x = self.at(time)
            self.drawn.append(f'<line x1="{x:.1f}" y1="{self.y}" x2="{x:.1f}" y2="{self.y + self.height}" class="grid"/>')
            self.drawn.append(text(x, self.y + self.height + 14, label, "scale middle"))

    def line(self, points, colour, dashed=False, width=1.4, fill=0.0, base=None):
        """`points`: `(time, value)`, a value of `None` interrupts the line; `base` is what the area stands on."""
        for part in pieces(points):
            path = " ".join(f"{self.at(time):.1f},{self.up(value):.1f}" for time, value in part)
            if fill:
                below = [(time, base(time) if base else self.low) for time, _ in reversed(part)]
                under = " ".join(f"{self.at(time):.1f},{self.up(value):.1f}" for time, value in below)
                self.drawn.append(f'<polygon points="{path} {under}" fill="{colour}" fill-opacity="{fill}"/>')
            dash = ' stroke-dasharray="5 4"' if dashed else ""
            self.drawn.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"{dash}/>')

    def legend(self, entries, y, rows=1):
        """Names with their colours in rows from `y` on, as far as there is room."""
        x, end = self.x, self.x + self.width + 12
        for name, colour in entries:
            width = 24 + 5.6 * len(name)
            if x + width > end:
                rows -= 1
                if not rows:
                    self.drawn.append(text(min(x, end - 12), y + 3.5, "…", "legend"))
                    break
                x, y = self.x, y + 13
            self.drawn.append(f'<rect x="{x:.1f}" y="{y - 2:.1f}" width="10" height="3" rx="1" fill="{colour}"/>')
            self.drawn.append(text(x + 14, y + 3.5, name, "legend"))
            x += width


def pieces(points):
    """The stretches of a line between its gaps."""
    part = []
    for time, value in points:
        if value is None or not math.isfinite(value):
            if part:
                yield part
            part = []
        else:
            part.append((time, value))
    if part:
        yield part


def picture(width, height, drawn, style, about):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">\n'
            f"<title>{escape(about)}</title>\n<style>{style}</style>\n" + "\n".join(drawn) + "\n</svg>\n")
