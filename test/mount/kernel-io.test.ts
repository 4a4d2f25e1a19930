/** Files whose bytes the kernel reads and writes by itself, or keeps until it writes them back: nothing is lost or torn. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { skipWithout, waitUntil } from '../support/exec.js';
import { mountInfinimount } from '../support/mount/index.js';
import { type Bench, DRAIN_TIMEOUT_MS, SKIP_MOUNT, startBench, TempDir } from './setup.js';

const MIB = 1024 * 1024;
const SKIP = SKIP_MOUNT === false ? skipWithout('python3', 'curl') : SKIP_MOUNT;

/** How many requests of one kind the kernel made so far. */
async function requests(bench: Bench, op: string): Promise<number> {
  const socket = '$(ls "$1"/*.sock)';
  const text = await bench.drive.sh(
    `curl -s --max-time 10 --unix-socket ${socket} http://localhost/v1/metrics`,
    [bench.drive.runtimeDir],
  );
  const line = text
    .split('\n')
    .find((each) => /^infinimount_fuse_request_seconds_count/.test(each) && each.includes(`"${op}"`));
  return Number(line?.split(' ').at(-1) ?? 0);
}

/** A python program that runs beside the test, on a descriptor that it keeps. */
function python(
  script: string,
  args: readonly string[],
): { readonly child: ChildProcess; readonly done: Promise<string> } {
  const child = spawn('timeout', ['60', 'python3', '-c', script, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const done = new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (chunk) => {
      text += String(chunk);
    });
    child.on('error', reject);
    child.on('close', () => resolve(text));
  });
  return { child, done };
}

