"""Redis, an issuer of keys, replicas and Prometheus, on free loopback ports."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from harness.cases import source_text
from harness.identity import AUDIENCE, ISSUER, Identity
from harness.install import ROOT
from harness.placement import free_port, wait_for_port

REPLICAS = 3


class Stack:
    """All that runs. `folder` is its own."""

    def __init__(self, pressmark, folder):
        self.pressmark, self.folder, self.running = pressmark, folder, {}
        self.identity, self.tree = Identity(folder), folder / "tree"
        self.redis_port, self.prometheus_port = free_port(), free_port()
        self.ports = [free_port() for _ in range(REPLICAS)]
        self.metrics = [free_port() for _ in range(REPLICAS)]

    def __enter__(self):
        for program, package in (("redis-server", "redis-server"), ("prometheus", "prometheus"), ("openssl", "openssl")):
            if not shutil.which(program):
                raise SystemExit(f"{program} is missing; on Debian: apt-get install {package}")
        self.make_tree()
        self.keys = ThreadingHTTPServer(("127.0.0.1", 0), key_handler(self.identity.jwks.read_bytes()))
        threading.Thread(target=self.keys.serve_forever, daemon=True).start()
        self.start_redis()
        for number in range(REPLICAS):
            self.start_replica(number)
        self.start_prometheus()
        return self

    def __exit__(self, *_):
        for name in list(self.running):
            self.stop(name)
        self.keys.shutdown()

    def make_tree(self):
        for part in range(40):
            directory = self.tree / f"part_{part:02}"
            directory.mkdir(parents=True)
            for file in range(25):
                (directory / f"module_{file:02}.rs").write_bytes(source_text() * 8)
        (self.tree / "source.txt").write_bytes(source_text() * 1024)

    def start_redis(self):
        self.run("redis", ["redis-server", "--port", self.redis_port, "--bind", "127.0.0.1", "--save", "", "--dir", self.folder])
        wait_for_port(self.redis_port)

    def start_replica(self, number):
        keys = f"http://127.0.0.1:{self.keys.server_port}/keys"
        self.run(f"replica-{number}", [
            self.pressmark, "serve", self.tree, "--listen", f"127.0.0.1:{self.ports[number]}",
            "--metrics-listen", f"127.0.0.1:{self.metrics[number]}", "--state", f"redis://127.0.0.1:{self.redis_port}",
            "--jwt-issuer", ISSUER, "--jwt-audience", AUDIENCE, "--jwks-url", keys])
        wait_for_port(self.ports[number])

    def start_prometheus(self):
        targets = ", ".join(f'"127.0.0.1:{port}"' for port in self.metrics)
        (self.folder / "prometheus.yml").write_text(
            "global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }\n"
            f"rule_files: [{ROOT / 'deploy' / 'grafana' / 'alerts.yaml'}]\n"
            f"scrape_configs: [{{ job_name: pressmark, static_configs: [{{ targets: [{targets}] }}] }}]\n")
        self.run("prometheus", [
            "prometheus", f"--config.file={self.folder / 'prometheus.yml'}", f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.prometheus_port}", "--log.level=error"])
        end = time.monotonic() + 60
        while not self.prometheus_is_ready():
            if time.monotonic() > end:
                raise SystemExit("Prometheus does not start: " + (self.folder / "prometheus.log").read_text())
            time.sleep(0.1)

    def prometheus_is_ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.prometheus_port}/-/ready", timeout=5):
                return True
        except OSError:
            return False

    def run(self, name, command):
        with open(self.folder / f"{name}.log", "ab") as log:
            self.running[name] = subprocess.Popen([*map(str, command)], env={**os.environ, "RUST_LOG": "off"}, stdout=log, stderr=log)

    def stop(self, name, with_signal=signal.SIGTERM):
        process = self.running.pop(name)
        process.send_signal(with_signal)
        process.wait(60)

    def query(self, expression, begin, end, step):
        """What Prometheus has for an expression over time: labels, and `(time, value)` for each series."""
        parameters = urllib.parse.urlencode({"query": expression, "start": begin, "end": end, "step": step})
        url = f"http://127.0.0.1:{self.prometheus_port}/api/v1/query_range?{parameters}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                found = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise SystemExit(f"Prometheus refuses {expression}: {error.read().decode()}") from error
        return [(series["metric"], [(time, float(value)) for time, value in series["values"]]) for series in found]

    def wait_until_scraped(self):
        end = time.monotonic() + 30
        while time.monotonic() < end:
            now = time.time()
            if sum(value for _, points in self.query("sum(up)", now, now, 1) for _, value in points) == REPLICAS:
                return
            time.sleep(0.2)
        raise SystemExit("Prometheus does not reach the replicas")


def key_handler(jwks):
    class Keys(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(jwks)))
            self.end_headers()
            self.wfile.write(jwks)

        def log_message(self, *_):
            pass

    return Keys
