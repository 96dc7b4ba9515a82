// Deals calls out to containers, each of which is one replica. Not run by this project.
import { Container, getRandom } from '@cloudflare/containers';

const REPLICAS = 3;
const PUBLIC = /^\/(mcp|\.well-known\/oauth-protected-resource(\/mcp)?)$/;

export class Pressmark extends Container {
    defaultPort = 8080;
    sleepAfter = '10m';
    envVars = {
        PRESSMARK_PUBLIC_URL: this.env.PUBLIC_URL,
        PRESSMARK_JWT_ISSUER: this.env.JWT_ISSUER,
        PRESSMARK_STATE: this.env.STATE,
        PRESSMARK_READ_ONLY: 'true',
        PRESSMARK_LOG_FORMAT: 'json',
    };
}

export default {
    async fetch(request, env) {
        if (!PUBLIC.test(new URL(request.url).pathname)) return new Response('there is nothing here', { status: 404 });
        // Any replica serves any request. The answer is passed on as it comes, streams with it.
        const replica = await getRandom(env.PRESSMARK, REPLICAS);
        return replica.fetch(request);
    },
};
