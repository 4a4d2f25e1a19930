/**
 * Every route of the control socket, once: from this table come the server's dispatch, the client's calls, the list in
 * the help and in the README, and the tests that walk over all of them.
 */

import type * as z from 'zod';
import * as schema from './schema.js';

/**
 * - `json`: one JSON object back
 * - `stream`: server-sent events (WHATWG HTML, section 9.2), each one `answer`
 * - `text`: the text that `answer` describes, for programs that are not this one
 */
export type RouteKind = 'json' | 'stream' | 'text';

export type Method = 'GET' | 'POST' | 'PUT';

export interface Route<
  Q extends z.ZodType = z.ZodType,
  A extends z.ZodType = z.ZodType,
  K extends RouteKind = RouteKind,
> {
  readonly method: Method;
  readonly path: `/${string}`;
  /** Another path of the same route, without a version, for programs that know only that one. */
  readonly alias?: `/${string}`;
  /** One line without a full stop, as in the imperative: `List what is waiting`. */
  readonly summary: string;
  readonly kind: K;
  /** Strict: a field that it does not know is refused. Of GET it is the query, otherwise the JSON body. */
  readonly request: Q;
  /** Loose: a newer daemon may tell more. */
  readonly answer: A;
  /** Status of a good answer; 200 when absent. */
  readonly status?: 202;
  /** The answer may take as long as the work behind it does; the client has no time limit of its own for it. */
  readonly waits?: true;
}

function route<Q extends z.ZodType, A extends z.ZodType, K extends RouteKind>(
  spec: Route<Q, A, K>,
): Route<Q, A, K> {
  return spec;
}

const V = `/${schema.CONTROL_VERSION}` as const;

