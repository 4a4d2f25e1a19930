/**
 * A real systemd as process 1 of namespaces of its own: its units, its /run, /etc/fstab and control groups are apart from
 * the machine's; network and files are the machine's. It needs root, and no systemd that runs.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  killGroup,
  missingCommands,
  type RunOptions,
  type RunResult,
  run,
  skipUnless,
  waitUntil,
} from './exec.js';

const SYSTEMD = '/lib/systemd/systemd';

/** False where a systemd can be started, else the reason to skip. */
export const SKIP_SYSTEMD = skipUnless(
  process.getuid?.() === 0 &&
    existsSync(SYSTEMD) &&
    missingCommands(['unshare', 'nsenter', 'systemctl', 'mount']).length === 0,
  'root, unshare(1), and an installed systemd',
);

/** The units of systemd's own that ours refer to; everything else of the machine's is left out. */
const TARGETS = [
  ...['basic', 'sysinit', 'multi-user', 'shutdown', 'umount', 'timers', 'sockets', 'paths', 'slices', 'swap'],
  ...[
    'local-fs',
    'local-fs-pre',
    'remote-fs',
    'remote-fs-pre',
    'network',
    'network-online',
    'nss-lookup',
    'time-sync',
  ],
  ...['default', 'final', 'exit'],
].map((name) => `${name}.target`);

/** $1: our directory, which holds the script and an fstab; the rest: names of targets. */
const BOOT = `
set -eu
own=$1; shift
mount --make-rprivate /
mkdir -p "$own/units" "$own/user-units" "$own/generators"
for unit in "$@"; do
  cp "/usr/lib/systemd/system/$unit" "$own/units/" 2>/dev/null || :
  cp "/usr/lib/systemd/user/$unit" "$own/user-units/" 2>/dev/null || :
done
cp /usr/lib/systemd/system-generators/systemd-fstab-generator "$own/generators/"
mount -t tmpfs -o mode=755 tmpfs /run
for directory in /etc /usr/sbin; do
  mkdir -p "/run/own$directory/upper" "/run/own$directory/work"
  mount -t overlay -o "lowerdir=$directory,upperdir=/run/own$directory/upper,workdir=/run/own$directory/work" overlay "$directory"
done
rm -rf /etc/systemd/system /etc/systemd/user /etc/fstab
mkdir -p /etc/systemd/system "$own/state"
ln -s "$own/fstab" /etc/fstab
mount --bind "$own/state" /var/lib
mount --bind "$own/units" /usr/lib/systemd/system
mount --bind "$own/user-units" /usr/lib/systemd/user
mount --bind "$own/generators" /usr/lib/systemd/system-generators
# As udev makes it; a container may have it for root only.
mknod -m 666 /run/own/fuse c 10 229
mount --bind /run/own/fuse /dev/fuse
umount -R -l /sys/fs/cgroup 2>/dev/null || :
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# As on a machine: what a service mounts is seen by all, unless it has a namespace of its own.
mount --make-rshared /
mkdir -p /run/systemd/system/service.d
printf '[Service]\\nStandardOutput=append:%s/output\\nStandardError=inherit\\n' "$own" > /run/systemd/system/service.d/output.conf
export container=infinimount-test
exec ${SYSTEMD} --system --unit=multi-user.target --show-status=0 \\
  --log-target=null
`;

const BOOT_TIMEOUT_MS = 30_000;
const COMMAND_TIMEOUT_MS = 60_000;

export class BootedSystemd {
  /** Below the temporary directory; both sides see it. */
  readonly dir: string;
  readonly #unshare: ChildProcess;
  readonly #cgroup: string;

