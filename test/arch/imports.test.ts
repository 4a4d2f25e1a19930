/** Keeps the import directions: which folder of src may use which, only by its index, and without cycles. */

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const SRC = resolve(dirname(fileURLToPath(import.meta.url)), '../../src');

/** For each folder, the folders whose index it may import: those below it in DESIGN.md's layers. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  base: [],
  observe: ['base'],
  config: ['base'],
  fuse: ['base', 'observe'],
  libfuse: ['base', 'observe', 'fuse'],
  remote: ['base'],
  auth: ['base', 'observe'],
  webdav: ['base', 'observe', 'remote', 'auth'],
  infinicloud: ['base', 'observe', 'remote', 'auth'],
  state: ['base', 'observe', 'remote'],
  content: ['base', 'observe', 'remote'],
  sync: ['base', 'observe', 'remote', 'state', 'content'],
  vfs: ['base', 'observe', 'remote', 'state', 'content', 'sync'],
  bridge: ['base', 'observe', 'remote', 'state', 'content', 'sync', 'vfs', 'fuse', 'libfuse'],
  control: ['base', 'observe', 'config'],
  daemon: [
    ...['base', 'observe', 'config', 'remote', 'auth', 'webdav', 'infinicloud', 'state', 'content', 'sync'],
    ...['vfs', 'bridge', 'fuse', 'libfuse', 'control'],
  ],
  cli: ['base', 'observe', 'config', 'control', 'daemon'],
};

interface Import {
  /** Relative to src. */
  readonly file: string;
  readonly specifier: string;
}

/** `from '...'`, `import '...'`, `import('...')`: all forms that name another module. */
const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*(['"])([^'"]+)\1/g;

function importsOf(source: string): string[] {
  const code = source.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  return [...code.matchAll(IMPORT)].map((match) => match[2] ?? '');
}

/** What is wrong with an import, or undefined. */
function faultOf({ file, specifier }: Import): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  const from = file.split('/')[0] ?? '';
  const target = relative(SRC, resolve(SRC, dirname(file), specifier));
  if (target.startsWith('..')) return `${file} imports ${specifier}, which is outside src`;
  const [to = '', ...rest] = target.split('/');
  if (from === to) return undefined;
  const allowed = ALLOWED[from];
  if (allowed === undefined || ALLOWED[to] === undefined) {
    return `${file} imports ${specifier}: folder "${allowed === undefined ? from : to}" has no row in ALLOWED of this test; add it with what it may use`;
  }
  if (!allowed.includes(to)) {
    return `${file} imports ${specifier}: "${from}" may use only ${allowed.join(', ') || 'nothing'}. Move what is shared down, or hand it in by constructor from src/daemon`;
  }
  if (rest.join('/') !== 'index.js') {
    return `${file} imports ${specifier}, past the public face of "${to}": export it in src/${to}/index.ts and import '../${to}/index.js'`;
  }
  return undefined;
}

function allImports(): Import[] {
  return readdirSync(SRC, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) =>
      importsOf(readFileSync(join(SRC, file), 'utf8')).map((specifier) => ({ file, specifier })),
    );
}

/** A cycle in the graph of `edges`, as the nodes on it, or undefined. */
function findCycle(edges: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const done = new Set<string>();
  const visit = (node: string, path: readonly string[]): readonly string[] | undefined => {
    const start = path.indexOf(node);
    if (start >= 0) return [...path.slice(start), node];
    if (done.has(node)) return undefined;
    for (const next of edges.get(node) ?? []) {
      const cycle = visit(next, [...path, node]);
      if (cycle !== undefined) return cycle;
    }
    done.add(node);
    return undefined;
  };
  for (const node of edges.keys()) {
    const cycle = visit(node, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}

test('every import of src goes downward and through an index', () => {
  const imports = allImports();
  assert.ok(imports.length > 100, 'the imports of src are found');
  const faults = imports.map(faultOf).filter((fault) => fault !== undefined);
  assert.deepEqual(faults, []);
});

test('the table of layers has no cycle', () => {
  assert.equal(findCycle(new Map(Object.entries(ALLOWED))), undefined);
});

test('no two files of a folder import each other, directly or around', () => {
  const edges = new Map<string, string[]>();
  for (const { file, specifier } of allImports()) {
    if (!specifier.startsWith('.')) continue;
    const target = relative(SRC, resolve(SRC, dirname(file), specifier)).replace(/\.js$/, '.ts');
    edges.set(file, [...(edges.get(file) ?? []), target]);
  }
  const cycle = findCycle(edges);
  assert.equal(
    cycle,
    undefined,
    `a cycle: ${cycle?.join(' -> ')}; move what both need into a file of its own`,
  );
});

test('the checks find what they are for', () => {
  assert.deepEqual(
    importsOf(
      "import { a } from './a.js';\nexport * from \"./b.js\";\nimport './c.js'; await import('./d.js');",
    ),
    ['./a.js', './b.js', './c.js', './d.js'],
  );
  assert.deepEqual(importsOf("// import './a.js'\n/* from './b.js' */"), []);
  assert.match(
    faultOf({ file: 'base/a.ts', specifier: '../observe/index.js' }) ?? '',
    /may use only nothing/,
  );
  assert.match(faultOf({ file: 'vfs/a.ts', specifier: '../sync/planner.js' }) ?? '', /public face of "sync"/);
  assert.match(faultOf({ file: 'vfs/a.ts', specifier: '../strange/index.js' }) ?? '', /"strange" has no row/);
  assert.match(faultOf({ file: 'vfs/a.ts', specifier: '../../test/a.js' }) ?? '', /outside src/);
  assert.equal(faultOf({ file: 'vfs/a.ts', specifier: '../sync/index.js' }), undefined);
  assert.deepEqual(
    findCycle(
      new Map([
        ['a', ['b']],
        ['b', ['c']],
        ['c', ['b']],
      ]),
    ),
    ['b', 'c', 'b'],
  );
});
