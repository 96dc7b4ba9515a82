"""How many calls a server answers, and what each costs it: 50 keep-alive connections, interleaved rounds, medians."""

import json
import statistics
import subprocess

from .cases import CASES
from .placement import LOAD_CORE, pinned
from .servers import Server

CONNECTIONS = 50
WARM_UP = 1


def measure(bench, case_name):
    case = CASES[case_name]
    case.prepare(bench)
    rounds = {name: [] for name in bench.servers}
    for number in range(bench.rounds):
        for name in bench.servers:
            with Server(bench, name, case_name) as server:
                figures = one_round(bench, server, case)
            rounds[name].append(figures)
            print(f"  round {number + 1}  {name:<14}{figures['per_second']:>9,.0f}/s {figures['cpu']:>9.1f} µs "
                  f"({figures['user']:.1f} + {figures['kernel']:.1f})  p99 {figures['p99']:,} µs  failed {figures['failed']}", flush=True)
    return {name: medians(figures) for name, figures in rounds.items()}


def one_round(bench, server, case, connections=CONNECTIONS, rate=None):
    """What calls cost that come one after the other on each connection, or at a fixed rate."""
    request, body = case.request(server)
    load(bench, server, request, body, connections, WARM_UP)
    user, kernel = server.cpu()
    said = load(bench, server, request, body, connections, bench.seconds, rate)
    user, kernel = (after - before for after, before in zip(server.cpu(), (user, kernel)))
    done = said["good"] + said["failed"]
    return {"per_second": said["good"] / said["seconds"], "cpu": (user + kernel) / done, "user": user / done,
            "kernel": kernel / done, "p50": said["p50"], "p99": said["p99"], "failed": said["failed"]}


def load(bench, server, request, body, connections, seconds, rate=None, core=LOAD_CORE, attack=()):
    """Loads the server, attacked or not; what the generator says of it."""
    command = [bench.programs["load"], f"127.0.0.1:{server.port}", bench.file(f"request-{server.port}", request),
               bench.file(f"body-{server.port}", body), connections, seconds, *([] if rate is None else [rate]), *attack]
    said = subprocess.run(pinned(core, command), stdout=subprocess.PIPE, check=True).stdout
    return json.loads(said)


def medians(rounds):
    return {key: statistics.median(figures[key] for figures in rounds) for key in rounds[0]} | {
        "failed": sum(figures["failed"] for figures in rounds), "rounds": len(rounds)}
