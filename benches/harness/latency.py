"""How long calls take at a fixed rate: with few and with many connections open, and while searches keep the CPU lane busy."""

import resource
import subprocess

from .cases import CASES
from .exchange import Client, tool_call
from .placement import LOAD_CORE, SERVER_CORE, pinned
from .search import SOURCES
from .servers import Server
from .throughput import load, medians

RATE = 2_000
CONNECTIONS = (50, 10_000)
SERVERS = ("pressmark", "bare-axum", "rmcp-server")
SEARCHES = 4
# A search that reads every file and finds nothing, so that its answer is always the same.
SEARCH = {"pattern": r"\w+_[0-9]{7}_\w+_no_such_name", "mode": "count"}


class Searching:
    """Searches that a server is busy with until the `with` block ends."""

    def __init__(self, bench, server):
        request = tool_call(server.port, bench.identity.token, "search_text", SEARCH)
        client = Client(server.port)
        status, body = client.send(request)
        client.close()
        assert status == 200, status
        self.command = pinned(LOAD_CORE, [bench.programs["load"], f"127.0.0.1:{server.port}", bench.file("search-request", request),
                                          bench.file("search-body", body), SEARCHES, 3600])

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def measure(bench):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    CASES["trivial"].prepare(bench)
    rounds = {}
    for _ in range(bench.rounds):
        for name in (name for name in SERVERS if name in bench.servers):
            for connections in CONNECTIONS:
                with Server(bench, name, "trivial") as server:
                    rounds.setdefault(f"{name}, {connections:,} connections", []).append(one_round(bench, server, connections))
        if "pressmark" in bench.servers:
            # On both cores, as the lane is made for: one for searches, one for the rest.
            with Server(bench, "pressmark", "trivial", core=f"{SERVER_CORE},{LOAD_CORE}", root=SOURCES) as server:
                rounds.setdefault("pressmark, no searches", []).append(one_round(bench, server, CONNECTIONS[0], RATE // 10))
                with Searching(bench, server):
                    rounds.setdefault("pressmark, beside searches", []).append(one_round(bench, server, CONNECTIONS[0], RATE // 10))
    figures = {what: medians(found) for what, found in rounds.items()}
    for what, found in figures.items():
        print(f"  {what:<34}{found['rate']:,.0f}/s  p50 {found['p50']:>7,.0f} µs  p99 {found['p99']:>8,.0f} µs  "
              f"p99.9 {found['p999']:>8,.0f} µs  failed {found['failed']}", flush=True)
    return figures


def one_round(bench, server, connections, rate=RATE):
    request, body = CASES["trivial"].request(server)
    said = load(bench, server, request, body, connections, bench.seconds, rate)
    return {"rate": rate, **{key: said[key] for key in ("p50", "p99", "p999", "failed")}}
