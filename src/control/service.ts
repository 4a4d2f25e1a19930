/** What stands behind the routes: one method each, typed from the registry. */

import type { MaybePromise } from '../base/index.js';
import type { ROUTES, RouteAnswer, RouteName, RouteRequest } from './routes.js';

export interface CallContext {
  /** Aborts when the client goes away, or the server closes. */
  readonly signal: AbortSignal;
  /** Called once after the answer was written, or could not be. For what must not come before it: the end of the mount. */
  afterAnswer(then: () => void): void;
}

/** Called for each event; returns at once. */
export type Listener<T> = (event: T) => void;

/** What a stream gives: tells `listener` of everything from now on, until the function that it gives back is called. */
export type Subscribe<T> = (listener: Listener<T>) => () => void;

/** Text with its media type. */
export interface TextAnswer {
  readonly contentType: string;
  readonly text: string;
}

type KindOf<N extends RouteName> = (typeof ROUTES)[N]['kind'];

/** What a method gives back. */
export type ServiceAnswer<N extends RouteName> =
  KindOf<N> extends 'stream'
    ? Subscribe<RouteAnswer<N>>
    : KindOf<N> extends 'text'
      ? TextAnswer
      : RouteAnswer<N>;

/** Methods throw, or reject with, what the server's `problemOf` knows; anything else is an error of the program. */
export type ControlService = {
  [N in RouteName]: (request: RouteRequest<N>, context: CallContext) => MaybePromise<ServiceAnswer<N>>;
};
