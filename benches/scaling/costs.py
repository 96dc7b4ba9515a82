"""What a call costs: from benches/RESULTS.md, and for a search measured here."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from harness import machine
from harness.cases import source_text
from harness.exchange import Client, call
from harness.placement import free_port

from .settings import ROOT

RESULTS, SEARCHES = ROOT / "benches" / "RESULTS.md", Path(__file__).with_name("search.json")
# A working tree of a project: 2,000 files of 8 KiB in 100 folders.
FOLDERS, FILES, KIB = 100, 20, 8
# A text that is nowhere, so that every file is read; and one of which the first page of 100 lines is soon full.
PATTERNS = {"rare": "a text that is nowhere", "frequent": "path"}
SECONDS_EACH, TOKEN = 3, "a-token-for-the-measurement"


@dataclass(frozen=True)
class Costs:
    """Seconds of CPU."""

    trivial: float
    page: float
    listing: float
    search_rare: float
    search_frequent: float
    # Seconds from the start of the process to its first answer.
    start: float


def read():
    results = RESULTS.read_text()
    calls = results.partition("## The three calls")[2].partition("\n## ")[0]
    # Calls a second, then the CPU time, of each call.
    [row] = re.findall(r"^\| pressmark " + r"\| [\d,]+ \| ([\d,.]+) [^|]*" * 3, calls, re.M)
    [start] = re.findall(r"^\| start to first answer \| .*? \| ([\d.]+) ms \|", results, re.M)
    trivial, page, listing = (float(text.replace(",", "")) / 1e6 for text in row)
    searches = json.loads(SEARCHES.read_text())["cpu_us"]
    return Costs(trivial, page, listing, searches["rare"] / 1e6, searches["frequent"] / 1e6, float(start) / 1000)


def measure_searches(program):
    """CPU time of a search in a tree that lies in memory; kept beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        make_tree(Path(folder))
        port = free_port()
        server = subprocess.Popen(
            [program, "serve", folder, "--listen", f"127.0.0.1:{port}", "--dev-token", TOKEN],
            env={**os.environ, "RUST_LOG": "warn"}, stdout=subprocess.DEVNULL, stderr=sys.stderr)
        try:
            found = {name: searches(server.pid, connect(port), port, pattern) for name, pattern in PATTERNS.items()}
        finally:
            server.terminate()
            server.wait()
    described = f"{FOLDERS * FILES:,} files of {KIB} KiB in {FOLDERS} folders"
    kept = {"cpu_us": found, "tree": described, "date": time.strftime("%Y-%m-%d"), "machine": machine.describe()}
    SEARCHES.write_text(json.dumps(kept, indent=1) + "\n")
    return kept


def make_tree(root):
    for folder in range(FOLDERS):
        (root / f"part_{folder:02}").mkdir()
        for file in range(FILES):
            (root / f"part_{folder:02}" / f"module_{file:02}.rs").write_bytes(source_text() * KIB)


def connect(port):
    end = time.monotonic() + 20
    while True:
        try:
            return Client(port)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def searches(pid, client, port, pattern):
    """Microseconds of CPU time for each, in user space and in the kernel."""
    search = lambda: call(client, port, TOKEN, "search_text", {"pattern": pattern, "literal": True, "mode": "lines"})
    for _ in range(5):
        search()
    before, count, end = cpu_ticks(pid), 0, time.monotonic() + SECONDS_EACH
    while time.monotonic() < end:
        search()
        count += 1
    return round((cpu_ticks(pid) - before) * 1e6 / os.sysconf("SC_CLK_TCK") / count, 1)


def cpu_ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
