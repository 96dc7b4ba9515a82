"""FastMCP on uvicorn: stateless, JSON answers, no authentication. server.py ADDRESS:PORT FOLDER REDIS-URL"""

import json
import os
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

from fastmcp import FastMCP
from fastmcp.tools import ToolResult
from mcp.types import TextContent
from redis.asyncio import Redis

CURSOR_TTL = 3600
listen, root, redis_url = sys.argv[1:]
address, port = listen.split(":")
root = Path(root)
redis = Redis.from_url(redis_url)
mcp = FastMCP("fastmcp")


@mcp.tool
async def greet(name: str) -> ToolResult:
    """Greets somebody by name, at once."""
    return result([f"Hello, {name}!"])


@mcp.tool
async def read_file(path: str | None = None, byte_limit: int | None = None, cursor: str | None = None) -> ToolResult:
    """Reads a file, page by page."""
    if cursor:
        key, _, position = cursor.rpartition("-")
        position = int(position)
        record = json.loads(await redis.get(key))
        await redis.expire(key, CURSOR_TTL)
    else:
        key, position = uuid.uuid4().hex, 0
        record = {"path": path, "version": version(inside(path).stat()), "bytes": byte_limit or 32_768}
        await redis.set(key, json.dumps(record), ex=CURSOR_TTL)
    with open(inside(record["path"]), "rb") as file:
        found = os.fstat(file.fileno())
        if version(found) != record["version"]:
            raise ValueError("the file has changed")
        raw = os.pread(file.fileno(), record["bytes"], position)
    end = position + len(raw)
    output = {
        "path": record["path"], "version": record["version"], "shown": "text", "mime_type": "text/plain", "encoding": "utf-8",
        "byte_offset": position, "byte_length": len(raw), "total_bytes": found.st_size,
    }
    more = "; end of file"
    if end < found.st_size:
        output["next_cursor"] = f"{key}-{end}"
        more = f'; more: read_file with {{"cursor": "{key}-{end}"}}'
    place = f"{record['path']}: bytes {position}-{end - 1} of {found.st_size}, utf-8, version {record['version']}"
    return result([raw.decode(), place + more], output)


@mcp.tool
async def list_directory(path: str) -> ToolResult:
    """Lists what is in a folder."""
    entries, lines = [], []
    with os.scandir(inside(path)) as folder:
        for entry in sorted(folder, key=lambda entry: entry.name):
            found = entry.stat()
            modified = datetime.fromtimestamp(int(found.st_mtime), UTC).isoformat().replace("+00:00", "Z")
            place = f"{path.rstrip('/')}/{entry.name}"
            if entry.is_dir():
                entries.append({"path": place, "type": "folder", "modified": modified})
                lines.append(f"{entry.name}/\t{modified}")
            else:
                entries.append({"path": place, "type": "file", "size": found.st_size, "modified": modified})
                lines.append(f"{entry.name}\t{found.st_size} bytes\t{modified}")
    return result(["\n".join(lines)], {"entries": entries})


def result(texts, structured=None):
    return ToolResult([TextContent(type="text", text=text) for text in texts], structured)


def version(found):
    return f"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"


def inside(path):
    place = (root / path.lstrip("/")).resolve()
    if not place.is_relative_to(root):
        raise ValueError("outside of the root")
    return place


mcp.run(transport="http", host=address, port=int(port), path="/mcp", stateless_http=True, json_response=True, show_banner=False,
        log_level="warning", uvicorn_config={"access_log": False})
