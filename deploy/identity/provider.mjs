// An identity provider to try Pressmark with: OpenID Connect, signed tokens (RFC 9068) for one server (RFC 8707), programs by
// client credentials, people by a login page that takes any name. Not for production: anybody may log in, and keys and
// grants live in memory.
//
// Environment:
//   IDENTITY_ISSUER    its URL, as clients and replicas know it; it may have a path (http://127.0.0.1:9000)
//   IDENTITY_LISTEN    address and port (the issuer's port on 127.0.0.1)
//   IDENTITY_RESOURCE  the MCP endpoints that tokens are for, with spaces between; the first one is the default
//                      (http://127.0.0.1:8080/mcp)
//   IDENTITY_SECRET    the secret of the clients `agent`, which may ask for any scope, and `reader`: files:read only
//   IDENTITY_JWKS      a file to write the public keys to, for replicas that cannot ask over TLS
//
// Signals rotate the key that signs:
//   SIGHUP   one step further: a new key is published; it signs, and the old one stays published; the old one is withdrawn
//   SIGUSR2  at once, as after a leak: a new key signs, and all others are withdrawn

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';

import Provider, { errors } from 'oidc-provider';

const environment = process.env;
const issuer = environment.IDENTITY_ISSUER ?? 'http://127.0.0.1:9000';
const resources = (environment.IDENTITY_RESOURCE ?? 'http://127.0.0.1:8080/mcp').split(/\s+/);
const listen = environment.IDENTITY_LISTEN ?? `127.0.0.1:${new URL(issuer).port || 80}`;
const secret = environment.IDENTITY_SECRET;
if (!secret || secret.length < 16) {
    console.error('IDENTITY_SECRET: the secret of the clients `agent` and `reader`, at least 16 characters');
    process.exit(2);
}

const scopes = ['files', 'files:read', 'files:write', 'files:delete'];
const program = {
    client_secret: secret,
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
    id_token_signed_response_alg: 'ES256',
};
const configuration = {
    clients: [{ client_id: 'agent', ...program }, { client_id: 'reader', ...program }],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    scopes: ['openid', 'offline_access', ...scopes],
    // MCP clients register with the scope of their first challenge, and ask for more when a call needs it.
    extraClientMetadata: {
        properties: ['scope'],
        validator(_context, _property, _scope, metadata) {
            delete metadata.scope;
        },
    },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    // MCP clients are public ones, which prove with PKCE that they are those that asked.
    pkce: { required: () => true },
    features: {
        clientCredentials: { enabled: true },
        registration: { enabled: true },
        resourceIndicators: {
            enabled: true,
            defaultResource: () => resources[0],
            useGrantedResource: () => true,
            getResourceServerInfo(_context, audience, client) {
                if (!resources.includes(audience)) throw new errors.InvalidTarget();
                const scope = client.clientId === 'reader' ? 'files:read' : scopes.join(' ');
                return { scope, audience, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
            },
        },
    },
    ttl: { AccessToken: 3600, ClientCredentials: 3600 },
};

let keys = { current: newKey() };
let handle;

function newKey() {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const name = { kid: randomBytes(8).toString('hex'), alg: 'ES256', use: 'sig' };
    return { public: { ...publicKey.export({ format: 'jwk' }), ...name }, private: { ...privateKey.export({ format: 'jwk' }), ...name } };
}

function step({ previous, current, next }) {
    if (previous) return { current };
    return next ? { previous: current, current: next } : { current, next: newKey() };
}

// A provider keeps the keys that it was made with; what it has granted lies outside of it, and outlives it.
function publish() {
    // The first one signs.
    const all = [keys.current, keys.next, keys.previous].filter(Boolean);
    if (environment.IDENTITY_JWKS) {
        // Replaced in one step: a replica that looks at it now and then never sees half of it.
        const part = `${environment.IDENTITY_JWKS}.part`;
        writeFileSync(part, JSON.stringify({ keys: all.map((key) => key.public) }));
        renameSync(part, environment.IDENTITY_JWKS);
    }
    handle = new Provider(issuer, { ...configuration, jwks: { keys: all.map((key) => key.private) } }).callback();
    console.log(`published keys, of which the first signs: ${all.map((key) => key.public.kid).join(' ')}`);
}

publish();
process.on('SIGHUP', () => {
    keys = step(keys);
    publish();
});
process.on('SIGUSR2', () => {
    keys = { current: newKey() };
    publish();
});

const path = new URL(issuer).pathname.replace(/\/$/, '');
const server = createServer((request, response) => {
    if (!request.url.startsWith(`${path}/`)) {
        response.writeHead(404).end();
        return;
    }
    request.originalUrl = request.url;
    request.url = request.url.slice(path.length);
    handle(request, response);
});
const [host, port] = listen.split(/:(?=\d+$)/);
server.listen(Number(port), host, () => console.log(`identity provider: ${issuer}`));
for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
        server.close();
        server.closeAllConnections();
    });
}
