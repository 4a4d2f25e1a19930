/** The parser of the command line: yargs over the table of commands and the option table. */

import yargs, { type Argv } from 'yargs';
import { productVersion, UserError } from '../base/index.js';
import type { ParsedArguments } from './arguments.js';
import { type Command, declare, ENVIRONMENT_HINT, patternOf } from './command.js';
import { COMMANDS } from './command-table.js';

/** A command that was asked for, and what stands behind its name. */
export interface Chosen {
  readonly command: Command;
  readonly words: ParsedArguments;
}

/**
 * Undefined where everything is said already: help, a version, the script for completion. Rejects with
 * {@link UserError}. `width`: of the help, in columns.
 */
export async function parse(args: readonly string[], width: number): Promise<Chosen | undefined> {
  try {
    await commandLine(width).parseAsync([...args]);
    return undefined;
  } catch (thrown) {
    if (thrown instanceof Found) return thrown.chosen;
    throw thrown;
  }
}

/**
 * How the parser is left where a command was found: after a handler that returns, yargs lays the command's whole help out in
 * case that the command fails, which takes 0.15 s where it has all options.
 */
class Found extends Error {
  override readonly name = 'Found';
  readonly chosen: Chosen;

  constructor(chosen: Chosen) {
    super(`found: ${chosen.command.name}`);
    this.chosen = chosen;
  }
}

function commandLine(width: number): Argv {
  const line = yargs([])
    .scriptName('infinimount')
    .locale('en')
    .completion('completion', 'Print a script for bash or zsh that completes commands and options')
    .parserConfiguration({
      // Values stay the text that was typed: the option table parses them, wherever they come from.
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'duplicate-arguments-array': false,
    })
    .alias('help', 'h')
    .version(productVersion())
    .epilogue(ENVIRONMENT_HINT)
    .wrap(width)
    .exitProcess(false)
    .fail((message, error) => {
      throw error ?? new UserError('usage', message.replaceAll(/\s+/g, ' '), 'See: infinimount --help');
    });
  for (const command of COMMANDS) {
    line.command(
      patternOf(command),
      command.summary,
      (to) => declare(command, to),
      (words) => {
        throw new Found({ command, words });
      },
    );
  }
  return line;
}
