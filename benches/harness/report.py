"""Writes RESULTS.md and its plot from the figures that are kept, of this run and of those before."""

from . import goals, plot
from .cases import CASES
from .install import BENCHES
from .parts import PARTS
from .replicas import CONNECTIONS_EACH, TIMED
from .runtimes import CALLS, RATE_BESIDE
from .throughput import CONNECTIONS
from .versions import versions

# A load average under which nothing else of weight runs.
QUIET = 0.5
DIGITS = {"cpu": 1, "per_second": 0}


def write(bench):
    kept = {part.name: found for part in PARTS if (found := bench.kept(part.name))}
    figures = {name: found["figures"] for name, found in kept.items()}
    sections = [section for section in (
        head(bench, kept), goals.table(figures), calls(figures), instructions(figures), idle(figures), search(figures),
        latency(figures), attacks(figures), memory(figures), runtimes(figures), replicas(figures),
        positions(figures)) if section]
    (BENCHES / "RESULTS.md").write_text("\n\n".join(sections) + "\n")
    timed = {case: figures[case] for case in CASES if case in figures}
    if timed:
        (BENCHES / "results.svg").write_text(plot.bars(timed))
    print(f"\nwritten: {BENCHES / 'RESULTS.md'}")


def head(bench, kept):
    machine = next(iter(kept.values()))["machine"]
    days = sorted({found["date"] for found in kept.values()})
    lines = [
        "# Results", "",
        "Written by `benches/run`; `benches/README.md` says how it measures. Compare figures of one table with each other: they "
        "were measured in turns. CPU time is what a call costs the server; throughput depends on the machine as a whole, too.", "",
        f"- {machine['cpu']}, {machine['cores']} cores, {machine['memory']}, Linux {machine['kernel']}; {' to '.join(dict.fromkeys((days[0], days[-1])))}",
        f"- Pressmark {', '.join(dict.fromkeys(found['pressmark'] for found in kept.values()))}",
        f"- {', '.join(f'{name} {version}' for name, version in versions(bench).items())}",
    ]
    load = max(found.get("load", 0) for found in kept.values())
    if load > QUIET:
        lines += ["", f"**The machine was not quiet** (load average {load:.1f} before the run): take the times for what they are; the counts hold."]
    return "\n".join(lines)


def calls(figures):
    timed = [case for case in CASES if case in figures]
    if not timed:
        return None
    servers = list(dict.fromkeys(server for case in timed for server in figures[case]))
    rows = []
    for server in servers:
        row = [server]
        for case in timed:
            found = figures[case].get(server)
            row += [f"{found['per_second']:,.0f}", f"{found['cpu']:,.1f} ({found['user']:,.1f} + {found['kernel']:,.1f})"] if found else ["", ""]
        rows.append(row)
    failed = sum(found["failed"] for case in timed for found in figures[case].values())
    rounds = min(found["rounds"] for case in timed for found in figures[case].values())
    return "\n\n".join((
        "## The three calls",
        "".join(f"`{case}`: {CASES[case].about}. " for case in timed)
        + f"Medians of {rounds} interleaved round{'s' * (rounds > 1)}, 50 keep-alive connections, the server alone on a core; calls a second, and "
        f"microseconds of CPU time a call (user + kernel). Failed calls: {failed}. Pressmark checks a token (ES256) and scopes and the whole "
        "protocol; no other server here authenticates, and the first two do not know the protocol.",
        table(["server", *(title for case in timed for title in (f"{case}: /s", "CPU µs"))], rows),
        "![CPU time of each call](results.svg)"))


def instructions(figures):
    found = figures.get("instructions")
    if not found:
        return None
    rows = [[server, *(text for case in CASES for text in (
        f"{counted[case]['instructions']:,.0f}", f"{counted[case]['allocations']:,.0f}", f"{sum(counted[case]['system_calls'].values()):,.1f}"))]
        for server, counted in found.items()]
    details = [f"- `{case}`, {server}: " + ", ".join(f"{call} {times:g}" for call, times in counted[case]["system_calls"].items())
               for case in CASES for server, counted in found.items()]
    return "\n\n".join((
        "## Counted",
        "For each call: instructions in user space (callgrind), allocations (DHAT) and system calls (strace), of one connection.",
        table(["server", *(title for case in CASES for title in (f"{case}: instructions", "allocations", "system calls"))], rows),
        "\n".join(details)))


def idle(figures):
    found = figures.get("idle")
    if not found:
        return None
    rows = [[server, f"{one['idle_mib']:.1f}", f"{one['connection_kib']:.1f}", f"{one['start_ms']:,.1f}",
             f"{one['binary_mib']:.1f}" if one["binary_mib"] else ""] for server, one in found.items()]
    connections = min(one["connections"] for one in found.values())
    return "\n\n".join((
        "## At rest",
        f"Resident after the start; what each of {connections:,} idle keep-alive connections adds that has made one call; from the start of the "
        "process to its first answer (the median of 10); the stripped binary. Pressmark starts with a folder and memory state, the others "
        "connect to Redis. Node and uvicorn close idle connections after 5 s, so that some of theirs are gone when memory is looked at.",
        table(["server", "idle, MiB", "a connection, KiB", "start, ms", "binary, MiB"], rows)))


