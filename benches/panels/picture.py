"""Draws a dashboard as Grafana lays it out, with what its queries say."""

import math
import re

from harness.chart import PALETTE, Chart, picture, text

UNIT, WIDTH, GAP, TOP = 25, 1440, 8, 58
# Seconds between two points of a line, and between two columns of a heat map.
STEP, COLUMN = 2, 4
BYTES = ("bytes", "Bps")
COLOURS = {"green": "#3aa655", "orange": "#ea7317", "red": "#d9434e", "gray": "#8a94a3", "blue": "#2f7ed8", "text": "currentColor"}
LIGHT = {"page": "#f4f5f7", "panel": "#ffffff", "border": "#dfe3e8", "ink": "#24292f", "soft": "#6b7684", "grid": "#eceff3"}
DARK = {"page": "#111217", "panel": "#181b1f", "border": "#2c3038", "ink": "#d8dbe0", "soft": "#8e97a5", "grid": "#262a31"}


def themed(colours):
    """The rules whose colours change with the theme. No variables: not every program that shows SVG knows them."""
    return ("text {{ fill: {ink} }} .page {{ fill: {page} }} .panel {{ fill: {panel}; stroke: {border} }} "
            ".soft, .scale, .legend {{ fill: {soft} }} .grid {{ stroke: {grid} }}").format(**colours)


STYLE = (
    "text { font: 11px system-ui, 'DejaVu Sans', sans-serif } "
    ".title { font-weight: 600; font-size: 12px } .row { font-weight: 600; font-size: 14px } .head { font-weight: 700; font-size: 20px } "
    ".scale { font-size: 9.5px } .right { text-anchor: end } .middle { text-anchor: middle } "
    ".legend { font-size: 10px } .big { font-weight: 600; font-size: 30px; text-anchor: middle } "
    ".start { stroke: #2f7ed8; stroke-dasharray: 2 3; stroke-opacity: 0.7 } "
    f"{themed(LIGHT)} @media (prefers-color-scheme: dark) {{ {themed(DARK)} }}")


def draw(dashboard, ask, times, events):
    """`ask` answers a query: labels and points of each series. Gives the picture, and the titles of panels that stayed empty."""
    begin, end = times
    starts = [value for _, points in ask(dashboard["annotations"]["list"][0]["expr"]) for value in {value / 1000 for _, value in points}]
    drawn, empty, bottom = ['<rect width="100%" height="100%" class="page"/>'], [], 0
    drawn.append(text(GAP + 4, 30, dashboard["title"], "head"))
    drawn.append(text(GAP + 4, 48, "; ".join(f"{clock(second)} {what}" for second, what in events), "soft"))
    for panel in dashboard["panels"]:
        grid = panel["gridPos"]
        cell = (WIDTH - GAP) / 24
        place = (GAP + grid["x"] * cell, TOP + grid["y"] * UNIT, grid["w"] * cell - GAP, grid["h"] * UNIT - GAP)
        bottom = max(bottom, place[1] + place[3])
        if panel["type"] == "row":
            drawn.append(text(place[0] + 4, place[1] + 17, "▾ " + panel["title"], "row"))
            continue
        drawn.append('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="3" class="panel"/>'.format(*place))
        drawn.append(text(place[0] + 10, place[1] + 18, panel["title"], "title"))
        series = [(name_of(target, labels), points) for target in panel["targets"] for labels, points in ask(target["expr"])]
        if not series:
            empty.append(panel["title"])
            drawn.append(text(place[0] + place[2] / 2, place[1] + place[3] / 2, "No data", "soft middle"))
            continue
        draw_one = {"stat": stat, "heatmap": heatmap, "timeseries": graph}[panel["type"]]
        drawn += draw_one(panel, series, place, times, [start for start in starts if begin < start < end])
    return picture(WIDTH, round(bottom + GAP), drawn, STYLE, f"The dashboard {dashboard['title']}, from a real run"), empty


def name_of(target, labels):
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), target["legendFormat"]) or "value"


def graph(panel, series, place, times, starts):
    defaults = panel["fieldConfig"]["defaults"]
    custom, unit = defaults["custom"], defaults["unit"]
    colours, dashed = looks(panel, [name for name, _ in series])
    stacked = custom["stacking"]["mode"] == "normal"
    values = [value for _, points in series for _, value in points if math.isfinite(value)]
    if stacked:
        series, lower = stack(series)
        values = [value for _, points in series for _, value in points]
    logarithmic = "scaleDistribution" in custom and any(value > 0 for value in values)
    (low, high) = scale(values, defaults, logarithmic, unit)
    round_in = 1024 ** power_of(high) if unit in BYTES else 60 if unit == "s" and high > 120 else 1
    chart = Chart(inner(place), times, (low, high), logarithmic, round_in)
    chart.grid(lambda value: said(value, unit), clocks(times))
    for start in starts:
        x = chart.at(start)
        chart.drawn.append(f'<line x1="{x:.1f}" y1="{chart.y}" x2="{x:.1f}" y2="{chart.y + chart.height}" class="start"/>')
    for name, points in series:
        base = (lambda time, below=lower[name]: below.get(time, 0.0)) if stacked else None
        fill = 0 if name in dashed else custom["fillOpacity"] / 100
        chart.line(broken(points, logarithmic), colours[name], name in dashed, fill=fill * (1 if stacked else 0.8), base=base)
    chart.legend([(name, colours[name]) for name, _ in series], place[1] + place[3] - 26, rows=2)
    return chart.drawn


