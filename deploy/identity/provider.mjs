// An identity provider to try Pressmark with: OpenID Connect, signed tokens (RFC 9068) for one server (RFC 8707), programs by
// client credentials, people by a login page that takes any name. Not for production: anybody may log in, and keys and
// grants live in memory.
//
// Environment:
//   IDENTITY_ISSUER    its URL, as clients and replicas know it (http://127.0.0.1:9000)
//   IDENTITY_LISTEN    address and port (the issuer's port on 127.0.0.1)
//   IDENTITY_RESOURCE  the MCP endpoint that tokens are for (http://127.0.0.1:8080/mcp)
//   IDENTITY_SECRET    the secret of the client `agent`
//   IDENTITY_JWKS      a file to write the public keys to, for replicas that cannot ask over TLS

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';

import Provider, { errors } from 'oidc-provider';

const environment = process.env;
const issuer = environment.IDENTITY_ISSUER ?? 'http://127.0.0.1:9000';
const resource = environment.IDENTITY_RESOURCE ?? 'http://127.0.0.1:8080/mcp';
const listen = environment.IDENTITY_LISTEN ?? `127.0.0.1:${new URL(issuer).port || 80}`;
const secret = environment.IDENTITY_SECRET;
if (!secret || secret.length < 16) {
    console.error('IDENTITY_SECRET: the secret of the client `agent`, at least 16 characters');
    process.exit(2);
}

const scopes = ['files', 'files:read', 'files:write', 'files:delete'];
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const named = { kid: randomBytes(8).toString('hex'), alg: 'ES256', use: 'sig' };
if (environment.IDENTITY_JWKS) {
    // Replaced in one step: a replica that looks at it now and then never sees half of it.
    const part = `${environment.IDENTITY_JWKS}.part`;
    writeFileSync(part, JSON.stringify({ keys: [{ ...publicKey.export({ format: 'jwk' }), ...named }] }));
    renameSync(part, environment.IDENTITY_JWKS);
}

const provider = new Provider(issuer, {
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), ...named }] },
    clients: [{
        client_id: 'agent',
        client_secret: secret,
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
        id_token_signed_response_alg: 'ES256',
    }],
    clientDefaults: { id_token_signed_response_alg: 'ES256' },
    scopes: ['openid', 'offline_access', ...scopes],
    cookies: { keys: [randomBytes(32).toString('hex')] },
    // MCP clients are public ones, which prove with PKCE that they are those that asked.
    pkce: { required: () => true },
    features: {
        clientCredentials: { enabled: true },
        registration: { enabled: true },
        resourceIndicators: {
            enabled: true,
            defaultResource: () => resource,
            useGrantedResource: () => true,
            getResourceServerInfo(_context, indicator) {
                if (indicator !== resource) throw new errors.InvalidTarget();
                return { scope: scopes.join(' '), audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } };
            },
        },
    },
    ttl: { AccessToken: 3600, ClientCredentials: 3600 },
});

const [host, port] = listen.split(/:(?=\d+$)/);
const server = provider.listen(Number(port), host, () => console.log(`identity provider: ${issuer}`));
for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
        server.close();
        server.closeAllConnections();
    });
}
