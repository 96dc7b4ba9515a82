"""Three minutes of agents, with what goes wrong on purpose."""

import json
import random
import signal
import socket
import threading
import time

from harness.exchange import Client, tool_call

SECONDS = 180
AGENTS, STREAMS = 24, 12
# Seconds after the beginning: what happens, for the text below the picture.
SEARCHES, REDIS_AWAY, BAD_TOKENS, REPLICA_AWAY = (35, 55), (75, 87), (105, 125), (145, 155)
EVENTS = [
    (SEARCHES[0], "everybody searches"), (REDIS_AWAY[0], "Redis is killed"), (REDIS_AWAY[1], "Redis is back"),
    (BAD_TOKENS[0], "bad tokens"), (REPLICA_AWAY[0], "a replica goes"), (REPLICA_AWAY[1], "and comes back"),
]
RARE, FREQUENT = "a text that is nowhere", "path"


def play(stack):
    """Gives the time at which it began."""
    begin = time.time()
    end = begin + SECONDS
    streams = [open_stream(stack, number) for number in range(STREAMS)]
    threads = [threading.Thread(target=agent, args=(stack, number, begin, end)) for number in range(AGENTS)]
    threads += [threading.Thread(target=searcher, args=(stack, number, begin)) for number in range(16)]
    threads += [threading.Thread(target=stranger, args=(stack, number, begin)) for number in range(3)]
    for thread in threads:
        thread.start()
    sleep_until(begin + REDIS_AWAY[0])
    stack.stop("redis", signal.SIGKILL)
    sleep_until(begin + REDIS_AWAY[1])
    stack.start_redis()
    sleep_until(begin + REPLICA_AWAY[0])
    stack.stop("replica-2")
    sleep_until(begin + REPLICA_AWAY[1])
    stack.start_replica(2)
    for thread in threads:
        thread.join()
    for stream in streams:
        stream.close()
    return begin


def sleep_until(moment):
    time.sleep(max(0.0, moment - time.time()))


class Caller:
    """Calls whichever replica answers, as a balancer would have it."""

    def __init__(self, stack, number):
        self.stack, self.number, self.client = stack, number, None

    def send(self, name, arguments, token=None):
        """The result of a call; `None` where nobody answers."""
        for _ in range(len(self.stack.ports)):
            port = self.stack.ports[self.number % len(self.stack.ports)]
            try:
                self.client = self.client or Client(port, 30)
                status, body = self.client.send(tool_call(port, token or self.stack.identity.token, name, arguments))
                return json.loads(body).get("result") if status == 200 else None
            except (OSError, ValueError):
                self.number, self.client = self.number + 1, None
        time.sleep(0.2)
        return None


def agent(stack, number, begin, end):
    """Reads with cursors, lists, looks for something now and then, and errs now and then."""
    caller, chance, cursor = Caller(stack, number), random.Random(number), None
    while time.time() < end:
        dice = chance.random()
        if dice < 0.5:
            page = caller.send("read_file", {"cursor": cursor} if cursor else {"path": "/source.txt", "byte_limit": 65_536})
            cursor = (page or {}).get("structuredContent", {}).get("next_cursor")
        elif dice < 0.72:
            caller.send("list_directory", {"path": f"/part_{chance.randrange(40):02}"})
        elif dice < 0.84:
            caller.send("get_file_info", {"path": "/source.txt"})
        elif dice < 0.90:
            caller.send("search_text", {"pattern": FREQUENT, "literal": True})
        elif dice < 0.94:
            caller.send("find_files", {"glob": "module_0*.rs"})
        elif dice < 0.96:
            caller.send("read_file", {"path": "/no/such/file.txt"})
        else:
            caller.send("search_text", {"pattern": RARE, "literal": True})
        time.sleep(chance.expovariate(5))


def searcher(stack, number, begin):
    caller = Caller(stack, number)
    sleep_until(begin + SEARCHES[0] + number / 4)
    while time.time() < begin + SEARCHES[1]:
        caller.send("search_text", {"pattern": RARE, "literal": True})


def stranger(stack, number, begin):
    caller = Caller(stack, number)
    sleep_until(begin + BAD_TOKENS[0])
    tokens = ["guessed", stack.identity.token[:-6] + "AAAAAA", "e30.e30.e30"]
    while time.time() < begin + BAD_TOKENS[1]:
        caller.send("list_directory", {}, tokens[number])
        time.sleep(0.05)


def open_stream(stack, number):
    """A subscription that is left open; what comes on it nobody reads."""
    port = stack.ports[number % len(stack.ports)]
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "panels", "version": "1"}}
    params = {"notifications": {"resourceSubscriptions": ["file:///source.txt"]}, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params}).encode()
    head = (f"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {stack.identity.token}\r\n"
            "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"
            f"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\nContent-Length: {len(body)}\r\n\r\n")
    stream = socket.create_connection(("127.0.0.1", port))
    stream.sendall(head.encode() + body)
    return stream