  private constructor() {
    this.dir = mkdtempSync(join(tmpdir(), 'infinimount-systemd-'));
    this.#cgroup = join(ownCgroup(), `infinimount-test-${process.pid}-${this.dir.slice(-6)}`);
    mkdirSync(this.#cgroup);
    writeFileSync(join(this.dir, 'fstab'), '');
    const log = openSync(join(this.dir, 'output'), 'a');
    const isolate = [
      'unshare',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount',
      '--cgroup',
      '--uts',
      '--ipc',
      '--mount-proc',
    ];
    const enter = 'echo $$ > "$1/cgroup.procs"; shift; exec "$@"';
    this.#unshare = spawn(
      'setpriv',
      [
        ...['--pdeathsig', 'KILL', '--', 'sh', '-c', enter, 'sh', this.#cgroup],
        ...[...isolate, 'bash', '-c', BOOT, 'bash', this.dir, ...TARGETS],
      ],
      { stdio: ['ignore', 'ignore', log], detached: true },
    );
    closeSync(log);
  }

  static async boot(): Promise<BootedSystemd> {
    const systemd = new BootedSystemd();
    try {
      await waitUntil(
        'systemd to be up',
        async () =>
          ['running', 'degraded'].includes(
            (await systemd.try(['systemctl', 'is-system-running'])).stdout.trim(),
          ),
        { timeoutMs: BOOT_TIMEOUT_MS, intervalMs: 100 },
      );
      return systemd;
    } catch (error) {
      const output = systemd.output;
      await systemd[Symbol.asyncDispose]();
      throw new Error(`${error}\n${output}`);
    }
  }

  /** What the services wrote. */
  get output(): string {
    return readFileSync(join(this.dir, 'output'), 'utf8');
  }

  /** Runs a program where the units run; never rejects for what it does. */
  async try(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    const init = this.#initPid();
    if (init === undefined)
      return { code: null, signal: null, stdout: '', stderr: 'no systemd', timedOut: false };
    return run(['nsenter', '-t', String(init), '-m', '-p', '-C', '-w/', '--', ...argv], {
      timeoutMs: COMMAND_TIMEOUT_MS,
      ...options,
    });
  }

  /** Like {@link try}; throws when the program fails. */
  async run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    const result = await this.try(argv, options);
    if (result.code === 0) return result.stdout;
    const how = result.timedOut ? 'ran out of time' : `ended with ${result.code}`;
    throw new Error(
      `${argv.join(' ')} ${how}\n${result.stdout}${result.stderr}\n${this.output.slice(-4000)}`,
    );
  }

  sh(script: string, args: readonly string[] = [], options: RunOptions = {}): Promise<string> {
    return this.run(['sh', '-eu', '-c', script, 'sh', ...args], options);
  }

  /** Properties of a unit, as `systemctl show` has them. */
  async show(unit: string, ...names: readonly string[]): Promise<Readonly<Record<string, string>>> {
    const text = await this.run(['systemctl', 'show', unit, `--property=${names.join(',')}`]);
    return Object.fromEntries(
      text
        .split('\n')
        .filter((line) => line.includes('='))
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
  }

  /** Waits until a property of a unit is `value`. */
  async waitFor(unit: string, name: string, value: string | RegExp, timeoutMs = 30_000): Promise<void> {
    let found = '';
    await waitUntil(
      `${name} of ${unit} to be ${value}`,
      async () => {
        found = (await this.show(unit, name))[name] ?? '';
        return typeof value === 'string' ? found === value : value.test(found);
      },
      { timeoutMs, intervalMs: 100 },
    ).catch((error: unknown) => {
      throw new Error(`${error}; it is ${found}\n${this.output.slice(-4000)}`);
    });
  }

  /** Ends everything in it. */
  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#unshare.once('close', resolve));
    if (this.#unshare.exitCode === null && this.#unshare.signalCode === null) {
      killGroup(this.#unshare);
      await ended;
    }
    await waitUntil('the control groups to be empty', () => removeCgroup(this.#cgroup), {
      timeoutMs: 10_000,
    });
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** systemd is the child of unshare(1), which our own child becomes. */
  #initPid(): number | undefined {
    const { pid } = this.#unshare;
    if (pid === undefined) return undefined;
    try {
      const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
      return children === '' ? undefined : Number(children.split(' ')[0]);
    } catch {
      // It has ended.
      return undefined;
    }
  }
}

/** The directory of our control group in the unified hierarchy. */
function ownCgroup(): string {
  const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  const root = mounts.map((line) => line.split(' ')).find(([, , type]) => type === 'cgroup2')?.[1];
  if (root === undefined) throw new Error('no unified control group hierarchy is mounted');
  const own = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8'))?.[1] ?? '/';
  return join(root, own);
}

/** Removes a control group with those below it; false while a process is in one. */
function removeCgroup(path: string): boolean {
  if (!existsSync(path)) return true;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory() && !removeCgroup(join(path, entry.name))) return false;
  }
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}
