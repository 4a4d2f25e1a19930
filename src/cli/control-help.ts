/** `infinimount help control`: the routes of the control socket, for those who use it without this program. */

import { ROUTE_NAMES, routeOf } from '../control/index.js';

const INTRODUCTION = [
  'Each mount is controlled by HTTP and JSON over a unix socket; `infinimount status --json` names its mount point.',
  '  curl --unix-socket SOCKET -H \'content-type: application/json\' -d \'{"path":"/a"}\' http://localhost/v1/pin',
  '',
];

export function controlHelpLines(): readonly string[] {
  const rows = ROUTE_NAMES.map((name) => routeOf(name));
  const width = Math.max(...rows.map(({ path }) => path.length));
  return [
    ...INTRODUCTION,
    ...rows.map(({ method, path, summary }) => `  ${method.padEnd(4)} ${path.padEnd(width)}  ${summary}`),
  ];
}
