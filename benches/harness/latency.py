"""How long calls take at a fixed rate: with few and with many connections open, and while searches keep the CPU lane busy."""

import resource
import threading

from .cases import CASES
from .exchange import Client, tool_call
from .placement import LOAD_CORE, SERVER_CORE
from .search import SOURCES
from .servers import Server
from .throughput import load, medians

RATE = 2_000
CONNECTIONS = (50, 10_000)
SERVERS = ("pressmark", "bare-axum", "rmcp-server")
# With the lane: on the server's own core, and as it is made for, with a core for searches and one for the rest. There the load
# takes from one of them what it needs, which shows without searches, too.
PLACEMENTS = {"on one core": SERVER_CORE, "on both cores": f"{SERVER_CORE},{LOAD_CORE}"}
RATE_BESIDE = 1_000
SEARCHES = 4
# A search that reads every file and finds nothing, so that its answer is always the same.
SEARCH = {"pattern": r"\w+_[0-9]{7}_\w+_no_such_name", "mode": "count"}


class Searching:
    """Searches that a server is busy with until the `with` block ends. They come from threads that sleep meanwhile, not from the
    generator: a second one that spins would take its core from the one that measures."""

    def __init__(self, bench, server):
        self.port, self.request = server.port, tool_call(server.port, bench.identity.token, "search_text", SEARCH)
        self.over, self.right, self.wrong = threading.Event(), 0, []
        self.threads = [threading.Thread(target=self.search) for _ in range(SEARCHES)]

    def search(self):
        client = Client(self.port, timeout=60)
        while not self.over.is_set():
            status, body = client.send(self.request)
            if status == 200 and b'"isError":true' not in body:
                self.right += 1
            else:
                self.wrong.append((status, body[:300]))
                break
        client.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()
        if self.wrong or not self.right:
            raise SystemExit(f"pressmark did not search: {self.wrong}")


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
            for where, core in PLACEMENTS.items():
                with Server(bench, "pressmark", "trivial", core=core, root=SOURCES) as server:
                    before = one_round(bench, server, CONNECTIONS[0], RATE_BESIDE)
                    with Searching(bench, server):
                        beside = one_round(bench, server, CONNECTIONS[0], RATE_BESIDE)
                rounds.setdefault(f"pressmark {where}, no searches", []).append(before)
                # What the machine itself adds to a p99 differs from minute to minute: the two of one round are compared.
                beside["ratio"] = beside["p99"] / before["p99"]
                rounds.setdefault(f"pressmark {where}, beside searches", []).append(beside)
    figures = {what: medians(found) for what, found in rounds.items()}
    for what, found in figures.items():
        print(f"  {what:<42}{found['rate']:,.0f}/s  p50 {found['p50']:>7,.0f} µs  p99 {found['p99']:>8,.0f} µs  "
              f"p99.9 {found['p999']:>8,.0f} µs  failed {found['failed']}", flush=True)
    return figures


def one_round(bench, server, connections, rate=RATE):
    request, body = CASES["trivial"].request(server)
    said = load(bench, server, request, body, connections, bench.seconds, rate)
    return {"rate": rate, **{key: said[key] for key in ("p50", "p99", "p999", "failed")}}
