"""What a call costs when it comes through nginx to one, two or four replicas."""

import subprocess
from contextlib import ExitStack, contextmanager

from .cases import CASES
from .install import apt
from .placement import LOAD_CORE, free_port, pinned, wait_for_port
from .servers import Server
from .throughput import medians, one_round

REPLICAS = (1, 2, 4)
# Calls a second for each replica, where each gets as many; all together less than nginx can pass on.
TIMED = {"trivial": 1_500, "page": 700}
CONNECTIONS_EACH = 12

CONFIGURATION = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    access_log off; proxy_buffering on; proxy_buffers 16 16k; keepalive_requests 1000000000;
    client_body_temp_path {folder}/nginx-body; proxy_temp_path {folder}/nginx-proxy; fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi; scgi_temp_path {folder}/nginx-scgi;
    upstream replicas {{ {servers} keepalive 64; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://replicas; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""


class Balanced:
    """Several servers behind one port, which cost what they cost together."""

    name = "pressmark"

    def __init__(self, bench, port, replicas):
        self.bench, self.port, self.replicas = bench, port, replicas

    def cpu(self):
        return tuple(map(sum, zip(*(replica.cpu() for replica in self.replicas))))


def measure(bench):
    apt({"nginx": "nginx-light"})
    rounds = {}
    for _ in range(bench.rounds):
        for case in (CASES[name] for name in TIMED):
            case.prepare(bench)
            for count in REPLICAS:
                with ExitStack() as stack:
                    replicas = [stack.enter_context(Server(bench, "pressmark", case.name)) for _ in range(count)]
                    balanced = Balanced(bench, stack.enter_context(nginx(bench, replicas)), replicas)
                    shared = one_round(bench, balanced, case)
                    each = one_round(bench, balanced, case, CONNECTIONS_EACH * count, TIMED[case.name] * count)
                found = rounds.setdefault(f"{count}", {})
                found.setdefault(case.name, []).append(each)
                found.setdefault(f"{case.name}, shared", []).append(shared)
    figures = {count: {case: medians(found) for case, found in cases.items()} for count, cases in rounds.items()}
    for count, cases in figures.items():
        print(f"  {count} replica(s)  " + "  ".join(
            f"{case}: {found['cpu']:.1f} µs, {found['per_second']:,.0f}/s, failed {found['failed']}" for case, found in cases.items()), flush=True)
    return figures


@contextmanager
def nginx(bench, replicas):
    port = free_port()
    servers = " ".join(f"server 127.0.0.1:{replica.port};" for replica in replicas)
    configuration = bench.file("nginx.conf", CONFIGURATION.format(folder=bench.scratch, port=port, servers=servers).encode())
    process = subprocess.Popen(pinned(LOAD_CORE, ["/usr/sbin/nginx", "-c", configuration, "-p", bench.scratch]), stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield port
    finally:
        process.terminate()
        process.wait()
