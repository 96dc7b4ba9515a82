"""`search_text` beside `rg`, over the sources that cargo has downloaded, each with all its pages."""

import json
import os
import resource
import statistics
import subprocess
import time
from pathlib import Path

from .exchange import Client, tool_call
from .install import ripgrep
from .placement import pinned
from .servers import Server

SOURCES = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "registry" / "src"
# What is looked for, and whether it is a plain text.
PATTERNS = {
    "literal, rare": ("RFC 6455", True),
    "literal, frequent": ("unsafe", True),
    "regex, rare": (r"fn \w+_unchecked_\w+\(", False),
    "regex, frequent": (r"\bpub (async )?fn [a-z]+_[a-z]+\(", False),
}
LINES_IN_A_PAGE = 1000


def measure(bench):
    rg = ripgrep(bench)
    # Both find the files in memory.
    run_rg(rg, "0-1", "warm", True)
    figures = {}
    for cores in ("0", "0-1"):
        for what, (pattern, literal) in PATTERNS.items():
            theirs, ours = [], []
            for _ in range(bench.rounds):
                theirs.append(run_rg(rg, cores, pattern, literal))
                ours.append(run_pressmark(bench, cores, pattern, literal))
            if theirs[0]["lines"] != ours[0]["lines"]:
                raise SystemExit(f"search_text is not timed: {pattern}: {ours[0]['lines']} lines, rg has {theirs[0]['lines']}")
            middle = {side: {key: statistics.median(run[key] for run in runs) for key in runs[0]}
                      for side, runs in (("rg", theirs), ("pressmark", ours))}
            threads = 1 if cores == "0" else 2
            figures[f"{what}, {threads} core{'s' * (threads > 1)}"] = {"pattern": pattern, **middle}
            print(f"  {what:<18}{threads} core(s)  {middle['rg']['lines']:>7,} lines   rg {middle['rg']['wall'] * 1000:>6.0f} ms, "
                  f"CPU {middle['rg']['cpu'] * 1000:>6.0f} ms   search_text {middle['pressmark']['wall'] * 1000:>6.0f} ms, "
                  f"CPU {middle['pressmark']['cpu'] * 1000:>6.0f} ms, {middle['pressmark']['pages']:g} pages, "
                  f"first after {middle['pressmark']['first'] * 1000:.1f} ms", flush=True)
    return figures


def run_rg(rg, cores, pattern, literal):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    # rg takes as many threads as it has cores, and prints each matching line with its number.
    command = [rg, "--line-number", "--no-heading", *(["--fixed-strings"] if literal else []), "--regexp", pattern, "."]
    said = subprocess.run(pinned(cores, command), cwd=SOURCES, stdout=subprocess.PIPE, check=False)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": wall, "cpu": cpu, "lines": said.stdout.count(b"\n")}


def run_pressmark(bench, cores, pattern, literal):
    search = {"pattern": pattern, "literal": literal, "mode": "lines"}
    with Server(bench, "pressmark", core=cores, root=SOURCES) as server:
        client, token = Client(server.port), bench.identity.token
        raw, start = tool_call(server.port, token, "search_text", search), time.perf_counter()
        client.send(raw)
        first, before = time.perf_counter() - start, server.cpu()
        arguments, wall, lines, pages = {**search, "limit": LINES_IN_A_PAGE}, 0, 0, 0
        while arguments:
            raw, start = tool_call(server.port, token, "search_text", arguments), time.perf_counter()
            _, body = client.send(raw)
            # What this client does with the answer is not the server's time.
            wall += time.perf_counter() - start
            found = json.loads(body)["result"]["structuredContent"]
            pages, lines = pages + 1, lines + sum(len(file["lines"]) for file in found["files"])
            arguments = {"cursor": found["next_cursor"]} if found.get("next_cursor") else None
        cpu = (sum(server.cpu()) - sum(before)) / 1_000_000
        client.close()
    return {"wall": wall, "cpu": cpu, "lines": lines, "pages": pages, "first": first}
