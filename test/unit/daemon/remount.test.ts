import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { silentLog, UserError } from '../../../src/base/index.js';
import {
  type LineOptions,
  OPTION_NAMES,
  type OptionName,
  type OptionTexts,
  optionSpec,
  resolveMount,
} from '../../../src/config/index.js';
import { LiveSettings } from '../../../src/daemon/steering/live-settings.js';
import { type RemountDeps, Remounter } from '../../../src/daemon/steering/remount.js';
import type { FlagOutcome } from '../../../src/fuse/index.js';
import type { RemoteEntry, RemotePath } from '../../../src/remote/index.js';
import { openMemoryState } from '../../../src/state/index.js';
import { FakeRemoteStore } from '../../support/fake-remote.js';
import { ManualClock } from '../../support/manual-clock.js';
import { file, place } from '../state/support/records.js';

const home = mkdtempSync(join(tmpdir(), 'infinimount-remount-'));
after(() => rmSync(home, { recursive: true, force: true }));

const CERTIFICATE = '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n';
const caFile = join(home, 'ca.pem');
writeFileSync(caFile, CERTIFICATE);

/** A store that can be switched to, of which it is seen whether it was closed. */
class FakeServer extends FakeRemoteStore {
  maxConnections = 0;
  readonly running = 0;
  isClosed = false;

  override close(): Promise<void> {
    this.isClosed = true;
    return super.close();
  }
}

/** A mount without kernel and server: what remounting it does to its parts. */
class Mount {
  readonly #config: string;
  readonly clock = new ManualClock();
  readonly state = openMemoryState();
  readonly servers = new Map<string, FakeServer>();
  readonly candidates: FakeServer[] = [];
  line: LineOptions;
  readonly store = { maxConnections: 0 };
  readonly logger: { level: string } = { level: 'info' };
  readonly kernelFlags: boolean[] = [];
  readonly kernelMounts: object[] = [];
  readonly movedTo: string[] = [];
  kernelSays: FlagOutcome = 'done';
  evictions = 0;
  kept: OptionTexts = {};
  reachable = 0;
  readonly settings: LiveSettings;
  readonly remounter: Remounter;

  private constructor(config: string, made: Awaited<ReturnType<typeof resolveMount>>) {
    this.#config = config;
    const { mount } = made;
    this.line = mount;
    this.settings = new LiveSettings(mount);
    const deps: RemountDeps = {
      source: mount.source,
      cacheDir: mount.cacheDir,
      cache: {
        moved: async (url) => {
          this.movedTo.push(url);
        },
      },
      settings: this.settings,
      connection: {
        store: this.store,
        candidate: (line) => this.#candidate(line),
        use: (_, line) => {
          this.line = line;
        },
      },
      engine: {
        reachable: () => {
          this.reachable += 1;
        },
      },
      content: {
        evict: async () => {
          this.evictions += 1;
          return 0;
        },
      },
      state: this.state,
      kernel: {
        setReadOnly: async (readOnly) => {
          this.kernelFlags.push(readOnly);
          return this.kernelSays;
        },
        reestablish: async (options) => {
          this.kernelMounts.push(options);
          return 'The kernel mount is new.';
        },
      },
      keep: (overrides) => {
        this.kept = overrides;
      },
      logger: this.logger,
      log: silentLog,
    };
    this.remounter = new Remounter(deps);
  }

  /** `keys`: lines of its profile. */
  static async make(keys = ''): Promise<Mount> {
    const config = join(mkdtempSync(join(home, 'mount-')), 'config.toml');
    const mount = (text: string) =>
      writeFileSync(config, `[profile.p]\nurl = "https://one.example/dav/"\n${text}`);
    mount(keys);
    chmodSync(config, 0o600);
    const made = await resolveMount(
      { profile: 'p', directory: '/mnt', configFile: config, flags: {} },
      { environment: { HOME: home }, workingDirectory: '/' },
    );
    return new Mount(config, made);
  }

  configure(keys: string, url = 'https://one.example/dav/'): void {
    writeFileSync(this.#config, `[profile.p]\nurl = "${url}"\n${keys}`);
  }

  remount(options: OptionTexts, how: { readonly reestablish?: boolean; readonly force?: boolean } = {}) {
    const given = Object.fromEntries(Object.entries(options)) as Record<string, string>;
    return this.remounter.remount({ options: given, reestablish: false, force: false, ...how });
  }

  server(url: string): FakeServer {
    const server = this.servers.get(url) ?? new FakeServer({ clock: this.clock });
    this.servers.set(url, server);
    return server;
  }

  /** The server's last word of this file in the root. */
  knows({ name, etag, size, mtimeMs }: RemoteEntry): void {
    const at = place(name ?? '');
    this.state.transact((tx) => {
      tx.put(file(tx.allocate(), at, { content: 'clean', base: { ...at, etag, size, mtimeMs, gen: 1 } }));
    });
  }

  #candidate(line: LineOptions): FakeServer {
    const server = this.server(line.url);
    this.candidates.push(server);
    return server;
  }
}

