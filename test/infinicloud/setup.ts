/** What the tests against the InfiniCLOUD stand-in share: a person's home directory, logging in, mounting a profile. */

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RunResult, run, skipWithout, waitUntil } from '../support/exec.js';
import type { InfiniCloud, ReceivedRequest } from '../support/infinicloud/index.js';
import { INFINIMOUNT, MountedDrive, serveMount } from '../support/mount/index.js';

/** False where the stand-in can run, else the reason to skip. */
export const SKIP_CLOUD = skipWithout('apache2', 'setpriv', 'openssl');
/** The same for tests that mount. */
export const SKIP_CLOUD_MOUNT = SKIP_CLOUD || skipWithout('umount', 'df');

/** How long changes may take to reach the server when nothing is wrong any more. */
export const DRAIN_TIMEOUT_MS = 120_000;
const COMMAND_TIMEOUT_MS = 60_000;

/** A home directory with its own configuration, tokens and cache; disposed of with all that is in it. */
export class Home {
  readonly path: string;
  readonly configFile: string;

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), 'infinimount-home-'));
    for (const name of ['config', 'state', 'cache', 'run']) mkdirSync(this.at(name), { mode: 0o700 });
    this.configFile = this.at('config', 'config.toml');
  }

  at(...segments: readonly string[]): string {
    return join(this.path, ...segments);
  }

  get env(): Readonly<Record<string, string>> {
    return {
      HOME: this.path,
      XDG_CONFIG_HOME: this.at('config'),
      XDG_STATE_HOME: this.at('state'),
      XDG_CACHE_HOME: this.at('cache'),
      INFINIMOUNT_RUNTIME_DIR: this.at('run'),
    };
  }

  /** A private file with one secret in it, as `--password-file` takes it. */
  secretFile(name: string, secret: string): string {
    const path = this.at(name);
    writeFileSync(path, `${secret}\n`, { mode: 0o600 });
    return path;
  }

  /** Replaces the configuration file as an editor does: a new file takes the name. */
  writeConfig(text: string): void {
    const temporary = `${this.configFile}.new`;
    writeFileSync(temporary, text, { mode: 0o600 });
    renameSync(temporary, this.configFile);
  }

  readConfig(): string {
    return readFileSync(this.configFile, 'utf8');
  }

  /** Runs a command of the product to its end; the configuration file is ours. */
  command(args: readonly string[], input?: string): Promise<RunResult> {
    const [name = '', ...rest] = args;
    return run([...INFINIMOUNT, name, ...rest, '--config', this.configFile], {
      env: this.env,
      timeoutMs: COMMAND_TIMEOUT_MS,
      ...(input === undefined ? {} : { input }),
    });
  }

  /** `infinimount rotate` of a drive that this home has mounted; `input`: what is typed. */
  rotate(drive: MountedDrive, args: readonly string[], input: string): Promise<RunResult> {
    return this.#live('rotate', drive, args, input);
  }

  flush(drive: MountedDrive, args: readonly string[]): Promise<RunResult> {
    return this.#live('flush', drive, args);
  }

  #live(name: string, drive: MountedDrive, args: readonly string[], input = ''): Promise<RunResult> {
    return run([...INFINIMOUNT, name, drive.path, ...args], {
      env: this.env,
      timeoutMs: COMMAND_TIMEOUT_MS,
      input,
    });
  }

  /** `infinimount login` with the account's ID and apps password; `args` says what else. */
  login(cloud: InfiniCloud, args: readonly string[], password = cloud.password): Promise<RunResult> {
    const passwordFile = this.secretFile('password', password);
    const proof = ['--user', cloud.user, '--password-file', passwordFile, '--ca-file', cloud.caFile];
    return this.command(['login', 'cloud', ...proof, ...args]);
  }

  /** Mounts the profile on a new directory with the cache directory of this home; the server is looked at often. */
  async mount(profile = 'cloud', args: readonly string[] = ['--freshness', '1s']): Promise<MountedDrive> {
    const mountPoint = mkdtempSync(this.at('mnt-'));
    const cacheDir = this.at('drive-cache');
    mkdirSync(cacheDir, { recursive: true, mode: 0o700 });
    const command = ['mount', profile, mountPoint, '--config', this.configFile, '--cache-dir', cacheDir];
    const served = await serveMount({
      argv: [...INFINIMOUNT, ...command, ...args],
      mountPoint,
      ready: 'stdout-line',
      env: this.env,
    });
    return new MountedDrive(served, cacheDir, this.at('run'), {}, [mountPoint]);
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** The arguments of a login that finds the node by the REST API. */
export function byKey(home: Home, cloud: InfiniCloud, apiKey = cloud.apiKey): readonly string[] {
  return ['--api', cloud.apiUrl, '--api-key-file', home.secretFile('api-key', apiKey)];
}

/** The text of a configuration file with one profile, which logs in with BASIC. */
export function basicProfile(cloud: InfiniCloud, changes: Readonly<Record<string, string>> = {}): string {
  const keys: Readonly<Record<string, string>> = {
    url: cloud.davUrl,
    user: cloud.user,
    password: cloud.password,
    'ca-file': cloud.caFile,
    ...changes,
  };
  const lines = Object.entries(keys).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  return `[profile.cloud]\n${lines.join('\n')}\n`;
}

/** What df(1) says of the drive, in bytes. */
export async function diskFree(
  drive: MountedDrive,
): Promise<{ readonly size: number; readonly used: number; readonly available: number }> {
  const [, numbers = ''] = (await drive.sh('df -B1 --output=size,used,avail .')).trim().split('\n');
  const [size = 0, used = 0, available = 0] = numbers.trim().split(/\s+/).map(Number);
  return { size, used, available };
}

/** Waits until a file below the server's directory has exactly this content. */
export function serverHas(
  cloud: InfiniCloud,
  path: string,
  content: string | Buffer,
  timeoutMs = DRAIN_TIMEOUT_MS,
): Promise<void> {
  const wanted = Buffer.from(content);
  return waitUntil(`the server to have ${path}`, () => fileEquals(join(cloud.root, path), wanted), {
    timeoutMs,
  });
}

function fileEquals(path: string, wanted: Buffer): boolean {
  try {
    return readFileSync(path).equals(wanted);
  } catch {
    // Not there yet.
    return false;
  }
}

/** A command that ended with a message for a person: an exit code of its own, no stack, no secret. */
export function assertClearRefusal(result: RunResult, words: RegExp, secrets: readonly string[]): void {
  assert.equal(result.timedOut, false, result.stderr);
  assert.notEqual(result.code, 0, `it succeeded: ${result.stdout}`);
  assert.match(result.stderr, words);
  // 70 is EX_SOFTWARE of sysexits.h: an error of the program itself.
  assert.notEqual(result.code, 70, result.stderr);
  assert.doesNotMatch(result.stderr, /\n\s+at /);
  assertNoSecret(`${result.stdout}${result.stderr}`, secrets);
}

/** None of the secrets is in the text, neither as such nor as BASIC carries them. */
export function assertNoSecret(text: string, secrets: readonly string[]): void {
  for (const secret of secrets) {
    for (const form of [secret, encodeURIComponent(secret), Buffer.from(secret).toString('base64')]) {
      assert.ok(!text.includes(form), `a secret shows in: ${text.replaceAll(form, '<SECRET>')}`);
    }
  }
}

/** Each credential went to where it belongs and nowhere else. */
export function assertCredentialsStayHome(cloud: InfiniCloud): void {
  for (const entry of cloud.received()) {
    const place = `${entry.host} ${entry.method} ${entry.path}`;
    const isRest = entry.path.startsWith('/v2/api/');
    const authorization = entry.headers.authorization ?? '';
    if (hasApiKey(entry))
      assert.ok(isRest && (entry.host === 'api' || entry.host === 'node'), `API key at ${place}`);
    const [, userPass = ''] = /^basic (.*)/i.exec(authorization) ?? [];
    // A client that has a secret of its own shows it to the issuer by BASIC (RFC 6749 section 2.3.1).
    const isClient = entry.host === 'issuer' && nameOf(userPass) === cloud.serviceClient.id;
    if (userPass !== '' && !isClient) {
      assert.ok(entry.host === 'api' || entry.host === 'node', `password at ${place}`);
      assert.equal(nameOf(userPass), cloud.user, `password at ${place}`);
    }
    if (/^bearer/i.test(authorization)) {
      assert.ok(entry.host === 'node' && entry.path.startsWith('/v2/dav/'), `token at ${place}`);
    }
    if (entry.host === 'other' || entry.host === 'plain') {
      assert.equal(authorization, '', `credentials at ${place}`);
      assert.equal(entry.headers.cookie, undefined, `cookie at ${place}`);
    }
  }
}

/** OAuth2 clients encode their id before BASIC does (RFC 6749 section 2.3.1); the account's ID has nothing to encode. */
function nameOf(userPass: string): string {
  return decodeURIComponent(Buffer.from(userPass, 'base64').toString().split(':')[0] ?? '');
}

function hasApiKey({ path, headers }: ReceivedRequest): boolean {
  const names = ['x-infinicloud-api-key', 'x-teracloud-api-key'];
  return names.some((name) => headers[name] !== undefined) || path.includes('api_key');
}
