"""How good clients fare while others attack: their latency at a fixed rate beside that without an attack, and the server's memory."""

import json
import os
import resource
import statistics

from .exchange import Client, tool_call
from .identity import base64url
from .servers import Server
from .throughput import WARM_UP, load

RATE, CONNECTIONS = 1_000, 50
# Requests with tokens that were made up, of each kind; they are sent again and again.
TOKENS = 2_000
MEBIBYTE = 1024


def measure(bench):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    (bench.tree / "hello.txt").write_text("Hello, Ada!\n")
    seconds = max(bench.seconds, 10)
    figures = {}
    for what, attack in ATTACKS.items():
        rounds = [one_round(bench, attack, seconds) for _ in range(bench.rounds)]
        found = {key: statistics.median(one[key] for one in rounds) for key in ("p50", "p99", "ratio", "peak_mib")}
        found |= {"idle": {key: statistics.median(one["idle"][key] for one in rounds) for key in ("p50", "p99")},
                  "failed": sum(one["failed"] for one in rounds), "met": rounds[-1]["met"], "rate": RATE, "seconds": seconds}
        figures[what] = found
        print(f"  {what:<58}p99 {found['idle']['p99']:>7,.0f} → {found['p99']:>7,.0f} µs, {found['ratio']:.2f} times  failed "
              f"{found['failed']}  peak {found['peak_mib']:.1f} MiB  {found['met']}", flush=True)
    return figures


def one_round(bench, attack, seconds):
    with Server(bench, "pressmark", log="info") as server:
        request, body = small_call(bench, server)
        load(bench, server, request, body, CONNECTIONS, WARM_UP)
        idle = load(bench, server, request, body, CONNECTIONS, seconds, RATE)
        server.reset_peak()
        said = load(bench, server, request, body, CONNECTIONS, seconds, RATE, attack=attack(bench, server))
        peak = server.memory("VmHWM") / MEBIBYTE
    met = [f"{count:,} × {status}" for status, count in said["statuses"].items()] + ([f"{said['closed']:,} closed"] if said["closed"] else [])
    return {"idle": idle, "p50": said["p50"], "p99": said["p99"], "ratio": said["p99"] / idle["p99"], "peak_mib": peak,
            "failed": idle["failed"] + said["failed"], "met": f"{said['steps_a_second']:,.0f} steps/s; {', '.join(met) or 'nothing'}"}


def small_call(bench, server):
    """The request and the body that answers it each time."""
    request = tool_call(server.port, bench.identity.token, "read_file", {"path": "/hello.txt"})
    client = Client(server.port)
    answers = {client.send(request) for _ in range(3)}
    client.close()
    (status, body), = answers
    if status != 200 or "Hello, Ada!" not in json.loads(body)["result"]["content"][0]["text"]:
        raise SystemExit(f"pressmark is not attacked: it answers {status}, {body[:300]!r}")
    return request, body


def parts(bench, name, *contents):
    return bench.file(name, b"".join(content + b"\0" for content in contents))


def hold(bench, server):
    return "hold", 5_000, 1


def reconnect(bench, server):
    return "reconnect", 100, 2_000


def slow_heads(bench, server):
    return "drip", 2_000, 2_000, parts(bench, "slow-head", b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")


def slow_bodies(bench, server):
    return "drip", 2_000, 2_000, parts(bench, "slow-body", head(bench.identity.token, "Content-Length: 1000000") + b"{")


def endless_heads(bench, server):
    return "pour", 50, 200, parts(bench, "endless-head", b"POST /mcp HTTP/1.1\r\nX-Long: ", b"x" * 65_536)


def endless_bodies(bench, server):
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    return "pour", 50, 400, parts(bench, "endless-body", head(bench.identity.token, "Transfer-Encoding: chunked"), chunk)


def tokens(make):
    def attack(bench, server):
        small = tool_call(server.port, "TOKEN", "read_file", {"path": "/hello.txt"})
        requests = [small.replace(b"TOKEN", make(bench.identity.token).encode()) for _ in range(TOKENS)]
        return "request", 200, 5_000, parts(bench, "tokens", *requests)
    return attack


def head(token, more):
    return (f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json, text/event-stream\r\n{more}\r\n\r\n").encode()


def garbage(_):
    return ".".join(base64url(os.urandom(64)) for _ in range(3))


def wrong_signature(token):
    return f"{token.rpartition('.')[0]}.{base64url(os.urandom(64))}"


def unknown_key(token):
    header = json.dumps({"alg": "ES256", "typ": "at+jwt", "kid": os.urandom(8).hex()})
    return f"{base64url(header.encode())}.{wrong_signature(token).partition('.')[2]}"


# No more than the scale of an attack: what one machine of an attacker's can do. A step: what the generator's `attack.rs` says.
ATTACKS = {
    "5,000 silent connections": hold,
    "2,000 connections a second, closed at once": reconnect,
    "2,000 heads, a byte a second each (Slowloris)": slow_heads,
    "2,000 bodies of a good token, a byte a second each": slow_bodies,
    "heads without end, 100 Mbit/s": endless_heads,
    "bodies without end of a good token, 200 Mbit/s": endless_bodies,
    "5,000 tokens a second, random": tokens(garbage),
    "5,000 tokens a second, of unknown keys": tokens(unknown_key),
    "5,000 tokens a second, with wrong signatures": tokens(wrong_signature),
}
