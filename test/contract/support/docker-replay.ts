import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';

/**
 * What three releases of dockerd said to a network plugin of another kind, in 227 scenarios: fixtures/docker-calls.jsonl, one a line. Ids are cut
 * to 16 digits. `err` marks the calls that the plugin failed on purpose; of its other answers only what Docker repeats later is kept.
 */
export interface Scenario {
  readonly engine: string;
  /** Scenarios of one run follow each other on one engine. */
  readonly run: string;
  readonly title: string;
  readonly calls: readonly RecordedCall[];
}

export interface RecordedCall {
  readonly m: string;
  readonly req?: Body;
  readonly resp?: { readonly PoolID?: string; readonly Pool?: string; readonly Address?: string };
  readonly err?: true;
}

export type Body = { readonly [key: string]: unknown };

const FIXTURE = join(import.meta.dirname, '..', 'fixtures', 'docker-calls.jsonl');

export function readScenarios(): readonly Scenario[] {
  const lines = readFileSync(FIXTURE, 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as Scenario);
}

export interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** As dockerd sends it: no content type, nothing at all for a call without arguments, an empty Host up to 27. */
export function callPlugin(
  socketPath: string,
  method: string,
  body: string,
  engine = '20.10.24',
): Promise<Answer> {
  const headers = {
    host: engine.startsWith('20') ? '' : 'plugin.moby.localhost',
    'user-agent': 'Go-http-client/1.1',
    'content-length': Buffer.byteLength(body),
    accept: 'application/vnd.docker.plugins.v1.2+json',
    'accept-encoding': 'gzip',
  };
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path: `/${method}`, method: 'POST', headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => {
        const parsed = JSON.parse(text) as Record<string, unknown>;
        resolve({ status: response.statusCode ?? 0, body: parsed, headers: response.headers });
      });
    });
    asked.on('error', reject).end(body);
  });
}

/** What Docker has in mind: what it was told and has not given back. */
export interface Belief {
  readonly networks: Set<string>;
  /** Endpoint → network. */
  readonly endpoints: Map<string, string>;
  /** Our pool → uses. */
  readonly pools: Map<string, number>;
  /** Our pool and address, as `pool address`. */
  readonly leases: Set<string>;
}

/** What is left of a call that our driver refuses is not played: Docker would not have gone on. */
export interface Replay {
  readonly belief: Belief;
  play(scenario: Scenario): Promise<void>;
  /** Methods that were played, refused by us, and left out because of that. */
  readonly counts: { played: number; refused: number; left: number };
}

const SPACES = 'IpamDriver.GetDefaultAddressSpaces';
const POOL = 'IpamDriver.RequestPool';
const ADDRESS = 'IpamDriver.RequestAddress';

type Send = (method: string, body: string, engine: string) => Promise<Answer>;

