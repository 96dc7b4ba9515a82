"""One multi-threaded process beside single-threaded ones: what a call costs, and how long it takes beside searches."""

import statistics
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from .cases import CASES
from .latency import Searching
from .placement import LOAD_CORE, SERVER_CORE
from .search import SOURCES
from .servers import Server
from .throughput import WARM_UP, load

BOTH = f"{SERVER_CORE},{LOAD_CORE}"
# The core and the worker threads of each process. On one core they differ in the runtime alone; on both, one has two threads that
# share their work, and the other is two processes that share nothing, as with a listener for each core.
SHAPES = {
    "one core: one thread": [(SERVER_CORE, 1)],
    "one core: two workers": [(SERVER_CORE, 2)],
    "both cores: a process of two workers": [(BOTH, 2)],
    "both cores: two processes of one thread": [(SERVER_CORE, 1), (LOAD_CORE, 1)],
}
CALLS = {"trivial": 4_000, "page": 1_500}
CONNECTIONS = 50
RATE_BESIDE = 1_000


def measure(bench):
    rounds = {shape: {} for shape in SHAPES}
    for _ in range(bench.rounds):
        for case in (CASES[name] for name in CALLS):
            case.prepare(bench)
            for shape, processes in SHAPES.items():
                with ExitStack() as stack:
                    servers = [stack.enter_context(Server(bench, "pressmark", case.name, core=core, workers=workers))
                               for core, workers in processes]
                    rounds[shape].setdefault(case.name, []).append(one_round(bench, servers, case, CALLS[case.name]))
        for shape, processes in SHAPES.items():
            with ExitStack() as stack:
                servers = [stack.enter_context(Server(bench, "pressmark", "trivial", core=core, workers=workers, root=SOURCES))
                           for core, workers in processes]
                stack.enter_context(Searching(bench, servers[0]))
                rounds[shape].setdefault("beside searches", []).append(one_round(bench, servers, CASES["trivial"], RATE_BESIDE))
    figures = {shape: {what: {key: statistics.median(one[key] for one in found) for key in ("cpu", "p50", "p99")} |
                       {"failed": sum(one["failed"] for one in found)} for what, found in kinds.items()} for shape, kinds in rounds.items()}
    for shape, found in figures.items():
        print(f"  {shape:<42}" + "  ".join(f"{name}: {found[name]['cpu']:.1f} µs, p99 {found[name]['p99']:,.0f} µs" for name in CALLS)
              + f"  beside searches: p50 {found['beside searches']['p50']:,.0f} µs, p99 {found['beside searches']['p99']:,.0f} µs  "
              f"failed {sum(one['failed'] for one in found.values())}", flush=True)
    return figures


def one_round(bench, servers, case, rate):
    """Each server gets its part of the calls, from a generator of its own."""
    asked = [(server, *case.request(server)) for server in servers]
    share = len(servers)

    def ask(seconds, rate):
        with ThreadPoolExecutor(share) as generators:
            said = [generators.submit(load, bench, server, request, body, CONNECTIONS // share, seconds, rate and rate // share)
                    for server, request, body in asked]
        return [one.result() for one in said]

    ask(WARM_UP, None)
    before = sum(sum(server.cpu()) for server in servers)
    said = ask(bench.seconds, rate)
    cpu = sum(sum(server.cpu()) for server in servers) - before
    done = sum(one["good"] + one["failed"] for one in said)
    return {"cpu": cpu / done, "failed": sum(one["failed"] for one in said),
            "p50": statistics.median(one["p50"] for one in said), "p99": max(one["p99"] for one in said)}