interface LiveCase {
  readonly to: string;
  /** What of the mount is to be another than before. */
  readonly seen: (mount: Mount) => unknown;
  readonly expected: unknown;
}

/** Each option that holds at once, with what shows that it does. */
const LIVE: Readonly<Partial<Record<OptionName, LiveCase>>> = {
  url: { to: 'https://two.example/dav/', seen: ({ line }) => line.url, expected: 'https://two.example/dav/' },
  node: { to: 'three.example', seen: ({ line }) => line.url, expected: 'https://three.example/dav/' },
  'insecure-http': { to: 'true', seen: ({ line }) => line.insecureHttp, expected: true },
  'ca-file': { to: caFile, seen: ({ line }) => line.extraCaPem, expected: CERTIFICATE },
  'max-connections': {
    to: '3',
    seen: ({ store, settings }) => [store.maxConnections, settings.sync.maxConnections],
    expected: [3, 3],
  },
  'connect-timeout': { to: '2s', seen: ({ line }) => line.connectTimeoutMs, expected: 2_000 },
  'read-timeout': { to: '3s', seen: ({ line }) => line.readTimeoutMs, expected: 3_000 },
  'cache-size': {
    to: '20M',
    seen: ({ settings, evictions }) => [settings.limits.maxCleanBytes, evictions],
    expected: [20 * 1024 ** 2, 1],
  },
  'min-free-space': {
    to: '2G',
    seen: ({ settings, evictions }) => [settings.limits.minFreeBytes, evictions],
    expected: [2 * 1024 ** 3, 1],
  },
  freshness: {
    to: '5s',
    seen: ({ settings: { sync, timeouts } }) => [sync.freshnessMs, Object.values(timeouts)],
    expected: [5_000, [5_000, 5_000, 5_000]],
  },
  sync: { to: 'write-through', seen: ({ settings }) => settings.vfs.sync, expected: 'write-through' },
  'upload-delay': { to: '9s', seen: ({ settings }) => settings.sync.uploadDelayMs, expected: 9_000 },
  'read-only': {
    to: 'true',
    seen: ({ settings, kernelFlags }) => [settings.vfs.readOnly, kernelFlags],
    expected: [true, [true]],
  },
  uid: { to: '7', seen: ({ settings }) => settings.sync.owner.uid, expected: 7 },
  gid: { to: '8', seen: ({ settings }) => settings.sync.owner.gid, expected: 8 },
  'file-mode': { to: '600', seen: ({ settings }) => settings.sync.owner.fileMode, expected: 0o600 },
  'dir-mode': { to: '700', seen: ({ settings }) => settings.sync.owner.dirMode, expected: 0o700 },
  'volume-size': { to: '1G', seen: ({ settings }) => settings.vfs.volumeSizeBytes, expected: 1024 ** 3 },
  'log-level': { to: 'debug', seen: ({ logger }) => logger.level, expected: 'debug' },
  'debug-fuse': { to: 'true', seen: ({ settings }) => settings.trace !== undefined, expected: true },
};

const applying = (how: string) => OPTION_NAMES.filter((name) => optionSpec(name).applies === how);

describe('an option that holds at once', () => {
  test('has a case here', () => {
    assert.deepEqual(Object.keys(LIVE).toSorted(), applying('live').toSorted());
  });

  for (const [name, { to, seen, expected }] of Object.entries(LIVE)) {
    test(`${name}: given by name`, async () => {
      const mount = await Mount.make();
      assert.notDeepEqual(seen(mount), expected);
      const { changed, needsNewMount } = await mount.remount({ [name]: to });
      assert.deepEqual(seen(mount), expected);
      assert.deepEqual(needsNewMount, []);
      assert.deepEqual(
        changed.map(({ option }) => option),
        [name === 'node' ? 'url' : name],
      );
      assert.deepEqual((await mount.remount({ [name]: to })).changed, [], 'the same again changes nothing');
    });
  }
});

describe('an option that does not hold at once', () => {
  test('of a new daemon is named, and named again', async () => {
    const mount = await Mount.make();
    mount.configure('cache-dir = "/elsewhere"\nlog-level = "debug"\n');
    for (const changed of [['log-level'], []]) {
      const answer = await mount.remount({});
      assert.deepEqual(answer.needsNewMount, ['cache-dir']);
      assert.deepEqual(
        answer.changed.map(({ option }) => option),
        changed,
      );
    }
  });

  test('of a new kernel mount waits for one, or is taken up by one', async () => {
    const mount = await Mount.make();
    const before = await mount.remount({ 'allow-other': 'true' });
    assert.deepEqual([before.changed, before.needsNewMount], [[], ['allow-other']]);
    const answer = await mount.remount({ 'allow-other': 'true' }, { reestablish: true });
    assert.deepEqual(answer.changed, [{ option: 'allow-other', from: 'false', to: 'true' }]);
    assert.match(answer.note ?? '', /kernel mount is new/);
    assert.equal(mount.kernelMounts.length, 1);
    assert.ok('allowOther' in (mount.kernelMounts[0] ?? {}));
  });

  for (const name of applying('credentials')) {
    test(`${name} is refused: there is another way for credentials`, async () => {
      const mount = await Mount.make();
      await assert.rejects(mount.remount({ [name]: 'x', 'log-level': 'debug' }), /rotate/);
      assert.equal(mount.logger.level, 'info');
    });
  }
});

