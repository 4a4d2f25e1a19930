import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { productVersion, UserError } from '../../../src/base/index.js';
import { checkUpgrade, type Replaceable } from '../../../src/daemon/mounting/upgrade.js';

const MOUNT: Replaceable = {
  driver: 'kernel',
  continuity: { takeovers: 0, lastTakeoverMs: undefined, keeper: 'process', keeperPid: 1 },
  handOver: async () => undefined,
};

/** A program that ends as `text` says, asked as the command `mount` of it would be. */
async function checkOf(text: string): Promise<unknown> {
  const dir = mkdtempSync(join(tmpdir(), 'infinimount-upgrade-'));
  try {
    const program = join(dir, 'program.cjs');
    writeFileSync(program, text);
    const command = [process.execPath, '--no-warnings', program, 'mount', 'https://h/', '/mnt'];
    return await checkUpgrade(MOUNT, command);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

const refused = (line: RegExp) => (error: unknown) => {
  assert.ok(error instanceof UserError, String(error));
  assert.equal(error.code, 'refused');
  assert.match(error.problem, line);
  return true;
};

test('the program on the disk says which version it is', async () => {
  const text = 'if (process.argv.slice(2).join() === "--version") console.log("9.8.7-next")';
  assert.deepEqual(await checkOf(text), { from: productVersion(), to: '9.8.7-next' });
});

test('a program that does not start, or is another one, takes nothing over', async () => {
  await assert.rejects(checkOf('}{'), refused(/program\.cjs" does not start: .*program\.cjs/));
  await assert.rejects(checkOf('process.exit(3)'), refused(/does not start/));
  await assert.rejects(checkOf('console.log("hello")'), refused(/does not say which version it is/));
});

test('without a keeper, or with a driver that keeps the connection, there is no upgrade', async () => {
  const alone = { ...MOUNT, continuity: { ...MOUNT.continuity, keeper: 'none' } } as const;
  await assert.rejects(checkUpgrade(alone), refused(/nobody keeps the mount/));
  const { handOver: _, ...library } = { ...MOUNT, driver: 'fuse-native' } as const;
  await assert.rejects(checkUpgrade(library), refused(/its driver, fuse-native, does not give/));
});