export const ROUTES = {
  status: route({
    method: 'GET',
    path: `${V}/status`,
    summary: 'Tell how the mount is: server, credentials, cache, queue, troubles',
    kind: 'json',
    request: schema.nothing,
    answer: schema.status,
  }),
  queue: route({
    method: 'GET',
    path: `${V}/queue`,
    summary: 'List the changes that the server does not have yet',
    kind: 'json',
    request: schema.queueRequest,
    answer: schema.queue,
  }),
  events: route({
    method: 'GET',
    path: `${V}/events`,
    summary: 'Tell what happens while it happens, as server-sent events; the first is the status',
    kind: 'stream',
    request: schema.nothing,
    answer: schema.event,
  }),
  metrics: route({
    method: 'GET',
    path: `${V}/metrics`,
    alias: '/metrics',
    summary: 'Give all figures in the text format of Prometheus',
    kind: 'text',
    request: schema.nothing,
    answer: schema.text,
  }),
  refresh: route({
    method: 'POST',
    path: `${V}/refresh`,
    summary: 'Ask the server now what is in a directory',
    kind: 'json',
    request: schema.refreshRequest,
    answer: schema.refreshed,
    waits: true,
  }),
  flush: route({
    method: 'POST',
    path: `${V}/flush`,
    summary: 'Send everything that is waiting, and answer when it is on the server',
    kind: 'json',
    request: schema.flushRequest,
    answer: schema.flushed,
    waits: true,
  }),
  pause: route({
    method: 'POST',
    path: `${V}/pause`,
    summary: 'Send no more changes until resumed',
    kind: 'json',
    request: schema.nothing,
    answer: schema.pauseState,
  }),
  resume: route({
    method: 'POST',
    path: `${V}/resume`,
    summary: 'Send changes again',
    kind: 'json',
    request: schema.nothing,
    answer: schema.pauseState,
  }),
  pin: route({
    method: 'POST',
    path: `${V}/pin`,
    summary: 'Keep a file or a tree on this machine, fetching what is missing',
    kind: 'json',
    request: schema.pathRequest,
    answer: schema.pin,
    waits: true,
  }),
  unpin: route({
    method: 'POST',
    path: `${V}/unpin`,
    summary: 'Let a pinned file or tree go from the cache like any other',
    kind: 'json',
    request: schema.pathRequest,
    answer: schema.done,
  }),
  pins: route({
    method: 'GET',
    path: `${V}/pins`,
    summary: 'List what is pinned, and how much of it is here',
    kind: 'json',
    request: schema.nothing,
    answer: schema.pins,
  }),
  evict: route({
    method: 'POST',
    path: `${V}/evict`,
    summary: 'Drop copies of files from the cache: of one path, or of all that is not in use or pinned',
    kind: 'json',
    request: schema.evictRequest,
    answer: schema.evicted,
    waits: true,
  }),
  conflicts: route({
    method: 'GET',
    path: `${V}/conflicts`,
    summary: 'List the files of which two versions were kept',
    kind: 'json',
    request: schema.nothing,
    answer: schema.conflicts,
  }),
  resolve: route({
    method: 'POST',
    path: `${V}/conflicts/resolve`,
    summary: 'Settle a conflict: keep the local version, the one of the server, or both',
    kind: 'json',
    request: schema.resolveRequest,
    answer: schema.done,
    waits: true,
  }),
  cache: route({
    method: 'GET',
    path: `${V}/cache`,
    summary: 'Tell what the cache holds and may hold',
    kind: 'json',
    request: schema.nothing,
    answer: schema.cacheStats,
  }),
  verify: route({
    method: 'POST',
    path: `${V}/cache/verify`,
    summary: 'Check every file of the cache; damaged copies are dropped, damaged changes are named',
    kind: 'json',
    request: schema.nothing,
    answer: schema.cacheReport,
    waits: true,
  }),
  logLevel: route({
    method: 'GET',
    path: `${V}/log-level`,
    summary: 'Tell the least severity that is logged',
    kind: 'json',
    request: schema.nothing,
    answer: schema.logLevelState,
  }),
  setLogLevel: route({
    method: 'PUT',
    path: `${V}/log-level`,
    summary: 'Set the least severity that is logged',
    kind: 'json',
    request: schema.logLevel,
    answer: schema.logLevelState,
  }),
  rotate: route({
    method: 'POST',
    path: `${V}/rotate`,
    summary: 'Take up new credentials, after the server took them',
    kind: 'json',
    request: schema.rotateRequest,
    answer: schema.rotated,
    waits: true,
  }),
  remount: route({
    method: 'POST',
    path: `${V}/remount`,
    summary: 'Change options of the running mount, or make the kernel mount anew',
    kind: 'json',
    request: schema.remountRequest,
    answer: schema.remounted,
    waits: true,
  }),
  upgrade: route({
    method: 'POST',
    path: `${V}/upgrade`,
    summary: 'Let the program as it is on the disk now take the place of the running one; open files go on',
    kind: 'json',
    request: schema.nothing,
    answer: schema.upgrading,
    status: 202,
    waits: true,
  }),
  unmount: route({
    method: 'POST',
    path: `${V}/unmount`,
    summary: 'End the mount; answers just before it goes, with the changes that are left',
    kind: 'json',
    request: schema.unmountRequest,
    answer: schema.unmounting,
    status: 202,
    waits: true,
  }),
} as const;

export type RouteName = keyof typeof ROUTES;

export const ROUTE_NAMES = Object.keys(ROUTES) as readonly RouteName[];

/** A route without the types of what it takes and gives, for those who only describe or dispatch it. */
export function routeOf(name: RouteName): Route {
  return ROUTES[name];
}

/** What a caller gives: defaults may be left out. */
export type RouteInput<N extends RouteName> = z.input<(typeof ROUTES)[N]['request']>;
/** What the service gets: defaults are filled in. */
export type RouteRequest<N extends RouteName> = z.output<(typeof ROUTES)[N]['request']>;
export type RouteAnswer<N extends RouteName> = z.output<(typeof ROUTES)[N]['answer']>;
