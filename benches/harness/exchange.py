"""One connection to a server, and the messages that go over it."""

import json
import socket


class Client:
    """A keep-alive connection. Not fast: for checks, and where the server's work alone is counted."""

    def __init__(self, port, timeout=120):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, raw):
        """Sends a raw request and gives status and body of the answer."""
        self.socket.sendall(raw)
        status = self.file.readline()
        if not status:
            raise ConnectionError("the server closed the connection")
        headers = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            body = b"".join(self.chunks())
        else:
            body = self.file.read(int(headers.get("content-length", 0)))
        return int(status.split()[1]), body

    def chunks(self):
        while length := int(self.file.readline().split(b";")[0], 16):
            yield self.file.read(length)
            self.file.readline()
        self.file.readline()


def tool_call(port, token, name, arguments):
    """The raw HTTP request of a tool call in revision 2026-07-28."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
    }
    params = {"name": name, "arguments": arguments, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, separators=(",", ":")).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
        f"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: {name}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def call(client, port, token, name, arguments):
    """Calls a tool and gives its result; an error when there is none."""
    status, body = client.send(tool_call(port, token, name, arguments))
    answer = json.loads(body) if body else {}
    if status != 200 or "result" not in answer or answer["result"].get("isError"):
        raise WrongAnswer(f"status {status}, {body[:300]!r}")
    return answer["result"]


class WrongAnswer(Exception):
    """The server does not do what is to be timed."""
