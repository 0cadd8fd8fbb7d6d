import type { JsonObject } from '../../core/json.ts';
import type { Control } from '../control.ts';
import {
  attachBody,
  createNetworkBody,
  detachBody,
  dnsAddBody,
  dnsLookupBody,
  dnsRemoveBody,
  exposeBody,
  foundBody,
  handOverBody,
  inviteBody,
  joinBody,
  networkBody,
  recoverBody,
  removePeerBody,
  renameNetworkBody,
  trustBody,
} from './bodies.ts';
import { check, type Schema } from './schema.ts';

/** `read` shows, `manage` changes. A listener says which of them it grants. */
export type Permission = 'read' | 'manage';
export const PERMISSIONS: readonly Permission[] = ['read', 'manage'];

export interface Route {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly permission: Permission;
  /** The body of a GET is empty. What it resolves to is sent as JSON. */
  run(body: JsonObject): unknown;
  /** The reply may be a stream of progress: see PROGRESS_TYPE. */
  readonly progress?: boolean;
  /** The daemon ends with it; the reply's end comes when the API is closed. */
  readonly last?: boolean;
}

/**
 * Asked for with `Accept`, a route with progress answers 200 with JSON lines: any number of `{"phase": Phase}`, then one
 * `{"result": …}` or `{"problem": Problem}`.
 */
export const PROGRESS_TYPE = 'application/x-ndjson';

/** The whole API. */
export function createRoutes(control: Control): readonly Route[] {
  return [
    get('/v1/version', () => ({ version: control.status().version })),
    get('/v1/status', () => control.status()),
    get('/v1/peers', () => ({ peers: control.status().peers })),
    post('/v1/peers/handover', handOverBody, (body) => control.handOver(body)),
    post('/v1/peers/remove', removePeerBody, (body) => control.removePeer(body)),
    post('/v1/peers/recover', recoverBody, (body) => control.recover(body)),
    post('/v1/root/export', {}, () => control.exportRoot()),
    get('/v1/networks', () => ({ networks: control.status().networks })),
    post('/v1/networks/create', createNetworkBody, (body) => control.createNetwork(body)),
    post('/v1/networks/remove', networkBody, (body) => control.removeNetwork(body)),
    post('/v1/networks/rename', renameNetworkBody, (body) => control.renameNetwork(body)),
    get('/v1/endpoints', () => ({ endpoints: control.status().endpoints })),
    get('/v1/paths', () => control.paths()),
    get('/v1/trust', () => control.trusted()),
    post('/v1/trust/add', trustBody, (body) => control.trust(body)),
    post('/v1/trust/remove', trustBody, (body) => control.distrust(body)),
    { ...post('/v1/up', foundBody, (body) => control.found(body)), progress: true },
    { ...post('/v1/join', joinBody, (body) => control.join(body)), progress: true },
    post('/v1/invite', inviteBody, (body) => control.invite(body)),
    post('/v1/attach', attachBody, (body) => control.attach(body)),
    post('/v1/detach', detachBody, (body) => control.detach(body)),
    post('/v1/expose', exposeBody, (body) => control.expose(body)),
    post('/v1/hide', {}, async () => ({ endpoints: await control.hide() })),
    get('/v1/dns', () => control.dns.list()),
    post('/v1/dns/lookup', dnsLookupBody, (body) => control.dns.lookup(body)),
    post('/v1/dns/add', dnsAddBody, (body) => control.dns.add(body)),
    post('/v1/dns/remove', dnsRemoveBody, (body) => control.dns.remove(body)),
    { ...post('/v1/down', {}, () => control.down()), last: true },
  ];
}

function get(path: string, run: () => unknown): Route {
  return { method: 'GET', path, permission: 'read', run };
}

function post<Body extends object>(path: string, schema: Schema<Body>, run: (body: Body) => unknown): Route {
  return { method: 'POST', path, permission: 'manage', run: (body) => run(check(schema, body)) };
}
