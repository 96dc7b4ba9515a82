"""The goals that Pressmark sets itself, and how the figures stand to them."""

from .latency import PLACEMENTS


def table(figures):
    rows = [row for row in map(reached, goals(figures)) if row]
    if not rows:
        return None
    return "\n".join(["## Goals", "", "| goal | wanted | measured | |", "|---|---|---|---|", *rows])


def reached(goal):
    what, limit, found, form = goal
    if found is None:
        return None
    return f"| {what} | at most {form.format(limit)} | {form.format(found)} | {'reached' if found <= limit else '**missed**'} |"


def goals(figures):
    """What, the limit, the figure (None when it was not measured), and how both are written."""
    yield "trivial tool: CPU beside bare axum", 1.3, ratio(figures, "trivial", "bare-axum"), "{:.2f} ×"
    yield "trivial tool: CPU beside rmcp", 0.4, ratio(figures, "trivial", "rmcp-server"), "{:.2f} ×"
    yield "trivial tool: instructions", 45_000, counted(figures, "trivial", "instructions"), "{:,.0f}"
    yield "trivial tool: allocations", 30, counted(figures, "trivial", "allocations"), "{:.0f}"
    yield "page of 64 KiB: CPU beside raw hyper", 1.1, ratio(figures, "page", "raw-hyper"), "{:.2f} ×"
    yield "page of 64 KiB: CPU beside rmcp", 0.4, ratio(figures, "page", "rmcp-server"), "{:.2f} ×"
    yield "list of 100 entries: CPU beside raw hyper", 1.0, ratio(figures, "listing", "raw-hyper"), "{:.2f} ×"
    for what, found in figures.get("search", {}).items():
        yield f"search, {what}: time beside rg", 1.15, found["pressmark"]["wall"] / found["rg"]["wall"], "{:.2f} ×"
        if "frequent" in what:
            yield f"search, {what}: first page", 20, found["pressmark"]["first"] * 1000, "{:.1f} ms"
    latency = figures.get("latency", {})
    yield "p99 at 10,000 connections beside 50", 1.5, quotient(latency, "pressmark, 10,000 connections", "pressmark, 50 connections"), "{:.2f} ×"
    for where in PLACEMENTS:
        beside = latency.get(f"pressmark {where}, beside searches", {})
        yield f"p99 beside searches, beside idle, {where}", 2, beside.get("ratio"), "{:.2f} ×"
    idle = figures.get("idle", {}).get("pressmark", {})
    yield "resident when idle", 12, idle.get("idle_mib"), "{:.1f} MiB"
    yield "idle connection", 15, idle.get("connection_kib"), "{:.1f} KiB"
    yield "start to first answer", 30, idle.get("start_ms"), "{:.1f} ms"
    yield "binary, stripped", 25, idle.get("binary_mib"), "{:.1f} MiB"
    for case in ("trivial", "page"):
        for shared, load in ("", "the same load for each"), (", shared", "the same for all"):
            costs = [found[case + shared]["cpu"] for found in figures.get("replicas", {}).values() if case + shared in found]
            yield f"1 to 4 replicas, {load}: CPU of `{case}`, most beside one", 1.1, max(costs) / costs[0] if costs else None, "{:.2f} ×"
    costs = [place["cpu"] for size in figures.get("positions", {}).values() for place in size.values()]
    yield "page by size and place: CPU, most beside least", 1.1, max(costs) / min(costs) if costs else None, "{:.2f} ×"


def ratio(figures, case, peer):
    found = figures.get(case, {})
    return found["pressmark"]["cpu"] / found[peer]["cpu"] if "pressmark" in found and peer in found else None


def counted(figures, case, what):
    return figures.get("instructions", {}).get("pressmark", {}).get(case, {}).get(what)


def quotient(latency, one, other):
    return latency[one]["p99"] / latency[other]["p99"] if one in latency and other in latency else None
