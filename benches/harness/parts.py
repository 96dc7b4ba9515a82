"""The parts of a run, in their order."""

from dataclasses import dataclass
from functools import partial
from typing import Callable

from . import attacks, idle, instructions, latency, memory, positions, replicas, runtimes, search, throughput
from .cases import CASES


@dataclass
class Part:
    name: str
    about: str
    measure: Callable
    # Whether another run on this machine would disturb it.
    timed: bool = True


PARTS = [
    *(Part(case.name, case.about, partial(throughput.measure, case_name=case.name)) for case in CASES.values()),
    Part("instructions", "instructions, allocations and system calls of each call", instructions.measure, timed=False),
    Part("idle", "memory of an idle server and of idle connections, cold start, binary size", idle.measure),
    Part("search", "search_text beside rg", search.measure),
    Part("latency", "latency at a fixed rate: many connections, searches meanwhile", latency.measure),
    Part("attacks", "latency of good clients and memory while the server is attacked", attacks.measure),
    Part("memory", "memory while it works on large files, with --big on large folders", memory.measure),
    Part("runtimes", "one multi-threaded process beside single-threaded ones", runtimes.measure),
    Part("replicas", "one, two and four replicas behind nginx", replicas.measure),
    Part("positions", "a page by the size of its file and the place in it", positions.measure),
]
