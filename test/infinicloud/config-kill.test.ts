/** `login` killed at random moments: the configuration file is the old one or the new one, never something between. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { startInfiniCloud } from '../support/infinicloud/index.js';
import { INFINIMOUNT } from '../support/mount/index.js';
import { seededRandom } from '../support/random.js';
import { Home, SKIP_CLOUD } from './setup.js';

const ROUNDS = 20;

describe('kill -9 of login', { skip: SKIP_CLOUD }, () => {
  test('leaves a valid configuration file with the comments of its owner, and a next login works', async () => {
    await using cloud = await startInfiniCloud();
    using home = new Home();
    const before = `# kept\ncache-size = "1G"\n\n[profile.other] # also kept\nurl = "https://dav.example.org/"\n`;
    home.writeConfig(before);
    const args = [
      ...['login', 'cloud', '--url', cloud.davUrl, '--user', cloud.user, '--ca-file', cloud.caFile],
      ...['--password-file', home.secretFile('password', cloud.password), '--config', home.configFile],
    ];
    const fullMs = await timeOf(args, home);
    const after = home.readConfig();
    assert.match(after, /\[profile\.cloud\]/);

    const random = seededRandom(7);
    let early = 0;
    let late = 0;
    let aimMs = fullMs;
    for (let round = 0; round < ROUNDS; round++) {
      home.writeConfig(before);
      await killedAfter(args, home, aimMs * (0.95 + random.next() / 10));
      const found = home.readConfig();
      assert.ok(found === before || found === after, `neither old nor new: ${JSON.stringify(found)}`);
      if (found === before) early += 1;
      else late += 1;
      // Closes in on the moment of the write, and stays around it.
      aimMs *= found === before ? 1.08 : 0.92;
      const check = await home.command(['config', 'check']);
      assert.equal(check.code, 0, check.stderr);
    }
    assert.ok(early > 0 && late > 0, `${early} kills before the write, ${late} after: nothing was at stake`);

    home.writeConfig(before);
    await timeOf(args, home);
    assert.equal(home.readConfig(), after);
    // What the killed ones left behind is at most one temporary file each, and a login that succeeds clears up.
    assert.deepEqual(readdirSync(dirname(home.configFile)), ['config.toml']);
  });
});

/** Runs the login to its end; how long it took. */
async function timeOf(args: readonly string[], home: Home): Promise<number> {
  const from = performance.now();
  const child = start(args, home);
  const [code] = await ended(child);
  assert.equal(code, 0);
  return performance.now() - from;
}

async function killedAfter(args: readonly string[], home: Home, ms: number): Promise<void> {
  const child = start(args, home);
  const end = ended(child);
  await Promise.race([delay(ms), end]);
  child.kill('SIGKILL');
  await end;
}

function start(args: readonly string[], home: Home) {
  const [program = '', ...words] = [...INFINIMOUNT, ...args];
  return spawn(program, words, { env: { ...process.env, ...home.env }, stdio: 'ignore' });
}

function ended(child: ReturnType<typeof start>): Promise<[number | null]> {
  return new Promise((resolve) => child.once('close', (code) => resolve([code])));
}