def search(figures):
    found = figures.get("search")
    if not found:
        return None
    rows = [[f"{what}: `{one['pattern'].replace('|', chr(92) + '|')}`", f"{one['rg']['lines']:,.0f}",
             *(f"{one[side][key] * 1000:,.0f}" for key in ("cpu", "wall") for side in ("rg", "pressmark")),
             f"{one['pressmark']['cpu'] / one['rg']['cpu']:.2f} / {one['pressmark']['wall'] / one['rg']['wall']:.2f}",
             f"{one['pressmark']['pages']:g}", f"{one['pressmark']['first'] * 1000:,.1f}"] for what, one in found.items()]
    return "\n\n".join((
        "## `search_text` beside `rg`",
        "Over the sources that cargo has downloaded, in mode `lines`, with all pages of up to 1,000 lines, each a call of its own; rg prints "
        "the same lines into a pipe. The first page is one of 100 lines, as it is without `limit`. Milliseconds.",
        table(["pattern", "lines", "rg: CPU", "search_text: CPU", "rg: wall", "search_text: wall", "ratio: CPU / wall", "pages",
               "first page after"], rows)))


def latency(figures):
    found = figures.get("latency")
    if not found:
        return None
    rows = [[what, f"{one['rate']:,}", *(f"{one[key]:,.0f}" for key in ("p50", "p99", "p999")), f"{one['failed']:g}"]
            for what, one in found.items()]
    return "\n\n".join((
        "## Latency",
        "The trivial tool at a fixed rate (an open loop: a call's latency counts from when it was due). Microseconds.",
        table(["", "calls a second", "p50", "p99", "p99.9", "failed"], rows)))


def attacks(figures):
    found = figures.get("attacks")
    if not found:
        return None
    rows = [[what, f"{one['idle']['p50']:,.0f} / {one['idle']['p99']:,.0f}", f"{one['p50']:,.0f} / {one['p99']:,.0f}", f"{one['ratio']:.2f}",
             f"{one['failed']:g}", f"{one['peak_mib']:.1f}", one["met"]] for what, one in found.items()]
    rate, seconds = next(iter(found.values()))["rate"], next(iter(found.values()))["seconds"]
    return "\n\n".join((
        "## Under attack",
        f"A small file, read {rate:,} times a second by callers with a good token over 50 connections (an open loop), for {seconds:g} s without an "
        "attack and as long with it, on the same process, which has one core and logs each request. Microseconds, and the ratio of the two p99; "
        "the most that was resident; what the attackers met.",
        table(["attack", "idle: p50 / p99", "attacked: p50 / p99", "p99, times", "failed", "peak, MiB", "they met"], rows)))


def memory(figures):
    found = figures.get("memory")
    if not found:
        return None
    rows = [[what, f"{one['before_mib']:.1f}", f"{one['peak_mib']:.1f}", one["did"]] for what, one in found.items()]
    return "\n\n".join(("## Memory under work", "Resident memory of Pressmark before, and the most it was meanwhile.",
                        table(["", "before, MiB", "peak, MiB", ""], rows)))


def replicas(figures):
    found = figures.get("replicas")
    if not found:
        return None
    columns = [(f"{case}{shared}", key, title) for case in TIMED for shared, key, title in (
        ("", "cpu", "same load for each: CPU µs"), (", shared", "cpu", "same for all: CPU µs"), (", shared", "per_second", "/s"))]
    rows = [[what, *(f"{one[case][key]:,.{DIGITS[key]}f}" for case, key, _ in columns)] for what, one in found.items()]
    rates = " and ".join(f"{rate:,} a second ({case})" for case, rate in TIMED.items())
    return "\n\n".join((
        "## Replicas behind nginx",
        f"CPU time of a call, of all replicas together, which share a core; nginx, Redis and the load share the other. With the same load for "
        f"each, every replica brings {rates} and {CONNECTIONS_EACH} connections, as when a deployment grows; with the same for all, {CONNECTIONS} "
        "connections ask as fast as they can, and a replica finds fewer calls waiting in each turn of its loop the more there are.",
        table(["replicas", *(f"{case.removesuffix(', shared')}, {title}" for case, _, title in columns)], rows)))


def runtimes(figures):
    found = figures.get("runtimes")
    if not found:
        return None
    rows = [[shape, *(f"{one[case]['cpu']:,.1f}" for case in CALLS),
             *(f"{one['beside searches'][key]:,.0f}" for key in ("p50", "p99"))] for shape, one in found.items()]
    rates = ", ".join(f"{case} {rate:,} times a second" for case, rate in CALLS.items())
    return "\n\n".join((
        "## One process of several threads, or several of one",
        f"CPU time of a call at a fixed rate ({rates}), and the latency of the trivial tool beside searches, at {RATE_BESIDE:,} a second; "
        "microseconds. On both cores the load runs on one of them, too, and the searches go to one process.",
        table(["shape", *(f"{case}: CPU" for case in CALLS), "beside searches: p50", "p99"], rows)))


def positions(figures):
    found = figures.get("positions")
    if not found:
        return None
    places = list(next(iter(found.values())))
    return "\n\n".join((
        "## A page by the file's size and the place in it", "Microseconds of CPU time for a page of 64 KiB by a cursor.",
        table(["file", *places], [[size, *(f"{one[place]['cpu']:,.1f}" for place in places)] for size, one in found.items()])))


def table(titles, rows):
    line = lambda cells: f"| {' | '.join(cells)} |"
    return "\n".join([line(titles), line(["---"] + ["---:"] * (len(titles) - 1)), *map(line, rows)])
