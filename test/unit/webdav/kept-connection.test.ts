/** A connection serves on after an answer of which only a part is wanted, also where the end of the answer comes late. */

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, test } from 'node:test';
import { REMOTE_ROOT } from '../../../src/remote/index.js';
import { collectionXml, makeRig, multistatus } from './support.js';

const SPACE =
  '<D:response><D:href>/dav/</D:href><D:propstat><D:prop><D:quota-available-bytes>2</D:quota-available-bytes>' +
  '<D:quota-used-bytes>1</D:quota-used-bytes></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>';

/** So long after the part that tells all, the answer ends. */
const LATE_MS = 30;

test('an entry and the quota are read to the end of the answer', async () => {
  let connections = 0;
  const server = createServer((request, response) => {
    request.resume();
    const [beginning = '', end = ''] = multistatus(collectionXml('/dav/'), SPACE).split(
      /(?=<\/D:multistatus>)/,
    );
    response.writeHead(207, { 'content-type': 'application/xml; charset=utf-8' });
    response.write(beginning);
    setTimeout(() => response.end(end), LATE_MS);
  });
  server.on('connection', () => {
    connections += 1;
  });
  after(() => server.close());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const { store } = makeRig(`http://127.0.0.1:${address.port}/dav/`);
  assert.equal((await store.stat(REMOTE_ROOT)).kind, 'dir');
  assert.deepEqual(await store.quota(), { available: 2, used: 1 });
  assert.equal((await store.stat(REMOTE_ROOT)).kind, 'dir');
  assert.equal(connections, 1);
});
