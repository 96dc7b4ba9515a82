"""mcp, the Python client: `python python.py URL TOKEN MODE`, where MODE is "legacy" or "auto"."""

import asyncio
import json
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

URL, TOKEN, MODE = sys.argv[1:]


async def main():
    try:
        await journey("not-the-token")
        refused = "connected"
    except BaseException as error:
        refused = describe(error)
    print(json.dumps({"refused": refused} | await journey(TOKEN)))


async def journey(token):
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx2.AsyncClient(headers=headers) as http_client,
        Client(streamable_http_client(URL, http_client=http_client), mode=MODE) as client,
    ):
        report = {"version": client.protocol_version, "tools": [], "pages": [], "found": []}

        page = await client.list_tools()
        report["tools"] += [tool.name for tool in page.tools]
        while page.next_cursor:
            page = await client.list_tools(cursor=page.next_cursor)
            report["tools"] += [tool.name for tool in page.tools]

        page = await client.call_tool("read_file", {"path": "/long.txt"})
        report["pages"].append(page.content[0].text)
        while cursor := page.structured_content.get("next_cursor"):
            page = await client.call_tool("read_file", {"cursor": cursor})
            report["pages"].append(page.content[0].text)

        page = await client.call_tool("search_text", {"pattern": "needle", "literal": True, "limit": 2})
        report["found"] += [file["path"] for file in page.structured_content["files"]]
        while cursor := page.structured_content.get("next_cursor"):
            page = await client.call_tool("search_text", {"cursor": cursor})
            report["found"] += [file["path"] for file in page.structured_content["files"]]

        report["progress"] = 0

        async def on_progress(progress, total, message):
            report["progress"] += 1

        slow = {"pattern": r"\b(\w+\W+){1,30}[0-9]\b", "path": "/slow"}
        await client.call_tool("search_text", slow, progress_callback=on_progress)

        edits = [{"old_text": "- [ ] sew", "new_text": "- [x] sew"}]
        edited = await client.call_tool("edit_file", {"path": "/list.md", "edits": edits})
        report["diff"] = edited.content[0].text

        missing = await client.call_tool("read_file", {"path": "/missing.txt"})
        report["error"] = missing.content[0].text if missing.is_error else None
        return report


def describe(error):
    """The error, or those in a group of errors."""
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(map(describe, error.exceptions))
    return f"{type(error).__name__}: {error}"


asyncio.run(main())
