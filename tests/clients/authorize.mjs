// The authorization-code flow of @modelcontextprotocol/client: `node authorize.mjs URL MODE`, where MODE is "legacy" or "auto".
//
// It comes without a token, gets one that reads, and asks for more as soon as a call needs it. Prints each exchange between the
// client and anybody, each page that it has sent the user to, and what the calls gave.

import { randomUUID } from "node:crypto";

import { Client, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";

import { Browser } from "./browser.mjs";

const [url, mode] = process.argv.slice(2);
// Nobody listens there: the browser stops in front of it.
const callback = "http://127.0.0.1:1/callback";
const browser = new Browser();
const exchanges = [];
const pages = [];
const scopes = [];

/** What a client keeps of one server and its authorization server. */
class Wallet {
    redirectUrl = callback;
    clientMetadata = { client_name: "authorize", redirect_uris: [callback], token_endpoint_auth_method: "none" };
    #kept = {};

    state = () => (this.expected = randomUUID());
    clientInformation = () => this.#kept.client;
    saveClientInformation = (client) => (this.#kept.client = client);
    tokens = () => this.#kept.tokens;
    saveTokens = (tokens) => {
        scopes.push(tokens.scope);
        this.#kept.tokens = tokens;
    };
    codeVerifier = () => this.#kept.verifier;
    saveCodeVerifier = (verifier) => (this.#kept.verifier = verifier);
    discoveryState = () => this.#kept.discovery;
    saveDiscoveryState = (discovery) => (this.#kept.discovery = discovery);
    redirectToAuthorization = (page) => (this.page = page);
}

const wallet = new Wallet();

async function recorded(input, init) {
    const response = await fetch(input, init);
    exchanges.push({
        method: init?.method ?? "GET",
        url: String(input),
        bearer: new Headers(init?.headers).has("authorization"),
        form: init?.body instanceof URLSearchParams ? Object.fromEntries(init.body) : null,
        status: response.status,
        challenge: response.headers.get("www-authenticate"),
    });
    return response;
}

/** The user agrees, and the client takes the code; but not from another issuer than the one that it has asked. */
async function agree(transport) {
    pages.push(Object.fromEntries(wallet.page.searchParams));
    const answer = (await browser.agree(wallet.page, callback)).searchParams;
    if (answer.get("state") !== wallet.expected) throw new Error(`the state is ${answer.get("state")}`);
    pages.at(-1).answer = { iss: answer.get("iss"), error: answer.get("error") };
    const forged = new URLSearchParams({ code: answer.get("code"), iss: "https://evil.example" });
    const before = exchanges.length;
    pages.at(-1).forged = await transport.finishAuth(forged).then(() => "accepted", (error) => error.name);
    if (exchanges.slice(before).some(({ method }) => method === "POST")) throw new Error("a code went to another issuer");
    await transport.finishAuth(answer);
}

/** Does what may need the user's consent, and repeats it once that is given. */
async function consented(transport, action) {
    try {
        return await action();
    } catch (error) {
        if (!(error instanceof UnauthorizedError)) throw error;
        await agree(transport());
        return await action();
    }
}

let client;
let transport;
await consented(() => transport, async () => {
    client = new Client({ name: "authorize", version: "1" }, mode === "legacy" ? {} : { versionNegotiation: { mode } });
    transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: wallet, fetch: recorded });
    await client.connect(transport);
});
const call = (name, args) => consented(() => transport, () => client.callTool({ name, arguments: args }));
const listed = await call("list_directory", {});
const written = await call("write_file", { path: "/written.txt", content: "by consent\n" });
const deleted = await call("delete_file", { path: "/written.txt" });
const version = client.getNegotiatedProtocolVersion();
await client.close();
const results = [listed, written, deleted].map((result) => ({ failed: result.isError ?? false, text: result.content[0].text }));
console.log(JSON.stringify({ version, exchanges, pages, scopes, results }));
process.exit(0);
