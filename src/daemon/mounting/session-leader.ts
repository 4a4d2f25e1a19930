/** setsid(2), which Node has for children only. */

import koffi from 'koffi';

const cSetsid = koffi.load(null).func('int setsid()');

/**
 * Leaves the session and process group of whoever started this process, and with them the terminal's signals. One that
 * leads its group already stays as it is (EPERM): it was started so.
 */
export function becomeSessionLeader(): void {
  cSetsid();
}
