"""The versions of what was measured and what measured."""

import hashlib
import json
import re
import subprocess

from .install import PEERS, ROOT
from .machine import version


def pressmark(bench):
    """The version that is measured, with its commit if it was built here; the hash tells one binary from another."""
    program = bench.programs["pressmark"]
    said = version(str(program), "--version").removeprefix("pressmark ")
    digest = hashlib.sha256(program.read_bytes()).hexdigest()[:12]
    if bench.arguments.pressmark:
        return f"{said} (a given binary, SHA-256 {digest}…)"
    changed = subprocess.run(["git", "-C", ROOT, "status", "--porcelain", "src", "Cargo.lock"], capture_output=True, check=False).stdout
    commit = version("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    return f"{said} ({commit}{' and changes' if changed else ''}, SHA-256 {digest}…)"


def versions(bench):
    """Those of everything but Pressmark."""
    lock = (PEERS / "Cargo.lock").read_text()
    crates = {name: re.search(rf'name = "{name}"\nversion = "(.+)"', lock)[1] for name in ("hyper", "axum", "rmcp", "tokio")}
    packages = json.loads((PEERS / "typescript" / "package.json").read_text())["dependencies"]
    fastmcp = re.search(r"^fastmcp==(.+)$", (PEERS / "fastmcp" / "requirements.txt").read_text(), re.MULTILINE)[1]
    redis = re.search(r"v=(\S+)", version("redis-server", "--version") or "")
    found = {
        **crates, "TypeScript SDK": packages["@modelcontextprotocol/server"], "FastMCP": fastmcp,
        "Redis": redis and redis[1], "rustc": (version("rustc", "--version") or "").removeprefix("rustc ").split(" ")[0],
    }
    rg = bench.work / "ripgrep" / "bin" / "rg"
    if rg.exists():
        found["ripgrep"] = version(str(rg), "--version").split()[1]
    return {name: said for name, said in found.items() if said}