export function createReplay(send: Send, onJoin: (link: string, endpoint: string) => void): Replay {
  const belief: Belief = { networks: new Set(), endpoints: new Map(), pools: new Map(), leases: new Set() };
  const counts = { played: 0, refused: 0, left: 0 };
  /** Recorded → ours. */
  const pools = new Map<string, string>();
  const subnets = new Map<string, string>();
  const addresses = new Map<string, string>();
  const plain = (text: unknown) => String(text ?? '').split('/')[0] ?? '';

  /** The body with our ids and addresses for the recorded ones; undefined when Docker would not have come to this call. */
  function translate({ m, req }: RecordedCall): Body | undefined {
    if (req === undefined) return {};
    const { PoolID, NetworkID, EndpointID } = req as Record<string, string | undefined>;
    if (PoolID !== undefined) {
      const ours = pools.get(PoolID);
      if (ours === undefined) return undefined;
      const own = addresses.get(`${PoolID} ${req.Address}`);
      if (m === 'IpamDriver.ReleaseAddress' && own === undefined) return undefined;
      return { ...req, PoolID: ours, ...(own === undefined ? {} : { Address: own }) };
    }
    if (m === 'NetworkDriver.CreateNetwork') return { ...req, IPv4Data: data(req.IPv4Data) };
    if (NetworkID !== undefined && !belief.networks.has(NetworkID)) return undefined;
    if (m === 'NetworkDriver.CreateEndpoint') return { ...req, Interface: link(req.Interface as Body) };
    if (EndpointID !== undefined && !belief.endpoints.has(EndpointID)) return undefined;
    return req;
  }

  function data(list: unknown): unknown {
    return (list as Body[]).map((item) => {
      const space = String(item.AddressSpace).replace(/^Log/, 'Weft');
      return { ...item, AddressSpace: space, Pool: subnets.get(String(item.Pool)) ?? item.Pool };
    });
  }

  function link(item: Body): Body {
    const found = [...addresses].find(([key]) => key.endsWith(` ${plain(item.Address)}`));
    const text = String(item.Address);
    return found === undefined ? item : { ...item, Address: text.replace(plain(text), found[1]) };
  }

  async function play({ engine, title, calls }: Scenario): Promise<void> {
    /** Address of a container whose start we refused: all until Docker would have given it back is left out. */
    let refused: string | undefined;
    let before = '';
    let repeats = false;
    for (const call of calls) {
      // Whoever answers RequiresRequestReplay hears of its pools and addresses again after each start of dockerd. Weft does not ask for it.
      if (call.m === POOL)
        repeats = before === SPACES && belief.pools.has(pools.get(call.resp?.PoolID ?? '') ?? '');
      else if (call.m !== ADDRESS || call.req?.Address === '') repeats = false;
      before = call.m;
      if (repeats) {
        counts.left++;
        continue;
      }
      if (refused !== undefined) {
        counts.left++;
        if (call.m === 'IpamDriver.ReleaseAddress' && call.req?.Address === refused) refused = undefined;
        continue;
      }
      const body = translate(call);
      if (body === undefined) {
        counts.left++;
        continue;
      }
      const answer = await send(call.m, call.req === undefined ? '' : JSON.stringify(body), engine);
      const where = `${engine} ${title}: ${call.m} ${JSON.stringify(body)} → ${JSON.stringify(answer.body)}`;
      counts.played++;
      if (answer.status === 200) {
        assert.equal(answer.body.Err, undefined, where);
        note(call, body, answer.body, where);
        continue;
      }
      counts.refused++;
      assert.equal(answer.status, 500, where);
      assert.equal(typeof answer.body.Err, 'string', where);
      assert.ok(mayRefuse(call, body), where);
      if (call.m === 'IpamDriver.RequestAddress') refused = plain(call.req?.Address);
    }
  }

  /** The differences that are meant. */
  function mayRefuse({ m, req }: RecordedCall, body: Body): boolean {
    if (req === undefined) return true;
    if (m === 'IpamDriver.RequestPool') return req.V6 === true;
    if (m === 'NetworkDriver.CreateNetwork') {
      const [first] = body.IPv4Data as Body[];
      const ipv6 = (req.IPv6Data as unknown[]).length > 0;
      return ipv6 || first === undefined || !String(first.AddressSpace).startsWith('Weft');
    }
    // The recorded plugin gave one address to two containers.
    const taken = belief.leases.has(`${body.PoolID} ${body.Address}`);
    return m === 'IpamDriver.RequestAddress' && taken;
  }

  function note({ m, req = {}, resp, err }: RecordedCall, body: Body, answer: Body, where: string): void {
    const gateway = (req.Options as Body | null)?.RequestAddressType !== undefined;
    switch (m) {
      case 'IpamDriver.RequestPool': {
        const [id, pool] = [String(answer.PoolID), String(answer.Pool)];
        assert.match(pool, /^[\d.]+\/\d+$/, where);
        belief.pools.set(id, (belief.pools.get(id) ?? 0) + 1);
        if (resp?.PoolID !== undefined) {
          pools.set(resp.PoolID, id);
          subnets.set(String(resp.Pool), pool);
        }
        return;
      }
      case 'IpamDriver.RequestAddress': {
        assert.match(String(answer.Address), /^[\d.]+\/\d+$/, where);
        if (req.Address !== '') assert.equal(plain(answer.Address), plain(body.Address), where);
        if (resp?.Address !== undefined)
          addresses.set(`${req.PoolID} ${plain(resp.Address)}`, plain(answer.Address));
        if (!gateway) belief.leases.add(`${body.PoolID} ${plain(answer.Address)}`);
        return;
      }
      case 'IpamDriver.ReleaseAddress':
        belief.leases.delete(`${body.PoolID} ${body.Address}`);
        return;
      case 'IpamDriver.ReleasePool': {
        const id = String(body.PoolID);
        const left = (belief.pools.get(id) ?? 0) - 1;
        if (left > 0) belief.pools.set(id, left);
        else belief.pools.delete(id);
        return;
      }
      case 'NetworkDriver.CreateNetwork':
        belief.networks.add(String(req.NetworkID));
        return;
      case 'NetworkDriver.DeleteNetwork':
        belief.networks.delete(String(req.NetworkID));
        // Those that went while the plugin was down.
        for (const [id, network] of belief.endpoints)
          if (network === req.NetworkID) belief.endpoints.delete(id);
        return;
      case 'NetworkDriver.CreateEndpoint': {
        const given = (req.Interface as Body).MacAddress;
        const { MacAddress } = answer.Interface as { MacAddress?: string };
        assert.equal(given === '', MacAddress !== undefined, where);
        if (err !== true) belief.endpoints.set(String(req.EndpointID), String(req.NetworkID));
        return;
      }
      case 'NetworkDriver.Join': {
        const { SrcName, DstPrefix } = answer.InterfaceName as Record<string, string>;
        assert.match(`${SrcName} ${DstPrefix}`, /^[\w-]{1,15} eth$/, where);
        assert.equal(answer.Gateway ?? '', '', where);
        onJoin(SrcName ?? '', String(req.EndpointID));
        return;
      }
      case 'NetworkDriver.DeleteEndpoint':
        belief.endpoints.delete(String(req.EndpointID));
    }
  }

  return { belief, play, counts };
}
