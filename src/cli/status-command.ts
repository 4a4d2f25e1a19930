/** The command `status`: how one mount is, or all of them. */

import { quote } from '../base/index.js';
import { chooseMount } from './choose-mount.js';
import { EXIT_CODES } from './exit-codes.js';
import { Live } from './live.js';
import { complain } from './output.js';
import { type ControlPlaces, runningMounts } from './running-mounts.js';
import { statusLines, statusTable } from './show/status.js';

export interface StatusCommand {
  readonly mount: string | undefined;
  readonly verbose: boolean;
  readonly watch: boolean;
  readonly json: boolean;
}

export async function runStatus(command: StatusCommand, places: ControlPlaces): Promise<number> {
  const { verbose, json } = command;
  if (command.mount === undefined && !command.watch) {
    const { running, silent } = await runningMounts(places);
    if (running.length > 1) {
      for (const { socketPath, error } of silent) complain(`${quote(socketPath)}: ${error.message}`);
      const mounts = running.map(({ status }) => status);
      const [first] = running;
      if (first === undefined) return EXIT_CODES.noMount.code;
      const live = new Live(first, json);
      live.tell(mounts, () => statusTable(mounts, { nowMs: Date.now(), screen: live.screen, verbose }));
      return EXIT_CODES.ok.code;
    }
  }
  const live = new Live(await chooseMount(command.mount, 'status', places), json);
  if (command.watch) {
    const { runWatch } = await import('./watch-command.js');
    return await runWatch(live, { verbose });
  }
  const { status } = live.mount;
  live.tell(status, () => statusLines(status, { nowMs: Date.now(), screen: live.screen, verbose }));
  return EXIT_CODES.ok.code;
}
