export { type CallableRoute, type CallOptions, ControlClient, type ControlClientOptions } from './client.js';
export { ControlError, type ControlErrorCode } from './errors.js';
export { makeProblem } from './problems.js';
export {
  type Method,
  ROUTE_NAMES,
  ROUTES,
  type Route,
  type RouteAnswer,
  type RouteInput,
  type RouteKind,
  type RouteName,
  type RouteRequest,
  routeOf,
} from './routes.js';
export type {
  CacheReport,
  CacheStats,
  Conflict,
  Connection,
  ControlEvent,
  ControlLogLevel,
  Pin,
  Problem,
  Queue,
  QueueEntry,
  Remounted,
  RemountRequest,
  Rotated,
  RotateRequest,
  Status,
  UnmountRequest,
} from './schema.js';
export {
  type ControlLimits,
  type ControlServer,
  type ControlServerOptions,
  startControlServer,
} from './server.js';
export type {
  CallContext,
  ControlService,
  Listener,
  ServiceAnswer,
  Subscribe,
  TextAnswer,
} from './service.js';