def looks(panel, names):
    """The colour of each series, and those that are dashed."""
    palette = iter(PALETTE * 3)
    colours, dashed = {}, set()
    fixed = {override["matcher"]["options"]: {p["id"]: p["value"] for p in override["properties"]} for override in panel["fieldConfig"]["overrides"]}
    for name in names:
        properties = fixed.get(name, {})
        colours[name] = COLOURS[properties["color"]["fixedColor"]] if "color" in properties else next(palette)
        if "custom.lineStyle" in properties:
            dashed.add(name)
    return colours, dashed


def stack(series):
    """Each series on top of those before it, and what it stands on."""
    total, stacked, lower = {}, [], {}
    for name, points in series:
        lower[name] = dict(total)
        for time, value in points:
            total[time] = total.get(time, 0.0) + (value if math.isfinite(value) else 0.0)
        stacked.append((name, [(time, total[time]) for time, _ in points]))
    return stacked, lower


def broken(points, logarithmic):
    """With gaps where nothing was measured, or where there is nothing to measure."""
    line, last = [], None
    for time, value in points:
        if last is not None and time - last > 1.5 * STEP:
            line.append((last, None))
        line.append((time, value if math.isfinite(value) and (value > 0 or not logarithmic) else None))
        last = time
    return line


def scale(values, defaults, logarithmic, unit):
    finite = [value for value in values if math.isfinite(value)]
    if logarithmic:
        positive = [value for value in finite if value > 0]
        low, high = 10 ** math.floor(math.log10(min(positive))), 10 ** math.ceil(math.log10(max(positive)))
        return low, max(high, low * 10)
    least = {"s": 0.001, "percentunit": 0.01}.get(unit, 1)
    return 0, defaults.get("max", max(1.08 * max(finite, default=0), least))


def stat(panel, series, place, times, _):
    defaults, (_, points) = panel["fieldConfig"]["defaults"], series[0]
    finite = [(time, value) for time, value in points if math.isfinite(value)]
    last = finite[-1][1]
    colour = [step["color"] for step in defaults["thresholds"]["steps"] if step["value"] is None or last >= step["value"]][-1]
    x, y, width, height = place
    chart = Chart((x + 1, y + height * 0.66, width - 2, height * 0.34 - 1), times, (0, max(value for _, value in finite) * 1.1 or 1))
    chart.line(finite, PALETTE[1] if colour == "text" else COLOURS[colour], width=1.1, fill=0.15)
    fill = "" if colour == "text" else f' style="fill: {COLOURS[colour]}"'
    shown = text(x + width / 2, y + height * 0.66, said(last, defaults["unit"], defaults.get("decimals")), "big").replace('class="big"', f'class="big"{fill}')
    return [*chart.drawn, shown]


def heatmap(panel, series, place, times, _):
    """Buckets hold all that is shorter, too: a cell shows what its neighbour below does not have."""
    buckets = sorted(((float(name.replace("+Inf", "inf")), dict(points)) for name, points in series), key=lambda bucket: bucket[0])
    x, y, width, height = inner(place)
    columns = [times[0] + COLUMN * number for number in range(int((times[1] - times[0]) / COLUMN))]
    cells = []
    for row, (bound, points) in enumerate(buckets):
        below = buckets[row - 1][1] if row else {}
        for column in columns:
            moments = [time for time in points if column <= time < column + COLUMN]
            cells.append((row, column, sum(points[time] - below.get(time, 0.0) for time in moments) / max(1, len(moments))))
    most, tall = max(count for *_, count in cells) or 1, height / len(buckets)
    chart = Chart((x, y, width, height), times, (0, 1))
    chart.drawn += [text(time_x, y + height + 14, label, "scale middle") for time, label in clocks(times) for time_x in [chart.at(time)]]
    wide = width / len(columns)
    for row, column, count in cells:
        if count > 0.01:
            chart.drawn.append(f'<rect x="{chart.at(column):.1f}" y="{y + height - (row + 1) * tall:.1f}" width="{wide - 0.6:.1f}" height="{tall - 0.6:.1f}" '
                               f'fill="#ea7317" fill-opacity="{0.12 + 0.88 * math.sqrt(count / most):.2f}"/>')
    for row, (bound, _) in enumerate(buckets):
        if row % 2 == 0:
            chart.drawn.append(text(x - 6, y + height - row * tall - tall / 2 + 3, "longer" if math.isinf(bound) else said(bound, "s"), "scale right"))
    return chart.drawn


def inner(place):
    """What the axes and the legend leave of a panel."""
    x, y, width, height = place
    return x + 54, y + 30, width - 68, height - 82


def clocks(times):
    return [(times[0] + second, clock(second)) for second in range(0, int(times[1] - times[0]) + 1, 30)]


def clock(second):
    return f"{int(second) // 60}:{int(second) % 60:02}"


def power_of(size):
    """Of 1,024, for bytes."""
    return min(3, int(math.log(size, 1024))) if size >= 1 else 0


def said(value, unit, decimals=None):
    if unit == "s":
        if value >= 60:
            return f"{value / 60:.3g} min"
        return f"{value:.3g} s" if value >= 1 else f"{value * 1000:.3g} ms" if value >= 0.001 or value == 0 else f"{value * 1e6:.3g} µs"
    if unit == "percentunit":
        return f"{100 * value:.{decimals}f} %" if decimals is not None else f"{100 * value:.3g} %"
    if unit in BYTES:
        power = power_of(value)
        return f"{value / 1024 ** power:.3g} {('B', 'KiB', 'MiB', 'GiB')[power]}" + ("/s" if unit == "Bps" else "")
    shown = f"{value:.{decimals}f}" if decimals is not None else f"{value / 1000:.3g} k" if value >= 10_000 else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return shown + {"reqps": " /s", "ops": " /s"}.get(unit, "")
