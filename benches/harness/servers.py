"""The servers: how each is started, what it costs while it runs."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

from .exchange import Client
from .install import PEERS
from .placement import SERVER_CORE, free_port, pinned

TICKS = os.sysconf("SC_CLK_TCK")
# Room for a page of 64 KiB with its escapes.
MAX_RESULT_BYTES = 131_072


def pressmark(bench, port, case=None, state=None, root=None, workers=None):
    """Tokens are checked, metrics can be read, requests are not logged. The trivial tool is one of an example's; the others are the product's."""
    program = [bench.programs["pressmark"], "serve"]
    if case == "trivial":
        program = [bench.programs["everything"]]
    return [*program, root or bench.tree, "--listen", f"127.0.0.1:{port}", "--state", state or bench.redis_url,
            *(() if workers is None else ("--workers", workers)), "--max-result-bytes", MAX_RESULT_BYTES, "--metrics-listen", f"127.0.0.1:{free_port()}", *bench.identity.options()]


def peer(name):
    return lambda bench, port, case=None: [bench.programs[name], f"127.0.0.1:{port}", bench.tree, bench.redis_url]


def script(interpreter, file):
    return lambda bench, port, case=None: [
        bench.programs[interpreter], PEERS / file, f"127.0.0.1:{port}", bench.tree, bench.redis_url]


SERVERS = {
    "pressmark": pressmark,
    "raw-hyper": peer("raw-hyper"),
    "bare-axum": peer("bare-axum"),
    "rmcp-server": peer("rmcp-server"),
    "typescript": script("node", "typescript/server.mjs"),
    "fastmcp": script("python", "fastmcp/server.py"),
}


class Server:
    """A server that runs, alone on its core, until the `with` block ends."""

    def __init__(self, bench, name, case=None, wrap=(), core=SERVER_CORE, log="warn", **options):
        self.bench, self.name, self.port, self.level = bench, name, free_port(), log
        command = SERVERS[name](bench, self.port, case, **options)
        self.command = pinned(core, [*wrap, *command]) if core is not None else [*map(str, wrap), *map(str, command)]

    def __enter__(self):
        environment = {**os.environ, "RUST_LOG": self.level, "NODE_ENV": "production"}
        self.log = open(self.bench.scratch / f"{self.name}.log", "wb")
        self.process = subprocess.Popen(self.command, env=environment, stdout=self.log, stderr=self.log)
        self.wait_until_it_listens()
        return self

    def __exit__(self, *_):
        self.stop()

    def wait_until_it_listens(self, seconds=120):
        end = time.monotonic() + seconds
        while True:
            if self.process.poll() is not None:
                said = Path(self.log.name).read_text(errors="replace")
                raise SystemExit(f"{self.name} ended: {' '.join(self.command)}\n{said}")
            try:
                return Client(self.port).close()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.0002)

    def stop(self):
        if self.process.poll() is None:
            # The server itself, not what wraps it: that has to write what it counted.
            os.kill(self.processes()[-1], signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def processes(self):
        """The server's process and those that it started."""
        found, left = [], [self.process.pid]
        while left:
            pid = left.pop()
            found.append(pid)
            for thread in Path(f"/proc/{pid}/task").iterdir():
                # Threads come and go meanwhile.
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    left += map(int, (thread / "children").read_text().split())
        return found

    def cpu(self):
        """Microseconds of CPU time so far, in user space and in the kernel."""
        user = kernel = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            user, kernel = user + int(fields[11]), kernel + int(fields[12])
        return user * 1_000_000 / TICKS, kernel * 1_000_000 / TICKS

    def memory(self, field="VmRSS"):
        """Resident KiB now (`VmRSS`), or at most so far (`VmHWM`)."""
        total = 0
        for pid in self.processes():
            for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith(f"{field}:"):
                    total += int(line.split()[1])
        return total

    def reset_peak(self):
        """Makes `VmHWM` begin again with what is resident now."""
        for pid in self.processes():
            Path(f"/proc/{pid}/clear_refs").write_text("5")
