/**
 * Loaded before each test file: a file whose tests are over and that does not come to its end, since something it started
 * was left behind, fails with what that is, instead of at the limit of the whole file without a word.
 */

import { readdirSync, readFileSync } from 'node:fs';
import { afterEach, beforeEach, test } from 'node:test';

/** Longer than the hooks of any suite, and than a busy machine takes from one test to the next. */
const LONGEST_MS = 300_000;
const LOOK_EVERY_MS = 5_000;
const OUR_TMPDIR = `TMPDIR=${process.env.TMPDIR ?? '(none)'}`;

let running = 0;
let ended = 0;
let quietSinceMs = Number.POSITIVE_INFINITY;

beforeEach(() => {
  running += 1;
});

afterEach(() => {
  running -= 1;
  ended += 1;
  quietSinceMs = performance.now();
});

const timer = setInterval(() => {
  if (running > 0 || performance.now() - quietSinceMs < LONGEST_MS) return;
  clearInterval(timer);
  const left = [...process.getActiveResourcesInfo(), ...relatives()].join(', ');
  test('the file ends with its tests', () => {
    throw new Error(`${ended} tests are over, and this is left: ${left}`);
  });
  setTimeout(() => process.exit(1), LOOK_EVERY_MS).unref();
}, LOOK_EVERY_MS);
timer.unref();

/** Processes that this one has started, or that have its directory for temporary files and lost who started them. */
function relatives(): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const parent = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[1];
        const isOrphan = parent === '1' && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(OUR_TMPDIR);
        if (parent !== String(process.pid) && !isOrphan) return [];
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
        // That of tsx stays as long as this process.
        return command.includes('/esbuild ') ? [] : [`process ${pid} (${command})`];
      } catch {
        // It has ended meanwhile, or is another user's.
        return [];
      }
    });
}
