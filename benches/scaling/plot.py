"""The day and the burst, as SVG."""

from harness.chart import Chart, picture, text

from . import day

WIDTH, LEFT, GAP, ROW, HEAD, SPACE = 1000, 58, 62, 108, 66, 52
COLOURS = {"roomy": "#ea7317", "crowded": "#2f7ed8"}
MARK, MARKS = "#94a3b8", "dashed: limit of replicas, target of CPU"
NAMES = {"roomy": "nodes with room: a replica gets as much as its limit", "crowded": "crowded nodes: it gets what it requests"}
# Seconds around the burst.
BEFORE, AFTER = 120, 720
STYLE = ("text { font: 12px system-ui, sans-serif; fill: #334155 } .title { font-weight: 600 } .right { text-anchor: end } "
         ".middle { text-anchor: middle } .scale { font-size: 10px; fill: #64748b } .legend { font-size: 11px } .grid { stroke: #e2e8f0 }")


def draw(runs, autoscaler):
    """`runs`: the intervals of each scenario."""
    width = (WIDTH - 2 * LEFT - GAP) / 2
    begin = day.BURST_BEGIN
    first = next(iter(runs.values()))
    spans = [((first[0].begin, first[-1].begin + 15), day_ticks), ((begin - BEFORE, begin + AFTER), burst_ticks)]
    drawn = ['<rect width="100%" height="100%" rx="8" fill="#ffffff"/>']
    head = Chart((LEFT, 0, WIDTH - 2 * LEFT, 0), (0, 1), (0, 1))
    head.legend([(NAMES[name], COLOURS[name]) for name in runs], 22)
    drawn += head.drawn
    # On the right, where the legend leaves room.
    drawn.append(f'<line x1="700" y1="21.5" x2="724" y2="21.5" stroke="{MARK}" stroke-dasharray="5 4"/>')
    drawn.append(text(730, 25.5, MARKS, "legend"))
    rows = [
        ("Agents at work", lambda i: i.agents, (0, 10_000), False, lambda v: f"{v:,.0f}", None),
        ("Replicas that are ready", lambda i: i.ready, (0, autoscaler.most), False, lambda v: f"{v:.0f}", autoscaler.most),
        ("CPU of a replica, % of request", lambda i: 100 * i.cpu, (0, 400), False, lambda v: f"{v:.0f} %", 100 * autoscaler.target),
        ("Calls that wait", lambda i: i.waited / 15, (0.01, 10_000), True, lambda v: f"{v:,.6g}", None),
        ("Reads and listings: p99", lambda i: quantile(i.cheap, 0.99), (0.0001, 100), True, seconds, None),
        ("Searches: p99", lambda i: quantile(i.searches, 0.99), (0.0001, 100), True, seconds, None),
    ]
    for index, (title, read, values, logarithmic, said, mark) in enumerate(rows):
        y = HEAD + index * (ROW + SPACE)
        for column, (times, ticks) in enumerate(spans):
            x = LEFT + column * (width + GAP)
            chart = Chart((x, y, width, ROW), times, values, logarithmic)
            where = ("" if column == 0 else f", around the burst at {begin // 3600}:00")
            chart.drawn.append(text(x, y - 8, title + where, "title"))
            chart.grid(said, ticks(times))
            if mark is not None:
                chart.line([(times[0], mark), (times[1], mark)], MARK, dashed=True, width=1)
            for name, intervals in reversed(runs.items()):
                points = [(i.begin, read(i)) for i in intervals if times[0] <= i.begin <= times[1]]
                if column == 0:
                    points = widest(points, 20)
                chart.line(points, COLOURS[name], width=1.3)
            drawn += chart.drawn
    height = HEAD + len(rows) * (ROW + SPACE) - 10
    return picture(WIDTH, height, drawn, STYLE, "A day of the autoscaler, simulated: agents, replicas, CPU, queue and latency")


def widest(points, count):
    """The highest of each so many: a day has more intervals than the picture has columns, and peaks must not be lost."""
    groups = [points[start:start + count] for start in range(0, len(points), count)]
    return [(group[0][0], max((value for _, value in group if value is not None), default=None)) for group in groups]


def day_ticks(times):
    return [(hour * 3600, f"{hour}:00") for hour in range(0, 25, 4) if times[0] <= hour * 3600 <= times[1]]


def burst_ticks(times):
    return [(second, "start" if second == day.BURST_BEGIN else f"{(second - day.BURST_BEGIN) // 60:+d} min") for second in range(times[0] + BEFORE % 120, times[1] + 1, 120)]


def quantile(sorted_times, part):
    return sorted_times[min(len(sorted_times) - 1, int(part * len(sorted_times)))] if sorted_times else None


def seconds(value):
    return f"{value:g} s" if value >= 1 else f"{value * 1000:g} ms"
