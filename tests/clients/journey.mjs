// What each client does with the server, and how it tells. Every client does the same, in whatever language it is
// written, and prints one object; the test that started it compares.

/**
 * Takes the right token and `connect(token)`, which gives a connected client, the revision of the protocol that it
 * speaks, and its way to `call(tool, arguments, options)`.
 */
export async function journey(token, connect) {
    const refused = await connect("not-the-token").then(
        () => "connected",
        (error) => `${error.code ?? error.status ?? ""} ${error.message}`,
    );
    const { client, version, call } = await connect(token);

    const tools = [];
    let cursor;
    do {
        const page = await client.listTools(cursor && { cursor });
        tools.push(...page.tools.map((tool) => tool.name));
        cursor = page.nextCursor;
    } while (cursor);

    const pages = [];
    let page = await call("read_file", { path: "/long.txt" });
    pages.push(page.content[0].text);
    while (page.structuredContent.next_cursor) {
        page = await call("read_file", { cursor: page.structuredContent.next_cursor });
        pages.push(page.content[0].text);
    }

    const found = [];
    let search = await call("search_text", { pattern: "needle", literal: true, limit: 2 });
    found.push(...search.structuredContent.files.map((file) => file.path));
    while (search.structuredContent.next_cursor) {
        search = await call("search_text", { cursor: search.structuredContent.next_cursor });
        found.push(...search.structuredContent.files.map((file) => file.path));
    }

    let progress = 0;
    const onprogress = () => (progress += 1);
    await call("search_text", { pattern: "\\b(\\w+\\W+){1,30}[0-9]\\b", path: "/slow" }, { onprogress });

    const edits = [{ old_text: "- [ ] sew", new_text: "- [x] sew" }];
    const edited = await call("edit_file", { path: "/list.md", edits });

    const missing = await call("read_file", { path: "/missing.txt" });

    await client.close();
    const report = {
        refused,
        version,
        tools,
        pages,
        found,
        progress,
        diff: edited.content[0].text,
        error: missing.isError ? missing.content[0].text : null,
    };
    console.log(JSON.stringify(report));
}
