/** What the sources say of all options, for one request. */

import type { ConfigFile } from './config-file.js';
import type { OptionName } from './options.js';
import type { Resolved } from './sources.js';

/** The values of all options for one request, before the server's part is looked at. */
export interface RequestedOptions extends Resolved {
  readonly file: ConfigFile | undefined;
  /** Makes the path of an option absolute: of the command line by the working directory, of the file by its directory. */
  path(name: OptionName, text: string): string;
}
