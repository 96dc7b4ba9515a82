"""Whether a page costs more in a larger file or further back in it."""

from .cases import PAGE, Page, expect, source_text
from .servers import Server
from .throughput import medians, one_round

SIZES = {"1 MiB": 2**20, "1 GiB": 2**30, "10 GiB": 10 * 2**30}
PLACES = ("start", "middle", "end")


class PageAt(Page):
    """The page after the one that begins at `offset`. Only around the places that are read does the file hold anything."""

    def __init__(self, size, place):
        self.size, self.name = size, f"page at the {place} of {size}"
        self.path = f"{size.replace(' ', '-').lower()}.txt"
        self.offset = {"start": 0, "middle": SIZES[size] // 2 - PAGE, "end": SIZES[size] - 3 * PAGE}[place]

    def prepare(self, bench):
        path = bench.tree / self.path
        if not path.exists():
            with open(path, "wb") as file:
                file.truncate(SIZES[self.size])
        with open(path, "r+b") as file:
            file.seek(self.offset)
            text = source_text() * (3 * PAGE // 1024)
            if file.read(len(text)) != text:
                file.seek(self.offset)
                file.write(text)

    def call(self, call):
        first = call("read_file", {"path": f"/{self.path}", "byte_offset": self.offset, "byte_limit": PAGE})
        return "read_file", {"cursor": first["structuredContent"]["next_cursor"]}

    def check(self, result, _):
        expect("text", result["content"][0]["text"].encode(), source_text() * (PAGE // 1024))
        expect("byte_offset", result["structuredContent"]["byte_offset"], self.offset + PAGE)


def measure(bench):
    cases = {size: {place: PageAt(size, place) for place in PLACES} for size in SIZES}
    rounds = {size: {place: [] for place in PLACES} for size in SIZES}
    for places in cases.values():
        for case in places.values():
            case.prepare(bench)
    for _ in range(bench.rounds):
        for size, places in cases.items():
            for place, case in places.items():
                with Server(bench, "pressmark") as server:
                    rounds[size][place].append(one_round(bench, server, case))
    figures = {size: {place: medians(found) for place, found in places.items()} for size, places in rounds.items()}
    for size, places in figures.items():
        print(f"  {size:<8}" + "  ".join(f"{place}: {found['cpu']:.1f} µs" for place, found in places.items()), flush=True)
    return figures
