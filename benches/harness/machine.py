"""What the figures were measured on and with."""

import os
import platform
import re
import subprocess
from pathlib import Path


def describe():
    model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    memory = int(re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())[1])
    return {
        "cpu": model[1] if model else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": f"{memory / 2**20:.0f} GiB",
        "kernel": platform.release(),
    }


def version(*command):
    """The first line that a program says of itself."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return (said.stdout or said.stderr).strip().splitlines()[0] if said.stdout or said.stderr else None
