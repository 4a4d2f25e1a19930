/** What `infinimount help` says: every command with one line, in groups. */

import { COMMAND_GROUPS, type Command, ENVIRONMENT_HINT } from './command.js';

/** Columns that the help takes at most. */
export const HELP_WIDTH = 100;

const INTRODUCTION = 'infinimount mounts a WebDAV server, such as InfiniCLOUD, as a local drive.';
const INDENT = '  ';

/** Lines of at most `width` columns. */
export function overviewLines(commands: readonly Command[], width: number): readonly string[] {
  const column = Math.max(...commands.map(({ name }) => name.length)) + INDENT.length;
  const lines = [INTRODUCTION, '', 'Usage: infinimount COMMAND [words] [options]'];
  for (const group of COMMAND_GROUPS) {
    const members = commands.filter((command) => command.group === group);
    if (members.length === 0) continue;
    lines.push('', `${group}:`);
    for (const { name, summary } of members) {
      const [first = '', ...more] = wrap(summary, width - column - INDENT.length);
      lines.push(`${INDENT}${name.padEnd(column)}${first}`);
      for (const line of more) lines.push(`${INDENT}${' '.repeat(column)}${line}`);
    }
  }
  return [
    ...lines,
    '',
    'infinimount help COMMAND tells more of one. Exit codes and all options are in the README.',
    'infinimount completion prints a script for bash or zsh that completes commands and options.',
    ENVIRONMENT_HINT,
  ];
}

/** Lines of at most `width` columns, broken between words. */
function wrap(text: string, width: number): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
