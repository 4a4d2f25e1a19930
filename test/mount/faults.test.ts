/** Trees are copied and changed through a line and a server that fail: programs do not notice, and all of it arrives whole. */

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { sh, waitUntil } from '../support/exec.js';
import { mountInfinimount } from '../support/mount/index.js';
import {
  type FaultAction,
  type FaultRule,
  faults,
  startFaultProxy,
  throttled,
} from '../support/proxy/faults.js';
import { seededRandom } from '../support/random.js';
import { startApache } from '../support/servers/apache.js';
import {
  DRAIN_TIMEOUT_MS,
  diffTrees,
  SKIP_MOUNT,
  startBench,
  TempDir,
  throughPort,
  waitForTree,
} from './setup.js';

/** $1: a tree of 80 small files and two large ones. */
const MAKE_TREE = `
  mkdir "$1"; cd "$1"
  for d in $(seq 4); do mkdir d$d; for f in $(seq 20); do seq $((d * f * 17)) > d$d/f$f; done; done
  head -c 2000000 /dev/urandom > big1; head -c 3000000 /dev/urandom > d3/big2; : > empty; mkdir nothing`;

const CHANGE_TREE = `
  mv d1 e1; mv d2/f1 f1; rm -r d4; for f in $(seq 10); do echo more >> d3/f$f; done
  cp big1 d2/big3; mv d3/big2 d2/f3; echo new > d2/x.tmp; mv d2/x.tmp d2/f2`;

const KINDS: Readonly<Record<string, readonly FaultAction[]>> = {
  'connections that end in the middle': [
    { kind: 'cut-response', afterBytes: 0 },
    { kind: 'cut-response', afterBytes: 50 },
    { kind: 'cut-request', afterBytes: 10 },
    { kind: 'cut-request', afterBytes: 100_000 },
    { kind: 'lose-answer' },
    { kind: 'wrong-length', extraBytes: 10 },
  ],
  'a server in trouble': [
    faults.serverError,
    faults.badGateway,
    faults.unavailable,
    throttled('1'),
    { kind: 'answer', status: 500, early: true },
  ],
  'a page instead of an answer': [faults.htmlPage],
};
const FAULTY_REQUESTS = 250;
const FAULTY_SHARE = 0.15;
/** What a page refuses is tried again late, so that this many requests are enough. */
const PAGE_REQUESTS = 60;

describe('faults', { skip: SKIP_MOUNT }, () => {
  for (const [name, actions] of Object.entries(KINDS)) {
    test(name, async () => {
      using temp = new TempDir('faults');
      await sh(MAKE_TREE, [temp.at('source')]);
      const server = await startApache();
      try {
        await using proxy = await startFaultProxy({ targetPort: server.port });
        const target = { ...server, url: throughPort(server.url, proxy.port) };
        await using drive = await mountInfinimount({ server: target });
        await drive.fs.readdir(drive.path);
        proxy.setRules(
          randomRules(actions, actions.includes(faults.htmlPage) ? PAGE_REQUESTS : FAULTY_REQUESTS),
        );
        await drive.sh('cp -a "$1" tree', [temp.at('source')], { timeoutMs: 30_000 });
        assert.equal(await diffTrees(temp.at('source'), drive.at('tree')), '');
        await sh(`cd "$1"; ${CHANGE_TREE}`, [temp.at('source')]);
        await drive.sh(`cd tree; ${CHANGE_TREE}`, [], { timeoutMs: 30_000 });
        assert.equal(await diffTrees(temp.at('source'), drive.at('tree')), '');
        await waitForTree(temp.at('source'), join(server.root, 'tree'));
        assert.equal(await diffTrees(temp.at('source'), drive.at('tree')), '');
        assert.ok(proxy.seen.some(({ fault }) => fault !== 'none'));
        assert.deepEqual(leftOvers(server.root), []);
      } finally {
        await server.stop();
      }
    });
  }

  test('files are removed, renamed, cut and replaced while they are uploaded slowly', async () => {
    await using bench = await startBench({ rttMs: 20, rateBytesPerS: 8_000_000 });
    const { drive, server } = bench;
    await drive.sh('head -c 10000000 /dev/urandom > a; for name in b c e f; do cp a $name; done');
    await waitUntil('uploads to be under way', () => (bench.proxy?.stats().upBytes ?? 0) > 2_000_000);
    await drive.sh(`
      mv a a2; rm b; truncate -s 5000000 c; echo tail >> e; mkdir dir; mv e dir/e; mv dir dir2
      cp a2 f.tmp; echo tail >> f.tmp; mv f.tmp f`);
    const names = ['a2', 'c', 'dir2', 'f'];
    await waitUntil(
      'the server to be as the mount',
      async () => (await diffTrees(drive.path, server.root)) === '',
      { timeoutMs: DRAIN_TIMEOUT_MS, intervalMs: 500 },
    );
    assert.deepEqual(
      readdirSync(server.root)
        .filter((name) => name !== '.DAV')
        .sort(),
      names,
    );
    assert.deepEqual((await drive.fs.readdir(drive.path)).sort(), names);
  });
});

function randomRules(actions: readonly FaultAction[], requests: number): FaultRule[] {
  const random = seededRandom(5);
  return Array.from({ length: requests }, (_, index) => index + 1).flatMap((nth) => {
    const action = random.chance(FAULTY_SHARE) ? random.pick(actions) : undefined;
    return action === undefined ? [] : [{ nth, action }];
  });
}

/** What there is no reason for: conflict copies, since nobody else is at work, and names that step aside. */
function leftOvers(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\(conflict |\.infinimount-/.test(name),
  );
}