describe('passthrough', { skip: SKIP }, () => {
  test('the daemon sees no byte of a new file, nor of one that is here', async () => {
    await using bench = await startBench();
    const status = await bench.drive.sh(
      'dd if=/dev/urandom of=new bs=4k count=2048 status=none; cat new | md5sum',
    );
    assert.match(status, /^[0-9a-f]{32}/);
    assert.deepEqual([await requests(bench, 'write'), await requests(bench, 'read')], [0, 0]);
    const bytes = await bench.drive.fs.readFile(bench.drive.at('new'));
    await bench.serverHas('new', Buffer.from(bytes));
  });

  test('a file that comes while it is read, and one handle that writes meanwhile, are served one way', async () => {
    const content = randomBytes(8 * MIB);
    await using bench = await startBench({ prepare: (root) => writeFileSync(`${root}/far`, content) });
    const script = `
import os, sys
far = sys.argv[1]
first = os.open(far, os.O_RDONLY)
head = os.pread(first, 4096, 0)
second = os.open(far, os.O_RDWR)
os.pwrite(second, b'CHANGED', 100)
assert os.pread(first, 7, 100) == b'CHANGED'
third = os.open(far, os.O_RDONLY)
whole = os.pread(third, ${8 * MIB}, 0)
os.close(first); os.close(second); os.close(third)
again = os.open(far, os.O_RDWR)
os.pwrite(again, b'AGAIN', ${4 * MIB})
late = os.open(far, os.O_RDONLY)
assert os.pread(late, 5, ${4 * MIB}) == b'AGAIN'
assert os.pread(late, 7, 100) == b'CHANGED'
print(len(whole))`;
    assert.equal((await python(script, [bench.drive.at('far')]).done).trim(), String(8 * MIB));
    content.write('CHANGED', 100);
    content.write('AGAIN', 4 * MIB);
    await bench.serverHas('far', content);
  });

  test('what is written after a duplicate was closed, and what a mapping writes after the close, go up', async () => {
    await using bench = await startBench({ args: ['--upload-delay', '10ms'] });
    const script = `
import mmap, os, sys, time
path = sys.argv[1]
fd = os.open(path, os.O_RDWR | os.O_CREAT)
os.write(fd, b'a' * 8192)
os.close(os.dup(fd))
time.sleep(1.5)
os.pwrite(fd, b'b' * 10, 0)
view = mmap.mmap(fd, 8192)
view[20:30] = b'c' * 10
os.close(fd)
time.sleep(1)
view[40:50] = b'd' * 10
time.sleep(0.5)
view[60:70] = b'e' * 10
view.close()`;
    await python(script, [bench.drive.at('f')]).done;
    const expected = Buffer.alloc(8192, 'a');
    for (const [letter, at] of [
      ['b', 0],
      ['c', 20],
      ['d', 40],
      ['e', 60],
    ] as const)
      expected.fill(letter, at, at + 10);
    await bench.serverHas('f', expected);
  });

  test('a file that is open to be written and is not keeps its time, and is not sent', async () => {
    await using bench = await startBench({ prepare: (root) => writeFileSync(`${root}/f`, 'as it was') });
    const before = await bench.drive.sh('cat f > /dev/null; stat -c "%Y %s" f');
    const { child, done } = python('import os, sys\nfd = os.open(sys.argv[1], os.O_RDWR)\nsys.stdin.read()', [
      bench.drive.at('f'),
    ]);
    const while_ = await bench.drive.sh('sleep 1; stat -c "%Y %s" f');
    child.stdin?.end();
    await done;
    assert.equal(while_, before);
    assert.equal(await bench.drive.sh('stat -c "%Y %s" f'), before);
    await bench.drive.unmount();
    assert.deepEqual(await bench.writes('/f'), []);
  });

  test('a file that is written all the time goes up as it was at one moment, if at all', async () => {
    await using bench = await startBench({ args: ['--upload-delay', '10ms'] });
    const script = `
import os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
end = time.time() + 5
number = 0
while time.time() < end:
    number += 1
    os.pwrite(fd, (b'%07d ' % number) * 65536, 0)
    os.fsync(fd)
    time.sleep(0.02 if number % 10 else 0.4)
os.close(fd)
print(number)`;
    const writer = python(script, [bench.drive.at('f')]);
    const seen = new Set<string>();
    let running = true;
    void writer.done.finally(() => {
      running = false;
    });
    while (running) {
      const bytes =
        statSync(bench.onServer('f'), { throwIfNoEntry: false }) === undefined
          ? undefined
          : readFileSync(bench.onServer('f'));
      if (bytes !== undefined && bytes.length > 0) {
        const words = new Set(bytes.toString().trim().split(' '));
        assert.equal(words.size, 1, `the server has a mixture: ${[...words].join(' ')}`);
        seen.add([...words][0] ?? '');
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const last = (await writer.done).trim().padStart(7, '0');
    await bench.serverHas('f', `${last} `.repeat(65_536));
  });

  for (const how of ['is killed, with nobody to follow it', 'is told to end'] as const) {
    test(`a program that writes on after the daemon ${how} spoils nothing`, async () => {
      using temp = new TempDir('kernel-io');
      const cacheDir = temp.at('cache');
      await using bench = await startBench({ cacheDir, args: ['--no-keeper', '--upload-delay', '10ms'] });
      const script = `
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.pwrite(fd, b'before ' * 1000, 0)
print('written', flush=True)
sys.stdin.readline()
try:
    os.pwrite(fd, b'after! ' * 1000, 0)
except OSError:
    pass
print('again', flush=True)
sys.stdin.read()`;
      const { child, done } = python(script, [bench.drive.at('f')]);
      let text = '';
      child.stdout?.on('data', (chunk) => {
        text += String(chunk);
      });
      await waitUntil('the program to write', () => text.includes('written'));
      if (how === 'is told to end') await bench.drive.unmount();
      else await bench.drive.crash();
      await using again = await mountInfinimount({ server: bench.server, cacheDir });
      child.stdin?.write('go\n');
      await waitUntil('the program to write again', () => text.includes('again'));
      const expected = 'before '.repeat(1000);
      assert.equal(await again.sh('cat f'), expected);
      // A file whose writer died is held back until somebody says that it is good.
      await again.sh('touch f');
      await bench.serverHas('f', expected);
      assert.equal(await again.sh('cat f'), expected);
      child.stdin?.end();
      await done;
    });
  }
});

describe('the writeback cache', { skip: SKIP }, () => {
  test('small writes come together, and all of them are there', async () => {
    await using bench = await startBench({ driver: 'kernel-writeback' });
    await bench.drive.sh(
      'for i in $(seq 1000); do echo line $i; done > f; for i in $(seq 20); do echo more $i >> f; done',
    );
    const writes = await requests(bench, 'write');
    assert.ok(writes > 0 && writes < 100, `${writes} writes`);
    const lines = [
      ...Array.from({ length: 1000 }, (_, index) => `line ${index + 1}`),
      ...Array.from({ length: 20 }, (_, index) => `more ${index + 1}`),
    ];
    await bench.serverHas('f', `${lines.join('\n')}\n`);
  });

  test('another client’s longer and shorter version of a file that the kernel knows is seen', async () => {
    await using bench = await startBench({ driver: 'kernel-writeback', args: ['--freshness', '200ms'] });
    await bench.drive.sh('echo short > f; cat f');
    await bench.serverHas('f', 'short\n');
    for (const text of ['a much longer version\n', 'x\n']) {
      rmSync(bench.onServer('f'));
      writeFileSync(bench.onServer('f'), text);
      await waitUntil(
        'the new version',
        async () => (await bench.drive.sh('cat f; stat -c %s f')) === `${text}${text.length}\n`,
        { timeoutMs: DRAIN_TIMEOUT_MS },
      );
    }
  });
});
