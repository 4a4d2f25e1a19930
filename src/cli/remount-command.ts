/** The command `remount`: other options for a running mount, or a new kernel mount in its place. */

import { resolve } from 'node:path';
import { quote, UserError } from '../base/index.js';
import { isOptionName, OPTION_NAMES, type OptionTexts, optionSpec } from '../config/index.js';
import { EXIT_CODES } from './exit-codes.js';
import type { Live } from './live.js';
import { remountedLines } from './show/lists.js';

export interface RemountCommand {
  /** Options that are to be others; empty: the configuration file is read again. */
  readonly options: OptionTexts;
  readonly reestablish: boolean;
  /** Take another URL up though it does not look like the same folder. */
  readonly force: boolean;
}

export async function runRemount(
  live: Live,
  { options, reestablish, force }: RemountCommand,
): Promise<number> {
  const texts: Record<string, string> = {};
  for (const name of OPTION_NAMES) {
    const text = options[name];
    if (text !== undefined) texts[name] = checked(name, text);
  }
  const remounted = await live.work('remount', { options: texts, reestablish, force });
  live.tell(remounted, () => remountedLines(remounted));
  return EXIT_CODES.ok.code;
}

/** A value as the daemon can take it: of the right form, and paths absolute, for its working directory is another. */
function checked(name: string, text: string): string {
  if (!isOptionName(name)) return text;
  const { parse, completes } = optionSpec(name);
  const parsed = parse(text);
  if ('wanted' in parsed)
    throw new UserError('usage', `Cannot use --${name} ${quote(text)}: ${parsed.wanted}`);
  return completes === undefined ? text : resolve(text);
}
