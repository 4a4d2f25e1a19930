/** From a method and a target to the route that is meant. */

import { quote } from '../base/index.js';
import { RequestError } from './problems.js';
import { ROUTE_NAMES, type Route, type RouteName, routeOf } from './routes.js';
import { CONTROL_VERSION } from './schema.js';

export interface RouteMatch {
  readonly name: RouteName;
  readonly route: Route;
  readonly query: URLSearchParams;
}

/** By path, then by method. */
const BY_PATH: ReadonlyMap<string, ReadonlyMap<string, RouteName>> = table();

function table(): Map<string, Map<string, RouteName>> {
  const paths = new Map<string, Map<string, RouteName>>();
  for (const name of ROUTE_NAMES) {
    const { path, alias, method } = routeOf(name);
    for (const at of alias === undefined ? [path] : [path, alias]) {
      const methods = paths.get(at) ?? new Map<string, RouteName>();
      methods.set(method, name);
      paths.set(at, methods);
    }
  }
  return paths;
}

/** `target`: the request target as HTTP has it, `/path?query`. Throws {@link RequestError}. */
export function findRoute(method: string, target: string): RouteMatch {
  const [path = '', ...rest] = target.split('?');
  const methods = BY_PATH.get(path);
  if (methods === undefined) throw unknownRoute(path);
  const name = methods.get(method);
  if (name === undefined) {
    const allow = [...methods.keys()].join(', ');
    throw new RequestError('wrong-method', `${path} takes ${allow}`, { headers: { allow } });
  }
  return { name, route: routeOf(name), query: new URLSearchParams(rest.join('?')) };
}

function unknownRoute(path: string): RequestError {
  const [, version = ''] = path.split('/');
  if (/^v\d+$/.test(version) && version !== CONTROL_VERSION) {
    return new RequestError(
      'unsupported-version',
      `This daemon speaks ${CONTROL_VERSION} and not ${version}`,
      { advice: 'Use the infinimount command of the version that the mount was made with, or mount again.' },
    );
  }
  return new RequestError('unknown-route', `There is no route ${quote(path.slice(0, 200))}`, {
    advice: 'See: infinimount help control',
  });
}
