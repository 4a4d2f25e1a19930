/** How long a command may wait, as options are written everywhere: `30s`, `5m`. */

import { quote, UserError } from '../base/index.js';
import { duration } from '../config/index.js';

/** The longest that a timer takes. */
const MAX_MS = 2_147_483_647;

const TIMEOUT = duration({
  group: 'Control',
  applies: 'live',
  help: '',
  bareUnit: 's',
  max: MAX_MS,
  defaultText: '0s',
});

/** Milliseconds; undefined where no limit was given. */
export function parseTimeout(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const parsed = TIMEOUT.parse(text);
  if ('value' in parsed) return parsed.value;
  throw new UserError('usage', `Cannot use --timeout ${quote(text)}: ${parsed.wanted}`);
}
