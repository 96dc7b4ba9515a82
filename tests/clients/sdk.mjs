// @modelcontextprotocol/sdk: `node sdk.mjs URL TOKEN`.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

import { journey } from "./journey.mjs";

const [url, token] = process.argv.slice(2);

async function connect(token) {
    const client = new Client({ name: "sdk", version: "1" });
    const requestInit = { headers: { Authorization: `Bearer ${token}` } };
    const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit });
    await client.connect(transport);
    const call = (name, args, options) => client.callTool({ name, arguments: args }, undefined, options);
    return { client, version: transport.protocolVersion, call };
}

await journey(token, connect);
