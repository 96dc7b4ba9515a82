// @modelcontextprotocol/client: `node client.mjs URL TOKEN MODE`, where MODE is "legacy" or "auto".

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

import { journey } from "./journey.mjs";

const [url, token, mode] = process.argv.slice(2);

async function connect(token) {
    const options = mode === "legacy" ? {} : { versionNegotiation: { mode } };
    const client = new Client({ name: "client", version: "1" }, options);
    const requestInit = { headers: { Authorization: `Bearer ${token}` } };
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
    const call = (name, args, options) => client.callTool({ name, arguments: args }, options);
    return { client, version: client.getNegotiatedProtocolVersion(), call };
}

await journey(token, connect);
