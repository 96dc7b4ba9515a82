"""Builds and installs what is measured and what measures, as far as it is missing."""

import os
import shutil
import subprocess
from pathlib import Path

BENCHES = Path(__file__).resolve().parent.parent
PEERS = BENCHES / "peers"
PACKAGES = {"redis-server": "redis-server", "taskset": "util-linux", "openssl": "openssl"}


def programs(bench):
    """The path of each Rust program."""
    apt(PACKAGES)
    peers = Path(os.environ.get("CARGO_TARGET_DIR", bench.work / "peers"))
    cargo("build", "--release", "--locked", "--quiet", "--manifest-path", PEERS / "Cargo.toml", "--target-dir", peers)
    found = {name: peers / "release" / name for name in ("raw-hyper", "bare-axum", "rmcp-server", "load")}
    product = Path(os.environ.get("CARGO_TARGET_DIR", BENCHES.parent / "target")) / "release"
    found["pressmark"] = bench.arguments.pressmark or product / "pressmark"
    found["everything"] = bench.arguments.example or product / "examples" / "everything"
    manifest = ("--manifest-path", BENCHES.parent / "Cargo.toml")
    if not bench.arguments.pressmark:
        cargo("build", "--release", "--locked", *manifest)
    if not bench.arguments.example:
        cargo("build", "--release", "--locked", *manifest, "--example", "everything")
    return found


def apt(packages):
    """Installs packages (Debian, Ubuntu), each named after a program that it brings."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    missing = [package for program, package in packages.items() if not shutil.which(program, path=path)]
    if missing:
        print(f"installing {' '.join(missing)}", flush=True)
        root = [] if os.getuid() == 0 else ["sudo"]
        subprocess.run([*root, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True)


def cargo(*arguments):
    subprocess.run(["cargo", *map(str, arguments)], check=True)
