/** Asking for a password on the terminal, without showing it. */

import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { UserError } from '../base/index.js';

/** A function that asks on the terminal, or undefined where there is none. */
export function terminalPrompt(): ((question: string) => Promise<string>) | undefined {
  return process.stdin.isTTY ? askHidden : undefined;
}

async function askHidden(question: string): Promise<string> {
  // stdout may be a pipe; the question belongs to the person.
  process.stderr.write(question);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  const interrupted = new AbortController();
  terminal.once('SIGINT', () => interrupted.abort());
  terminal.once('close', () => interrupted.abort());
  try {
    return await terminal.question('', { signal: interrupted.signal });
  } catch (error) {
    throw new UserError('password', 'Cannot log in: no password was given', undefined, { cause: error });
  } finally {
    terminal.close();
    process.stderr.write('\n');
  }
}