describe('remounting', () => {
  test('changes nothing where one option is no good', async () => {
    const mount = await Mount.make();
    for (const wrong of [{ 'cache-size': 'much' }, { 'cache-sise': '1G' }, { 'ca-file': '/none' }]) {
      await assert.rejects(mount.remount({ 'log-level': 'debug', ...wrong } as OptionTexts), UserError);
      assert.equal(mount.logger.level, 'info');
    }
  });

  test('reads the file again, and what was given before wins over it', async () => {
    const mount = await Mount.make();
    await mount.remount({ freshness: '9s' });
    mount.configure('freshness = "1s"\nupload-delay = "7s"\n');
    const { changed } = await mount.remount({});
    assert.deepEqual(changed, [{ option: 'upload-delay', from: '250ms', to: '7s' }]);
    assert.equal(mount.settings.sync.freshnessMs, 9_000);
  });

  test('what was given holds for a daemon that takes the mount over, without asking the server', async () => {
    const mount = await Mount.make();
    await mount.remount({ freshness: '9s', url: 'https://two.example/dav/', 'log-level': 'debug' });
    await mount.remount({ 'log-level': 'warn' });
    const next = await Mount.make();
    await next.remounter.restore({ ...mount.kept, 'gone-with-an-old-version': 'x' } as Record<
      string,
      string
    >);
    assert.deepEqual(
      [next.settings.sync.freshnessMs, next.line.url, next.logger.level],
      [9_000, 'https://two.example/dav/', 'warn'],
    );
    assert.equal(next.server(next.line.url).log.length, 0);
    assert.deepEqual((await next.remount({})).changed, [], 'and goes on to hold');
  });

  test('for writing needs the kernel where the mount was made read-only', async () => {
    const mount = await Mount.make('read-only = true\n');
    mount.kernelSays = 'denied';
    await assert.rejects(mount.remount({ 'read-only': 'false' }), { code: 'mount-point-denied' });
    assert.equal(mount.settings.vfs.readOnly, true);
    mount.kernelSays = 'done';
    await mount.remount({ 'read-only': 'false' });
    assert.equal(mount.settings.vfs.readOnly, false);
  });

  test('read-only: what is open for writing goes on, and that is said', async () => {
    const mount = await Mount.make();
    mount.kernelSays = 'busy';
    const { note } = await mount.remount({ 'read-only': 'true' });
    assert.match(note ?? '', /open for writing/);
    assert.equal(mount.settings.vfs.readOnly, true);
  });
});

describe('another URL', () => {
  const two = 'https://two.example/dav/';

  test('where the same folder is: everything goes on there, and the cache is its own', async () => {
    const mount = await Mount.make();
    const there = mount.server(two);
    for (const name of ['/a', '/b', '/c']) {
      mount.knows(there.writeDirect(name as RemotePath, name));
    }
    // Another client went on meanwhile.
    there.writeDirect('/c' as RemotePath, 'something else');
    const { changed } = await mount.remount({ url: two });
    assert.deepEqual(changed, [{ option: 'url', from: 'https://one.example/dav/', to: two }]);
    assert.deepEqual([mount.line.url, mount.movedTo, mount.reachable], [two, [two], 1]);
    assert.equal(there.isClosed, false);
  });

  test('where another folder is, is refused; insisting takes it', async () => {
    const mount = await Mount.make();
    const one = mount.server('https://one.example/dav/');
    for (const name of ['/a', '/b', '/c']) {
      mount.knows(one.writeDirect(name as RemotePath, name));
    }
    await assert.rejects(mount.remount({ url: two }), { code: 'cache-foreign' });
    assert.equal(mount.line.url, 'https://one.example/dav/');
    assert.deepEqual(mount.movedTo, []);
    assert.ok(mount.server(two).isClosed);
    // The one that was looked at is closed.
    mount.servers.delete(two);
    await mount.remount({ url: two }, { force: true });
    assert.equal(mount.line.url, two);
    assert.deepEqual(mount.movedTo, [two]);
    assert.equal(mount.reachable, 1);
  });

  test('has the next mount find the cache in its usual place', async () => {
    const mount = await Mount.make();
    const { mount: first } = await resolveMount(
      { url: 'https://one.example/dav/', directory: '/mnt', flags: {} },
      { environment: { HOME: home }, workingDirectory: '/' },
    );
    mkdirSync(first.cacheDir, { recursive: true });
    const { note } = await mount.remount({ url: two });
    assert.equal(note, undefined);
    const { mount: next } = await resolveMount(
      { url: two, directory: '/mnt', flags: {} },
      { environment: { HOME: home }, workingDirectory: '/' },
    );
    assert.ok(existsSync(next.cacheDir));
    assert.equal(realpathSync(next.cacheDir), realpathSync(first.cacheDir));
  });
});
