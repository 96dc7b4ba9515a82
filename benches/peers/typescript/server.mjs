// The official TypeScript SDK on Node's HTTP server: stateless, JSON answers, no authentication.
// node server.mjs ADDRESS:PORT FOLDER REDIS-URL

import { randomUUID } from 'node:crypto';
import { open, readdir, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join, normalize } from 'node:path';

import { toNodeHandler } from '@modelcontextprotocol/node';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { createClient } from 'redis';
import { z } from 'zod';

const CURSOR_TTL = 3600;
const [listen, root, redisUrl] = process.argv.slice(2);
const redis = await createClient({ url: redisUrl }).connect();

const Greet = z.object({ name: z.string() });
const ReadFile = z.object({
    path: z.string().optional(),
    byte_limit: z.number().int().positive().optional(),
    cursor: z.string().optional(),
});
const ListDirectory = z.object({ path: z.string() });

// The SDK wants a server of its own for each request.
function makeServer() {
    const server = new McpServer({ name: 'typescript', title: 'TypeScript', version: '0.0.0' });
    server.registerTool('greet', { description: 'Greets somebody by name, at once.', inputSchema: Greet }, greet);
    server.registerTool('read_file', { description: 'Reads a file, page by page.', inputSchema: ReadFile }, readFile);
    server.registerTool('list_directory', { description: 'Lists what is in a folder.', inputSchema: ListDirectory }, listDirectory);
    return server;
}

const [address, port] = listen.split(':');
createServer(toNodeHandler(createMcpHandler(makeServer, { responseMode: 'json' }))).listen(Number(port), address);

async function greet({ name }) {
    return result([`Hello, ${name}!`]);
}

async function readFile({ path, byte_limit, cursor }) {
    let id, position, record;
    if (cursor) {
        [id, position] = cursor.split(/-(?=[0-9]+$)/);
        position = Number(position);
        record = JSON.parse(await redis.get(id));
        await redis.expire(id, CURSOR_TTL);
    } else {
        id = randomUUID();
        position = 0;
        record = { path, version: version(await stat(inside(path))), bytes: byte_limit ?? 32768 };
        await redis.set(id, JSON.stringify(record), { EX: CURSOR_TTL });
    }
    const file = await open(inside(record.path));
    try {
        const found = await file.stat();
        if (version(found) !== record.version) throw new Error('the file has changed');
        const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(record.bytes), 0, record.bytes, position);
        const end = position + bytesRead;
        const output = {
            path: record.path,
            version: record.version,
            shown: 'text',
            mime_type: 'text/plain',
            encoding: 'utf-8',
            byte_offset: position,
            byte_length: bytesRead,
            total_bytes: found.size,
            ...(end < found.size && { next_cursor: `${id}-${end}` }),
        };
        const more = output.next_cursor ? `; more: read_file with {"cursor": "${output.next_cursor}"}` : '; end of file';
        const summary = `${output.path}: bytes ${position}-${end - 1} of ${found.size}, utf-8, version ${output.version}${more}`;
        return result([buffer.toString('utf8', 0, bytesRead), summary], output);
    } finally {
        await file.close();
    }
}

async function listDirectory({ path }) {
    const folder = inside(path);
    const names = (await readdir(folder)).sort();
    const entries = await Promise.all(
        names.map(async (name) => {
            const found = await stat(join(folder, name));
            const modified = `${found.mtime.toISOString().slice(0, 19)}Z`;
            const place = `${path.replace(/\/+$/, '')}/${name}`;
            return found.isDirectory()
                ? { path: place, type: 'folder', modified }
                : { path: place, type: 'file', size: found.size, modified };
        }),
    );
    const lines = entries.map(({ size, modified }, at) =>
        size === undefined ? `${names[at]}/\t${modified}` : `${names[at]}\t${size} bytes\t${modified}`,
    );
    return result([lines.join('\n')], { entries });
}

function result(texts, structuredContent) {
    return { content: texts.map((text) => ({ type: 'text', text })), ...(structuredContent && { structuredContent }) };
}

function version({ ino, size, mtimeMs }) {
    return `${ino.toString(16)}-${size.toString(16)}-${mtimeMs.toString(16)}`;
}

function inside(path) {
    const place = normalize(join(root, path));
    if (!place.startsWith(root)) throw new Error('outside of the root');
    return place;
}
