"""What a call costs, counted: instructions in user space (callgrind), allocations (DHAT) and system calls (strace). The same
on a noisy machine as on a quiet one: a start of the server with N calls is compared with one with 2 N."""

import re
import subprocess

from .cases import CASES
from .exchange import Client
from .install import apt, with_system_allocator
from .servers import Server

CALLS = 100
PEERS = ("pressmark", "raw-hyper", "bare-axum", "rmcp-server")


def measure(bench):
    apt({"valgrind": "valgrind", "strace": "strace"})
    figures = {name: {} for name in bench.servers if name in PEERS}
    for case in CASES.values():
        case.prepare(bench)
        for name in figures:
            counted = {count.__name__: count(bench, name, case) for count in (instructions, allocations, system_calls)}
            figures[name][case.name] = counted
            calls = ", ".join(f"{call} {times:g}" for call, times in counted["system_calls"].items())
            print(f"  {case.name:<9}{name:<14}{counted['instructions']:>11,.0f} instructions "
                  f"{counted['allocations']:>7,.1f} allocations  {calls}", flush=True)
    return figures


def instructions(bench, name, case):
    return per_call(bench, name, case, "callgrind", r"Collected : (\d+)", "--callgrind-out-file=/dev/null")


def allocations(bench, name, case):
    programs = bench.programs
    try:
        # mimalloc asks for memory in its own way, which DHAT does not see.
        bench.programs = programs | with_system_allocator(bench) if name == "pressmark" else programs
        return per_call(bench, name, case, "dhat", r"Total: .* in ([\d,]+) blocks", "--dhat-out-file=/dev/null")
    finally:
        bench.programs = programs


def per_call(bench, name, case, tool, counted, *options):
    def run(calls):
        log = bench.scratch / f"{tool}.log"
        wrap = ["valgrind", f"--tool={tool}", f"--log-file={log}", *options]
        with Server(bench, name, case.name, wrap=wrap) as server:
            serve(server, case, calls)
        return int(re.search(counted, log.read_text())[1].replace(",", ""))

    return (run(2 * CALLS) - run(CALLS)) / CALLS


def system_calls(bench, name, case):
    """The system calls of one call, by name."""
    def run(calls):
        summary = bench.scratch / "strace.log"
        wrap = ["strace", "--follow-forks", "--summary-only", "--summary-columns=calls,name", f"--output={summary}"]
        with Server(bench, name, case.name, wrap=wrap) as server:
            serve(server, case, calls)
        return {call: int(times) for times, call in re.findall(r"^\s*(\d+) (\w+)$", summary.read_text(), re.MULTILINE)}

    few, many = run(CALLS), run(2 * CALLS)
    per_call = {call: round((times - few.get(call, 0)) / CALLS, 1) for call, times in many.items() if call != "total"}
    return {call: times for call, times in sorted(per_call.items(), key=lambda item: -item[1]) if times >= 0.1}


def serve(server, case, calls):
    request, _ = case.request(server)
    client = Client(server.port)
    for _ in range(calls):
        client.send(request)
    client.close()
