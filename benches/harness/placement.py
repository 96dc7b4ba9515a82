"""Where programs run: cores and ports."""

import fcntl
import socket
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

# The server has a core of its own; what loads it and what it asks share the other.
SERVER_CORE, LOAD_CORE = 0, 1


@contextmanager
def alone():
    """Waits until no other run on this machine measures time."""
    with open(Path(tempfile.gettempdir()) / "pressmark-bench.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def pinned(core, command):
    """The command, on this core alone."""
    return ["taskset", "--cpu-list", str(core), *map(str, command)]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, seconds=60):
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.002)
