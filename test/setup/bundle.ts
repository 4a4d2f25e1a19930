/**
 * `npm run build`: the program as a few large files in dist/program, instead of some 700 small ones of its own and its
 * packages', which take four times as long to load. What is only needed later is in files of its own.
 */

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild';
import { thinMap } from './source-map.js';

const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
/** One folder, one below dist as a source file is one below src: paths beside and above a file hold for both. */
const PROGRAM = join('dist', 'program');

/** What is started by its file. */
const STARTED = [
  'src/cli/main.ts',
  'src/cli/mount-helper.ts',
  'src/cli/demo-server.ts',
  'src/webdav/body-thread-worker.ts',
];

const LEFT_ALONE = [
  // With native parts, which are found beside their own JavaScript.
  ...['koffi', 'lmdb', 'msgpackr', 'fuse-native'],
  // Of the demo's server, which nobody else loads.
  ...['nephele', '@nephele/*'],
  // Asked for by a part of node-fetch before Node 18, and never after.
  'web-streams-polyfill',
];

/** A package that asks where it lies is told of its place in node_modules. */
const placesOfPackages: Plugin = {
  name: 'places-of-packages',
  setup({ onLoad }) {
    onLoad({ filter: /\/node_modules\/.*\.m?js$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8');
      if (!text.includes('import.meta.url')) return undefined;
      const place = JSON.stringify(relative(join(PROJECT, PROGRAM), path));
      return { contents: text.replaceAll('import.meta.url', `new URL(${place}, import.meta.url).href`) };
    });
  },
};

/** Its index brings fetch, WebSocket, caches and mocks as well: a megabyte, and 70 ms of each start. */
const clientOfUndici: Plugin = {
  name: 'client-of-undici',
  setup({ onLoad }) {
    onLoad({ filter: /\/node_modules\/undici\/index\.js$/ }, () => ({
      contents: `
        import Dispatcher from './lib/dispatcher/dispatcher.js';
        import api from './lib/api/index.js';
        Object.assign(Dispatcher.prototype, api);
        export { default as Agent } from './lib/dispatcher/agent.js';
        export { default as Pool } from './lib/dispatcher/pool.js';`,
    }));
  },
};

/** It makes regular expressions of all emoji when it is loaded, 35 ms in which most commands measure nothing. */
const lateStringWidth: Plugin = {
  name: 'late-string-width',
  setup({ onLoad, onResolve }) {
    const whole = '?whole';
    onResolve({ filter: /^\.\/index\.js\?whole$/ }, ({ resolveDir }) => ({
      path: join(resolveDir, 'index.js'),
      suffix: whole,
    }));
    onLoad({ filter: /\/node_modules\/string-width\/index\.js$/ }, ({ path, suffix }) => {
      // Version 4, which cli-progress has, is CommonJS and light.
      if (suffix === whole || !readFileSync(path, 'utf8').includes('export default')) return undefined;
      return {
        contents: `
          let measure;
          export default function stringWidth(text, options) {
            measure ??= require('./index.js${whole}').default;
            return measure(text, options);
          }`,
      };
    });
  },
};

function optionsFor(entryPoints: Readonly<Record<string, string>>): BuildOptions & { metafile: true } {
  return {
    absWorkingDir: PROJECT,
    entryPoints: { ...entryPoints },
    outdir: PROGRAM,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    external: LEFT_ALONE,
    plugins: [placesOfPackages, clientOfUndici, lateStringWidth],
    // For packages that are CommonJS and ask for Node's own modules.
    banner: {
      js: "import { createRequire as requireOf } from 'node:module'; const require = requireOf(import.meta.url);",
    },
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none',
    metafile: true,
    logLevel: 'warning',
  };
}

/**
 * All files that get a name of their own: what is started or loaded later, and each folder of src. So a daemon whose files
 * an update replaced loads later parts by their names, of the next version then, as it would without a bundle; and the
 * source map is one for each folder, of which Node takes apart only those of an error's own files.
 */
async function entriesOf(started: readonly string[]): Promise<Readonly<Record<string, string>>> {
  const { metafile } = await build({ ...optionsFor(named(started)), write: false });
  const later = Object.values(metafile.outputs).flatMap(({ entryPoint }) => entryPoint ?? []);
  const folders = readdirSync('src').map((folder) => `src/${folder}/index.ts`);
  return named([...new Set([...later, ...folders.filter(existsSync)])]);
}

function named(files: readonly string[]): Readonly<Record<string, string>> {
  const entries = Object.fromEntries(files.map((file) => [nameOf(file), file]));
  if (Object.keys(entries).length < files.length) throw new Error(`two of one name: ${files.join(', ')}`);
  return entries;
}

/** `main` for src/cli/main.ts; for a folder's index that of the folder; for a file of a package that of the package. */
function nameOf(file: string): string {
  const inPackage = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1];
  if (inPackage !== undefined) return `package-${inPackage.replace('@', '').replace('/', '-')}`;
  return file
    .replace(/^src\//, '')
    .replace(/\/index\.ts$/, '')
    .replace(/^.*\//, '')
    .replace(/\.ts$/, '');
}

/** Their licences ask for their text to come with every copy. */
function licencesOf({ inputs }: Metafile): string {
  const folders = Object.keys(inputs).flatMap(
    (file) => /.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? [],
  );
  const texts = [...new Set(folders)].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
    const text = file === undefined ? '' : `\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
    return `${name} ${version} (${license})\n${text}`;
  });
  return `The files of this folder contain these packages.\n\n${texts.join(`\n${'-'.repeat(80)}\n\n`)}`;
}

/** What is left of a file's map; a file without anything of ours has none. */
function writeMap(map: string): void {
  const thin = thinMap(readFileSync(map, 'utf8'));
  if (thin !== undefined) {
    writeFileSync(map, thin);
    return;
  }
  rmSync(map);
  const file = map.replace(/\.map$/, '');
  writeFileSync(file, readFileSync(file, 'utf8').replace(/\n\/\/# sourceMappingURL=.*\n$/, '\n'));
}

process.chdir(PROJECT);
const entries = await entriesOf(STARTED);
rmSync('dist', { recursive: true, force: true });
const { metafile } = await build(optionsFor(entries));
for (const file of Object.keys(metafile.outputs)) if (file.endsWith('.map')) writeMap(file);
writeFileSync(join(PROGRAM, 'LICENSES.txt'), licencesOf(metafile));
