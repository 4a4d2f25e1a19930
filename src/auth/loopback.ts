/**
 * The listener that a browser brings the authorization code to (RFC 8252 section 7.3): on 127.0.0.1, on a port of the
 * kernel's choice, for one answer. A request with another state is no answer, so that no other page can end the login.
 */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { abortable } from '../base/index.js';

export interface LoopbackListener extends AsyncDisposable {
  readonly redirectUri: string;
  /** The URL that the browser was sent to; rejects with the signal's reason. */
  answer(signal: AbortSignal): Promise<URL>;
}

const PATH = '/callback';

export async function listenForAnswer(state: string): Promise<LoopbackListener> {
  let take: (url: URL) => void = () => undefined;
  const taken = new Promise<URL>((resolve) => {
    take = resolve;
  });
  let origin = '';
  const server = createServer((request, response) => {
    const url = answerUrl(request, origin);
    if (url === undefined || request.method !== 'GET') return reply(response, 404, 'There is nothing here.');
    if (url.searchParams.get('state') !== state) {
      return reply(response, 400, 'This answer does not belong to the login that is waiting.');
    }
    const refused = url.searchParams.has('error');
    reply(response, 200, `${refused ? 'Access was not allowed.' : 'Done.'} You can close this page.`);
    take(url);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  if (typeof address !== 'object' || address === null) throw new Error('a TCP listener has a port');
  origin = `http://127.0.0.1:${address.port}`;
  return {
    redirectUri: `${origin}${PATH}`,
    answer: (signal) => abortable(taken, signal),
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answerUrl({ url }: IncomingMessage, origin: string): URL | undefined {
  if (url === undefined || !url.startsWith('/') || !URL.canParse(url, origin)) return undefined;
  const parsed = new URL(url, origin);
  return parsed.pathname === PATH ? parsed : undefined;
}

function reply(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
    connection: 'close',
  });
  response.end(`<!doctype html><title>infinimount</title><p>${text}</p>\n`);
}
