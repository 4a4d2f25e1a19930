/** Asking on the terminal: openly, or without showing what is typed. */

import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { UserError } from '../base/index.js';

export interface Prompt {
  /** The answer without spaces around it. */
  ask(question: string): Promise<string>;
  askHidden(question: string): Promise<string>;
}

/** Undefined where there is no terminal. */
export function terminalPrompt(): Prompt | undefined {
  if (!process.stdin.isTTY) return undefined;
  return {
    ask: async (question) => (await put(question, false)).trim(),
    askHidden: (question) => put(question, true),
  };
}

async function put(question: string, hidden: boolean): Promise<string> {
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  // stdout may be a pipe; the question belongs to the person.
  const output = hidden ? nowhere : process.stderr;
  if (hidden) process.stderr.write(question);
  const terminal = createInterface({ input: process.stdin, output, terminal: true });
  const interrupted = new AbortController();
  terminal.once('SIGINT', () => interrupted.abort());
  terminal.once('close', () => interrupted.abort());
  try {
    return await terminal.question(hidden ? '' : question, { signal: interrupted.signal });
  } catch (error) {
    throw new UserError('password', 'Cannot log in: the question was not answered', undefined, {
      cause: error,
    });
  } finally {
    terminal.close();
    if (hidden) process.stderr.write('\n');
  }
}
