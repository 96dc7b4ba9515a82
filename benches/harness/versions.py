"""The versions of what was measured and what measured."""

import json
import re

from .bench import ROOT
from .install import PEERS
from .machine import version


def versions(bench):
    lock = (PEERS / "Cargo.lock").read_text()
    crates = {name: re.search(rf'name = "{name}"\nversion = "(.+)"', lock)[1] for name in ("hyper", "axum", "rmcp", "tokio")}
    packages = json.loads((PEERS / "typescript" / "package.json").read_text())["dependencies"]
    fastmcp = re.search(r"^fastmcp==(.+)$", (PEERS / "fastmcp" / "requirements.txt").read_text(), re.MULTILINE)[1]
    pressmark = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    commit = version("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    redis = re.search(r"v=(\S+)", version("redis-server", "--version") or "")
    found = {
        "Pressmark": f"{pressmark} ({commit})", **crates, "TypeScript SDK": packages["@modelcontextprotocol/server"], "FastMCP": fastmcp,
        "Redis": redis and redis[1], "rustc": (version("rustc", "--version") or "").removeprefix("rustc ").split(" ")[0],
    }
    rg = bench.work / "ripgrep" / "bin" / "rg"
    if rg.exists():
        found["ripgrep"] = version(str(rg), "--version").split()[1]
    return {name: said for name, said in found.items() if said}
