/** The program as it is built: what a command loads, and that files find each other. Needs the compiled program. */

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { EXIT_CODES } from '../../src/cli/exit-codes.js';
import { run } from '../support/exec.js';
import { INFINIMOUNT, PROJECT } from '../support/mount/index.js';

const PROGRAM = join(PROJECT, 'dist/program');

const home = mkdtempSync(join(tmpdir(), 'infinimount-program-'));
after(() => rmSync(home, { recursive: true, force: true }));

const files = new Map(
  readdirSync(PROGRAM)
    .filter((name) => name.endsWith('.js'))
    .map((name) => [name, readFileSync(join(PROGRAM, name), 'utf8')]),
);

/** Says of every ES module that is loaded where it is; they are not in require.cache. */
function observer(log: string): string {
  const hooks = join(home, 'hooks.mjs');
  writeFileSync(
    hooks,
    `import { appendFileSync } from 'node:fs';
     export async function load(url, context, next) {
       appendFileSync(${JSON.stringify(log)}, url + '\\n');
       return await next(url, context);
     }`,
  );
  const start = join(home, 'start.mjs');
  writeFileSync(
    start,
    `import { register } from 'node:module'; register(${JSON.stringify(pathToFileURL(hooks))});`,
  );
  return start;
}

/** The packages that a command line loads, in the files of the program or by themselves. */
async function packagesOf(code: number, ...args: string[]): Promise<ReadonlySet<string>> {
  const log = join(home, 'loaded');
  writeFileSync(log, '');
  const [node = '', script = ''] = INFINIMOUNT;
  const { stderr, ...ended } = await run([node, '--import', observer(log), script, ...args], {
    cwd: home,
    env: { HOME: home, NO_COLOR: '1' },
  });
  assert.equal(ended.code, code, stderr);
  const urls = readFileSync(log, 'utf8').split('\n');
  assert.ok(urls.some((url) => url.endsWith('/dist/program/main.js')));
  const places = urls.flatMap((url) => [url, ...contentsOf(files.get(basename(url)) ?? '')]);
  return new Set(places.flatMap((place) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(place)?.[1] ?? []));
}

/** The modules that a file of the program is made of. */
function contentsOf(text: string): string[] {
  return [...text.matchAll(/^ *\/\/ ((?:src|node_modules)\/\S+)$/gm)].map((match) => match[1] ?? '');
}

/** All that takes long to load and that few commands need. */
const HEAVY = ['webdav', 'undici', 'lmdb', 'koffi', 'pino', 'openid-client', 'saxes'];
const RARE = [
  'nephele',
  'prom-client',
  'pino-pretty',
  'log-update',
  'cli-progress',
  '@decimalturn/toml-patch',
];

function assertWithout(loaded: ReadonlySet<string>, packages: readonly string[]): void {
  assert.deepEqual(
    packages.filter((name) => loaded.has(name)),
    [],
    'load it where it is needed, by import()',
  );
}

describe('what is loaded', () => {
  test('for --version, no package', async () => {
    assert.deepEqual([...(await packagesOf(0, '--version'))], []);
  });

  test('for help, no package', async () => {
    assert.deepEqual([...(await packagesOf(0, 'help'))], []);
  });

  test('for status, nothing of a mount', async () => {
    const loaded = await packagesOf(EXIT_CODES.noMount.code, 'status', '--runtime-dir', home);
    assert.ok(loaded.has('zod') && loaded.has('yargs'));
    assertWithout(loaded, [...HEAVY, ...RARE]);
  });

  test('for a mount, nothing that only other commands need', async () => {
    const line = ['mount', 'http://127.0.0.1:1/', join(home, 'absent'), '--cache-dir', join(home, 'cache')];
    const loaded = await packagesOf(EXIT_CODES.mountPoint.code, ...line);
    assertWithout(loaded, RARE);
    assert.deepEqual(
      HEAVY.filter((name) => !loaded.has(name)),
      [],
    );
  });
});

describe('the files', () => {
  test('that are loaded later have names that stay from one version to the next', () => {
    const later = [...files.values()].flatMap((text) =>
      [...text.matchAll(/\bimport\("\.\/([^"]+)"\)/g)].map((match) => match[1] ?? ''),
    );
    assert.ok(later.includes('daemon.js') && later.includes('prometheus.js'));
    assert.deepEqual(
      later.filter((name) => /^chunk-/.test(name) || !files.has(name)),
      [],
    );
  });

  test('that are named by where a file is are there', () => {
    const named = [...files.values()].flatMap((text) =>
      [...text.matchAll(/new URL\("([^"]+)", import\.meta\.url\)/g)].map((match) => match[1] ?? ''),
    );
    for (const each of ['./body-thread-worker.js', './demo-server.js', '../../bin/keeper.sh'])
      assert.ok(named.includes(each), each);
    assert.deepEqual(
      named.filter((each) => !existsSync(join(PROGRAM, each))),
      [],
    );
  });

  test('say of an error where in the source it was made', async () => {
    const script = `
      process.setSourceMapsEnabled(true);
      const { checkServerUrl } = await import(${JSON.stringify(pathToFileURL(join(PROGRAM, 'config.js')))});
      try { checkServerUrl('nonsense', { insecureHttp: false }); } catch (error) { console.log(error.stack); }`;
    const { stdout, stderr } = await run([process.execPath, '--input-type=module', '-e', script]);
    const [, file = '', line = ''] = /\((?:file:\/\/)?(\/\S+\.ts):(\d+):\d+\)/.exec(stdout) ?? [];
    assert.equal(file, join(PROJECT, 'src/config/server-url.ts'), stdout + stderr);
    assert.match(readFileSync(file, 'utf8').split('\n')[Number(line) - 1] ?? '', /new UserError\(/);
  });

  test('come with the licences of the packages in them', () => {
    const texts = readFileSync(join(PROGRAM, 'LICENSES.txt'), 'utf8');
    for (const name of ['webdav', 'undici', 'yargs', 'zod', 'pino'])
      assert.match(texts, new RegExp(`^${name} \\d`, 'm'));
  });
});
