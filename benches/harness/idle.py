"""What a server costs while nobody calls: its memory, that of open connections, its start, its size on disk."""

import json
import resource
import statistics
import subprocess
import time

from .cases import CASES
from .exchange import Client
from .placement import LOAD_CORE, pinned
from .servers import Server
from .throughput import CONNECTIONS, load

OPEN = 10_000
STARTS = 10
SETTLING = 1


def measure(bench):
    # What the harness may open, the programs that it starts may open, too.
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    connections = min(OPEN, limit - 200)
    for case in CASES.values():
        case.prepare(bench)
    figures = {}
    for name in bench.servers:
        with Server(bench, name) as server:
            time.sleep(SETTLING)
            idle = server.memory()
        with Server(bench, name, "trivial") as server:
            each, opened = connection_memory(bench, server, connections)
        program = bench.programs.get(name)
        found = {"idle_mib": idle / 1024, "connection_kib": each, "connections": opened, "start_ms": start(bench, name),
                 "binary_mib": program.stat().st_size / 2**20 if program else None}
        figures[name] = found
        size = f"binary {found['binary_mib']:.1f} MiB" if program else ""
        print(f"  {name:<14}idle {found['idle_mib']:>6.1f} MiB  {each:>6.1f} KiB for each of {opened:,} connections  "
              f"first answer after {found['start_ms']:>7.1f} ms  {size}", flush=True)
    return figures


def connection_memory(bench, server, connections):
    """KiB for each idle connection that has made one request, and how many there were."""
    request, body = CASES["trivial"].request(server)
    load(bench, server, request, body, CONNECTIONS, SETTLING)
    before = server.memory()
    command = [bench.programs["load"], f"127.0.0.1:{server.port}", bench.file("request", request), bench.file("body", body),
               connections, 0]
    with subprocess.Popen(pinned(LOAD_CORE, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        said = json.loads(holder.stdout.readline())
        time.sleep(SETTLING)
        after = server.memory()
        holder.stdin.close()
    return (after - before) / said["good"], said["good"]


def start(bench, name):
    """Milliseconds from the start of the process to its first answer, the median."""
    took = []
    options = {"state": "memory"} if name == "pressmark" else {}
    request = None
    for _ in range(STARTS + 1):
        before = time.perf_counter()
        with Server(bench, name, **options) as server:
            if request:
                client = Client(server.port)
                status, _ = client.send(request.replace(b":PORT", f":{server.port}".encode()))
                took.append((time.perf_counter() - before) * 1000)
                client.close()
                assert status == 200, status
            else:
                request = CASES["listing"].request(server)[0].replace(f":{server.port}".encode(), b":PORT")
    return statistics.median(took)
