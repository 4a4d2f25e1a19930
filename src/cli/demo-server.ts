/**
 * The server of the demo: an embedded WebDAV server (nephele) on a folder, on loopback, in a process of its own. Its
 * parent writes one line of JSON to its stdin and reads one line from its stdout; it ends when stdin closes, so that
 * it never outlives the parent.
 */

import { timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import FileSystemAdapter from '@nephele/adapter-file-system';
import NoAuthenticator from '@nephele/authenticator-none';
import nephele from 'nephele';

/** What the parent sends. */
export interface DemoServerSettings {
  /** Absolute path of the folder to serve. */
  readonly folder: string;
  readonly user: string;
  readonly password: string;
  /** Port to listen on; 0 for any free one. */
  readonly port: number;
}

/** What the parent gets: the port that the server listens on, or the code of what went wrong. */
export type DemoServerAnswer = { readonly port: number } | { readonly error: string };

function answer(message: DemoServerAnswer): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

function serve({ folder, user, password, port }: DemoServerSettings): void {
  const dav = nephele({
    adapter: new FileSystemAdapter({ root: folder }),
    authenticator: new NoAuthenticator(),
  });
  const expected = Buffer.from(`Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`);
  // Other users of the machine can reach loopback too.
  const server = createServer((request, response) => {
    const given = Buffer.from(request.headers.authorization ?? '');
    if (given.length === expected.length && timingSafeEqual(given, expected)) {
      dav(request, response);
      return;
    }
    response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="infinimount demo"' }).end();
  });
  server.requestTimeout = 0;
  server.on('error', (error: NodeJS.ErrnoException) => {
    answer({ error: error.code ?? error.message });
    process.exit(1);
  });
  server.listen(port, '127.0.0.1', () => {
    const address = server.address();
    answer(
      address !== null && typeof address === 'object' ? { port: address.port } : { error: 'EADDRNOTAVAIL' },
    );
  });
}

// Ctrl-C goes to the whole group of processes: the parent still needs the server for the last uploads.
process.on('SIGINT', () => undefined);
const lines = createInterface({ input: process.stdin });
lines.once('line', (line) => serve(JSON.parse(line) as DemoServerSettings));
lines.once('close', () => process.exit(0));
