/**
 * The README's tables of commands, options, exit codes and control routes, made from the tables in the code. `npm run readme` puts them in;
 * a test fails while the README has others.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { COMMANDS } from '../../src/cli/command-table.js';
import { EXIT_CODES } from '../../src/cli/exit-codes.js';
import { environmentName, OPTION_NAMES, type OptionChange, optionSpec } from '../../src/config/index.js';
import { ROUTE_NAMES, routeOf } from '../../src/control/index.js';

export const README = fileURLToPath(new URL('../../README.md', import.meta.url));

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

/** From when on a new value holds. */
const APPLIES: Readonly<Record<OptionChange, string>> = {
  live: '`remount`',
  credentials: '`rotate`',
  'new-mount': '`remount --reestablish`',
  'new-daemon': 'mount again',
};

function optionsTable(): string {
  const rows = OPTION_NAMES.map((name) => {
    const { metavar, help, choices, defaultHelp, defaultText, where, applies } = optionSpec(name);
    const value = metavar === undefined ? '' : ` ${choices === undefined ? metavar : choices.join('|')}`;
    const fallback =
      defaultHelp ?? (metavar === undefined ? (defaultText === 'true' ? 'on' : 'off') : `\`${defaultText}\``);
    const isFlag = where === undefined;
    const shown = isFlag ? `--${name}${cell(value)}` : `${name} =${cell(value)}`;
    const variable = isFlag ? `\`${environmentName(name)}\`` : 'in the file only';
    return `| \`${shown}\` | ${cell(help)} | ${fallback} | ${variable} | ${APPLIES[applies]} |`;
  });
  const head = '| option | what it does | default | in the environment | for a mount that runs |';
  return [head, '|---|---|---|---|---|', ...rows].join('\n');
}

function commandsTable(): string {
  const rows = COMMANDS.map(
    ({ name, usage, summary }) => `| \`${cell(`${name} ${usage}`.trimEnd())}\` | ${cell(summary)} |`,
  );
  return ['| command | what it does |', '|---|---|', ...rows].join('\n');
}

function exitCodesTable(): string {
  const rows = Object.values(EXIT_CODES).map(({ code, meaning }) => `| ${code} | ${cell(meaning)} |`);
  return ['| exit code | meaning |', '|---|---|', ...rows].join('\n');
}

function routesTable(): string {
  const rows = ROUTE_NAMES.map((name) => {
    const { method, path, alias, summary } = routeOf(name);
    const paths = [path, ...(alias === undefined ? [] : [alias])].map((at) => `\`${at}\``).join(', ');
    return `| ${method} | ${paths} | ${cell(summary)} |`;
  });
  return ['| method | path | what it does |', '|---|---|---|', ...rows].join('\n');
}

const TABLES: Readonly<Record<string, () => string>> = {
  commands: commandsTable,
  options: optionsTable,
  'exit codes': exitCodesTable,
  'control routes': routesTable,
};

/** `readme` with each table between its marks as the code has it; throws when a mark is missing. */
export function withTables(readme: string): string {
  return Object.entries(TABLES).reduce((text, [name, table]) => {
    const begin = `<!-- begin: ${name} -->`;
    const end = `<!-- end: ${name} -->`;
    const from = text.indexOf(begin);
    const to = text.indexOf(end);
    if (from < 0 || to < from) throw new Error(`README.md has no part from ${begin} to ${end}`);
    return `${text.slice(0, from + begin.length)}\n${table()}\n${text.slice(to)}`;
  }, readme);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(README, withTables(readFileSync(README, 'utf8')));
}
