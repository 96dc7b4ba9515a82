"""The three calls that all servers are timed with, and what a right answer to them is."""

import os

from .exchange import Client, WrongAnswer, call, tool_call

PAGE = 64 * 1024
ENTRIES = 100


class Case:
    """One call. `prepare` makes what it needs; `request` is the raw request for a server whose answer was found right."""

    def request(self, server):
        """The request, and the body that must answer it each time."""
        client, token = Client(server.port), server.bench.identity.token
        try:
            name, arguments = self.call(lambda name, arguments: call(client, server.port, token, name, arguments))
            self.check(call(client, server.port, token, name, arguments), server.bench)
            raw = tool_call(server.port, token, name, arguments)
            bodies = {client.send(raw) for _ in range(3)}
            if len(bodies) > 1:
                raise WrongAnswer("the same call is answered differently")
            return raw, bodies.pop()[1]
        except WrongAnswer as error:
            raise SystemExit(f"{server.name} is not timed: its answer to `{self.name}` is wrong: {error}") from error
        finally:
            client.close()


class Trivial(Case):
    name, about = "trivial", "a tool that puts its argument into a sentence"

    def prepare(self, bench):
        pass

    def call(self, _):
        return "greet", {"name": "Ada"}

    def check(self, result, _):
        expect("text", result["content"][0]["text"], "Hello, Ada!")


class Page(Case):
    name, about = "page", "the second page of 64 KiB of a file, by a cursor in Redis"

    def prepare(self, bench):
        path = bench.tree / "source.txt"
        if not path.exists():
            path.write_bytes(source_text() * 1024)

    def call(self, call):
        first = call("read_file", {"path": "/source.txt", "byte_limit": PAGE})
        return "read_file", {"cursor": first["structuredContent"]["next_cursor"]}

    def check(self, result, bench):
        with open(bench.tree / "source.txt", "rb") as file:
            wanted = os.pread(file.fileno(), PAGE, PAGE)
        expect("text", result["content"][0]["text"].encode(), wanted)
        expect("byte_offset", result["structuredContent"]["byte_offset"], PAGE)
        if not result["structuredContent"]["next_cursor"]:
            raise WrongAnswer("there is no next cursor")


class Listing(Case):
    name, about = "listing", "a folder of 100 files, with a stat of each"

    def prepare(self, bench):
        folder = bench.tree / "folder"
        folder.mkdir(exist_ok=True)
        for number in range(ENTRIES):
            path = folder / f"module_{number:03}.rs"
            if not path.exists():
                path.write_bytes(b"x" * (1000 + 37 * number))

    def call(self, _):
        return "list_directory", {"path": "/folder"}

    def check(self, result, bench):
        found = sorted(os.scandir(bench.tree / "folder"), key=lambda entry: entry.name)
        wanted = [(f"/folder/{entry.name}", entry.stat().st_size) for entry in found]
        entries = result["structuredContent"]["entries"]
        expect("entries", [(entry["path"], entry["size"]) for entry in entries], wanted)
        expect("times", all(entry["modified"].startswith("20") for entry in entries), True)
        expect("lines", [line.split("\t")[0] for line in result["content"][0]["text"].split("\n")], [e.name for e in found])


CASES = {case.name: case for case in (Trivial(), Page(), Listing())}


def expect(what, found, wanted):
    if found != wanted:
        raise WrongAnswer(f"{what}: {str(found)[:200]} instead of {str(wanted)[:200]}")


def source_text():
    """1 KiB of what source code looks like: indented lines, quotes, some characters that are not ASCII. A multiple of it
    never divides a character at a multiple of 1 KiB."""
    text = (
        '/// Finds the entry for `name`, or says why there is none — callers tell "absent" from "unreadable".\n'
        "pub fn find(&self, name: &str) -> Result<Entry, Error> {\n"
        "    let path = self.root.join(name);\n"
        '    if name.contains("..") || name.starts_with(\'/\') {\n'
        '        return Err(Error::invalid("name", "must stay below the root, as in \\"docs/guide.md\\""));\n'
        "    }\n"
        "\tlet entry = self.entries.get(&path).ok_or_else(|| Error::not_found(name))?;\n"
        "    tracing::debug!(%name, size = entry.size, \"found\");\n"
        "    // Größe und Zeit: the stat of the moment, not that of the index → never stale.\n"
        "    Ok(entry.refreshed(std::fs::metadata(&path)?))\n"
        "}\n\n"
    )
    raw = (text * 2).encode()[:1000].decode(errors="ignore")
    return (raw.ljust(1024 - len(raw.encode()) + len(raw) - 1, "=") + "\n").encode()
