/** Where secrets are read from: files, commands, systemd credentials. Their texts appear in no message. */

import { join } from 'node:path';
import { quote, Secret, systemErrorCode, UserError, type UserErrorCode } from '../base/index.js';
import { readPrivateFile } from './private-file.js';

/** Enough for a password manager that asks a person for a key. */
const COMMAND_LIMIT_MS = 30_000;
/** Far more than the first line of any password. */
const COMMAND_OUTPUT_BYTES = 64 * 1024;

/** The first line of a file that only its owner may read. `role`: such as `password file`. */
export async function readSecretFile(path: string, role: string, code: UserErrorCode): Promise<Secret> {
  const file = await readPrivateFile(path, { role, code });
  file.requirePrivate();
  return firstLine(file.text, `Cannot use the ${role} ${quote(path)}`, code);
}

/** A systemd credential (systemd.exec(5), LoadCredential=): the service manager keeps others out of the directory. */
export async function readCredential(name: string, directory: string | undefined): Promise<Secret> {
  const what = `Cannot use the systemd credential ${quote(name)}`;
  if (!/^[^/]+$/.test(name) || name === '.' || name === '..')
    throw new UserError('password', `${what}: its name is that of no file`);
  if (directory === undefined) {
    throw new UserError(
      'password',
      `${what}: the service manager handed over none ($CREDENTIALS_DIRECTORY is not set)`,
      `Add to the unit: LoadCredential=${name}:/path/of/the/file`,
    );
  }
  const { text } = await readPrivateFile(join(directory, name), {
    role: 'systemd credential',
    code: 'password',
  });
  return firstLine(text, what, 'password');
}

/** The first line that a shell command prints (`/bin/sh -c`), within bounds of time and length. */
export async function runSecretCommand(command: string, limitMs = COMMAND_LIMIT_MS): Promise<Secret> {
  const what = 'Cannot get the password by the password command';
  const { output, end } = await capture(command, limitMs);
  const fault = (found: string, hint?: string) => new UserError('password', `${what}: ${found}`, hint);
  switch (end.kind) {
    case 'exit':
      if (end.code === 0) return firstLine(output, what, 'password');
      throw fault(`it ended with exit code ${end.code}`, 'Try it in a shell.');
    case 'signal':
      throw fault(`it was ended by ${end.signal}`);
    case 'too-long':
      throw fault(`it did not end within ${limitMs / 1000} seconds`);
    case 'too-much':
      throw fault('it printed more than 64 KiB');
    case 'not-started':
      throw fault(`it could not be started (${end.reason})`);
  }
}

type CommandEnd =
  | { readonly kind: 'exit'; readonly code: number }
  | { readonly kind: 'signal'; readonly signal: string }
  | { readonly kind: 'too-long' | 'too-much' }
  | { readonly kind: 'not-started'; readonly reason: string };

/** What it writes to stderr goes to ours: a password manager's question or complaint. */
async function capture(command: string, limitMs: number): Promise<{ output: string; end: CommandEnd }> {
  const { spawn } = await import('node:child_process');
  return await new Promise((resolve) => {
    const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'pipe', 'inherit'] });
    const chunks: Buffer[] = [];
    let bytes = 0;
    const finish = (end: CommandEnd) => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      // A grandchild may hold the pipe open.
      child.stdout.destroy();
      resolve({ output: Buffer.concat(chunks).toString('utf8'), end });
    };
    const timer = setTimeout(() => finish({ kind: 'too-long' }), limitMs);
    child.stdout.on('data', (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > COMMAND_OUTPUT_BYTES) finish({ kind: 'too-much' });
    });
    child.once('error', (error) =>
      finish({ kind: 'not-started', reason: systemErrorCode(error) ?? 'unknown' }),
    );
    child.once('close', (code, signal) =>
      finish(signal === null ? { kind: 'exit', code: code ?? 0 } : { kind: 'signal', signal }),
    );
  });
}

function firstLine(text: string, what: string, code: UserErrorCode): Secret {
  const [line = ''] = text.split(/\r?\n/, 1);
  if (line !== '') return new Secret(line);
  throw new UserError(code, `${what}: its first line is empty`);
}
