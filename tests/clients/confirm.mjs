// `node confirm.mjs PACKAGE URL TOKEN PATH`: deletes a folder with content. Prints "asked" when the user is asked whether it
// may go, says yes once a line comes on standard input, and prints what the call has given.

import { once } from "node:events";

const [name, url, token, path] = process.argv.slice(2);

/** The user: it thinks until it is told to go on. */
async function user() {
    console.log("asked");
    await once(process.stdin, "data");
    return { action: "accept", content: { delete: true } };
}

const options = { capabilities: { elicitation: {} } };
const requestInit = { headers: { Authorization: `Bearer ${token}` } };
const call = { name: "delete_file", arguments: { path } };

async function withSdk() {
    const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
    const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
    const { ElicitRequestSchema } = await import("@modelcontextprotocol/sdk/types.js");
    const client = new Client({ name: "sdk", version: "1" }, options);
    client.setRequestHandler(ElicitRequestSchema, user);
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
    return client;
}

async function withClient() {
    const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
    const client = new Client({ name: "client", version: "1" }, options);
    client.setRequestHandler("elicitation/create", user);
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
    return client;
}

const client = await (name === "sdk" ? withSdk() : withClient());
const result = await client.callTool(call);
console.log(JSON.stringify(result));
await client.close();
process.exit(0);
