"""Draws the CPU time of each call as bars, on a logarithmic scale, as SVG."""

import math
from html import escape

COLOURS = {"pressmark": "#c2410c", "raw-hyper": "#64748b", "bare-axum": "#94a3b8", "rmcp-server": "#0e7490", "typescript": "#1d4ed8",
           "fastmcp": "#7e22ce"}
LABELS, WIDTH, BAR, GAP, TITLE = 110, 620, 16, 4, 26


def bars(cases):
    """`cases`: for each case the figures of each server."""
    costs = [found["cpu"] for case in cases.values() for found in case.values()]
    low, high = 10 ** math.floor(math.log10(min(costs))), 10 ** math.ceil(math.log10(max(costs)))
    place = lambda cost: LABELS + (WIDTH - LABELS - 70) * (math.log10(cost / low) / math.log10(high / low))
    drawn, top = [], 10
    for case, servers in cases.items():
        drawn.append(text(0, top + 14, f"{case}: CPU time of a call, µs (logarithmic)", "title"))
        top += TITLE
        bottom = top + len(servers) * (BAR + GAP)
        for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
            x = place(10 ** power)
            drawn.append(f'<line x1="{x:.1f}" y1="{top - 4}" x2="{x:.1f}" y2="{bottom}" class="grid"/>')
            drawn.append(text(x, bottom + 12, f"{10 ** power:,}", "scale"))
        for server, found in servers.items():
            width = max(place(found["cpu"]) - LABELS, 1)
            drawn.append(text(LABELS - 6, top + 12, server, "server"))
            drawn.append(f'<rect x="{LABELS}" y="{top}" width="{width:.1f}" height="{BAR}" fill="{COLOURS.get(server, "#475569")}"/>')
            drawn.append(text(LABELS + width + 5, top + 12, f"{found['cpu']:,.1f}", "value"))
            top += BAR + GAP
        top += TITLE + 8
    style = ("text { font: 12px sans-serif; fill: #334155 } .title { font-weight: bold } .server { text-anchor: end } "
             ".scale { text-anchor: middle; font-size: 10px; fill: #94a3b8 } .grid { stroke: #e2e8f0 }")
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}">\n'
            f'<style>{style}</style>\n<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(drawn) + "\n</svg>\n")


def text(x, y, said, kind):
    return f'<text x="{x:.1f}" y="{y}" class="{kind}">{escape(said)}</text>'
