"""How much memory Pressmark takes while it works on what is larger than memory should be."""

import os
import time

from .exchange import Client, WrongAnswer, call
from .servers import Server

SPARSE = 10 * 2**30
PAGES = 2_000
FILES = 1_000_000


def measure(bench):
    figures = {}
    sparse = bench.work / "sparse"
    sparse.mkdir(exist_ok=True)
    with open(sparse / "10-gib.bin", "wb") as file:
        file.truncate(SPARSE)
    note(figures, "a file of 10 GiB, page by page", *watched(bench, sparse, read_pages))
    if bench.big:
        many = bench.work / "million"
        make_files(many)
        note(figures, "a folder of 1,000,000 files, listed by path", *watched(bench, many, lambda call: pages(call, "list_directory", {}, 20)))
        note(figures, "the same, newest first", *watched(bench, many, lambda call: pages(call, "list_directory", {"sort": "newest"}, 1)))
        note(figures, "the same, searched", *watched(bench, many, lambda call: pages(call, "search_text", {"pattern": "needle"}, 1)))
    return figures


def note(figures, what, before, peak, did):
    figures[what] = {"before_mib": before / 1024, "peak_mib": peak / 1024, "did": did}
    print(f"  {what:<46}{before / 1024:>7.1f} MiB before, {peak / 1024:>7.1f} MiB at most; {did}", flush=True)


def watched(bench, root, work):
    with Server(bench, "pressmark", root=root) as server:
        client = Client(server.port, timeout=600)
        said = lambda name, arguments: call(client, server.port, bench.identity.token, name, arguments)
        said("list_directory", {"limit": 1})
        server.reset_peak()
        before, start = server.memory("VmHWM"), time.perf_counter()
        did = work(said)
        peak = server.memory("VmHWM")
        client.close()
        return before, peak, f"{did} in {time.perf_counter() - start:.1f} s"


def read_pages(call):
    """Pages from the beginning on, then from the middle, then to the end."""
    count = 0
    for start in (0, SPARSE // 2 // 3 * 3, SPARSE - 64 * 1024 * 30):
        arguments = {"path": "/10-gib.bin", "as": "base64", "byte_offset": start}
        count += pages_of(call, "read_file", arguments, PAGES)
    return f"{count:,} pages"


def pages(call, tool, arguments, most):
    try:
        return f"{pages_of(call, tool, arguments, most)} page(s)"
    except WrongAnswer as error:
        # A call has a deadline: what it took until then still counts.
        return f"ended with an error ({str(error)[:200]})"


def pages_of(call, tool, arguments, most):
    for count in range(1, most + 1):
        cursor = call(tool, arguments)["structuredContent"].get("next_cursor")
        if not cursor:
            break
        arguments = {"cursor": cursor}
    return count


def make_files(folder):
    if folder.exists() and len(os.listdir(folder)) >= FILES:
        return
    print("  making a folder of 1,000,000 files", flush=True)
    folder.mkdir(exist_ok=True)
    for number in range(FILES):
        with open(folder / f"{number:07}.txt", "w") as file:
            file.write("hay\n")
