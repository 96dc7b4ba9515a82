"""One run of the harness: its folders and programs, its Redis, its results."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from . import install, machine, versions
from .identity import Identity
from .install import ROOT
from .placement import LOAD_CORE, free_port, pinned, wait_for_port
from .servers import SERVERS


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.rounds, self.seconds, self.big = arguments.rounds, arguments.seconds, arguments.big
        self.work = ROOT / "target" / "bench"
        self.tree = self.work / "tree"
        self.results = self.work / "results"
        for folder in (self.tree, self.results):
            folder.mkdir(parents=True, exist_ok=True)
        self.servers = {name: SERVERS[name] for name in arguments.server or SERVERS}
        self.programs = install.programs(self)
        # What else the machine has to do, as far as it shows before the run.
        self.load = os.getloadavg()[0]

    def __enter__(self):
        self.scratch_folder = tempfile.TemporaryDirectory(dir=self.work, prefix="run-")
        self.scratch = Path(self.scratch_folder.name)
        self.identity = Identity(self.scratch)
        self.redis_port = free_port()
        self.redis_url = f"redis://127.0.0.1:{self.redis_port}"
        self.redis = subprocess.Popen(
            pinned(LOAD_CORE, ["redis-server", "--port", str(self.redis_port), "--save", "", "--appendonly", "no"]),
            stdout=subprocess.DEVNULL, cwd=self.scratch)
        wait_for_port(self.redis_port)
        return self

    def __exit__(self, *_):
        self.redis.terminate()
        self.redis.wait()
        self.scratch_folder.cleanup()

    def file(self, name, content):
        """A file for a program to read, until the run ends."""
        path = self.scratch / name
        path.write_bytes(content)
        return path

    def keep(self, part, figures):
        """Keeps a part's figures until the part is measured again, beside those of servers left out this time."""
        path = self.results / f"{part}.json"
        before = json.loads(path.read_text()) if path.exists() else {}
        kept = before.get("figures", {}) | figures
        # The binary whose figures are kept: that of before, when only peers were measured.
        binary = versions.pressmark(self) if "pressmark" in self.servers or not before else before["pressmark"]
        measured = {"date": time.strftime("%Y-%m-%d"), "machine": machine.describe(), "pressmark": binary,
                    "load": self.load, "figures": kept}
        path.write_text(json.dumps(measured, indent=1))

    def kept(self, part):
        path = self.results / f"{part}.json"
        return json.loads(path.read_text()) if path.exists() else None
