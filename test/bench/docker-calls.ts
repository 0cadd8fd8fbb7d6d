/**
 * `npm run bench -- docker-calls`: how long Docker waits for an answer on a host with 200 networks and 1,000 containers. The links are
 * a table in memory: what is measured is everything that weftd does itself, the state file on disk included. What the kernel takes for a
 * link is in the time of `docker run`.
 */
import { type Part, today } from './context.ts';
import { createDockerBench, type DockerBench } from './docker-world.ts';
import { describeMachine } from './machine.ts';

export interface CallTimes {
  readonly method: string;
  readonly calls: number;
  /** Milliseconds. */
  readonly median: number;
  readonly p99: number;
  readonly most: number;
}

export interface DockerCalls {
  readonly networks: number;
  readonly endpoints: number;
  readonly times: readonly CallTimes[];
}

const NETWORKS = 200;
const CONTAINERS = 5;
/** Containers that come and go while all the others are there, and how many of them at a time. */
const ROUNDS = 200;
const TOGETHER = 4;
const MOST_MILLISECONDS = 100;

interface Net {
  readonly PoolID: string;
  readonly NetworkID: string;
}

export async function measureDockerCalls(quick: boolean): Promise<DockerCalls> {
  const bench = await createDockerBench();
  const taken = new Map<string, number[]>();
  let count = 0;
  const newId = () => (++count).toString(16).padStart(64, '0');

  async function call<T>(method: string, body: object): Promise<T> {
    const began = performance.now();
    const answer = await bench.call<T>(method, body);
    taken.set(method, [...(taken.get(method) ?? []), performance.now() - began]);
    return answer;
  }

  try {
    const networks: Net[] = [];
    for (let at = 0; at < (quick ? 20 : NETWORKS); at++) networks.push(await create(bench.call, newId()));
    const containers = networks.flatMap((net) => Array.from({ length: CONTAINERS }, () => net));
    for (const net of containers) await start(bench.call, net, newId());
    const rounds = quick ? 5 : ROUNDS;
    for (let round = 0; round < rounds; round++) {
      const nets = networks.slice(round % networks.length).slice(0, TOGETHER);
      await Promise.all(
        nets.map(async (net) => {
          const id = newId();
          await stop(call, net, id, await start(call, net, id));
        }),
      );
      if (round % 10 === 0) await remove(call, await create(call, newId()));
    }
    return { networks: networks.length, endpoints: containers.length, times: [...taken].map(summary) };
  } finally {
    await bench.close();
  }
}

type Call = DockerBench['call'];

async function create(call: Call, NetworkID: string): Promise<Net> {
  const ask = { AddressSpace: 'WeftLocal', Pool: '', SubPool: '', Options: null, V6: false };
  const { PoolID, Pool } = await call<{ PoolID: string; Pool: string }>('IpamDriver.RequestPool', ask);
  const IPv4Data = [{ AddressSpace: 'WeftLocal', Gateway: '', Pool }];
  await call('NetworkDriver.CreateNetwork', { NetworkID, Options: {}, IPv4Data, IPv6Data: [] });
  return { PoolID, NetworkID };
}

async function remove(call: Call, { PoolID, NetworkID }: Net): Promise<void> {
  await call('IpamDriver.ReleasePool', { PoolID });
  await call('NetworkDriver.DeleteNetwork', { NetworkID });
}

async function start(call: Call, { PoolID, NetworkID }: Net, EndpointID: string): Promise<string> {
  const ask = { PoolID, Address: '', Options: null };
  const { Address } = await call<{ Address: string }>('IpamDriver.RequestAddress', ask);
  const ids = { NetworkID, EndpointID };
  const Interface = { Address, AddressIPv6: '', MacAddress: '' };
  await call('NetworkDriver.CreateEndpoint', { ...ids, Interface, Options: {} });
  await call('NetworkDriver.Join', {
    ...ids,
    SandboxKey: `/var/run/docker/netns/${EndpointID}`,
    Options: {},
  });
  await call('NetworkDriver.EndpointOperInfo', ids);
  return Address;
}

async function stop(
  call: Call,
  { PoolID, NetworkID }: Net,
  EndpointID: string,
  given: string,
): Promise<void> {
  await call('NetworkDriver.Leave', { NetworkID, EndpointID });
  await call('NetworkDriver.DeleteEndpoint', { NetworkID, EndpointID });
  await call('IpamDriver.ReleaseAddress', { PoolID, Address: given.split('/')[0] });
}

function summary([method, times]: [string, readonly number[]]): CallTimes {
  const sorted = [...times].sort((left, right) => left - right);
  const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
  return { method, calls: times.length, median: at(0.5), p99: at(0.99), most: at(1) };
}

/** What Docker waits for. */
export const dockerCalls: Part = async ({ quick, progress, save }) => {
  const found = await measureDockerCalls(quick);
  const worst = Math.max(...found.times.map(({ p99 }) => p99));
  progress(
    `${found.networks} networks, ${found.endpoints} containers: p99 of the slowest call ${worst.toFixed(1)} ms`,
  );
  const machine = describeMachine();
  const verdict = worst < MOST_MILLISECONDS ? 'met' : '**missed**';
  const rows = found.times.map(
    ({ method, calls, median, p99, most }) =>
      `| ${method} | ${calls} | ${[median, p99, most].map((value) => value.toFixed(1)).join(' | ')} |`,
  );
  const text = [
    '# How long Docker waits for Weft',
    '',
    `${today()} UTC, \`npm run bench -- docker-calls\`. ${machine.system}, kernel ${machine.kernel}, ${machine.cores} cores of ${machine.cpu}.`,
    `Calls over the plugin's socket on a host with ${found.networks} networks and ${found.endpoints} containers, ${TOGETHER} at a time, with the state file on disk.`,
    'The links are a table in memory: the time that the kernel takes for them is not in it.',
    '',
    '| call | calls | median, ms | p99, ms | longest, ms |',
    '|---|---|---|---|---|',
    ...rows,
    '',
    `Goal: p99 of every call below ${MOST_MILLISECONDS} ms, ${verdict}.`,
    '',
  ].join('\n');
  console.log(text);
  save('docker-calls.json', `${JSON.stringify({ date: today(), machine, ...found }, null, 2)}\n`);
  save('docker-calls.md', text);
};
