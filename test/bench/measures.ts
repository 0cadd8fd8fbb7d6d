import type { Namespace } from '../lab/namespace.ts';
import { stream } from '../lab/traffic.ts';
import { machineBusy, usageOf } from './processes.ts';
import type { Pair } from './site.ts';
import { packetRate, tripRate } from './udp-load.ts';

/** Where is measured: a pair of hosts with a container on each, and what carries packets between them. */
export interface Place {
  readonly hosts: Pair<Namespace>;
  readonly containers: Pair<Namespace>;
  readonly hostAddress: string;
  readonly containerAddress: string;
  /** Process ids. */
  readonly daemons: readonly number[];
}

const TRIPS = 20_000;

/** Figures by name, in the order of the table. */
export type Figures = Record<string, number>;

/**
 * One measurement by its name, from container to container unless said:
 *   t<n> r<n>   n TCP streams there, and back: Gbit/s
 *   t<n>Cpu     the daemons' seconds of CPU for 10^9 bytes; t<n>All: of the whole machine; t<n>Retr: segments sent again
 *   h<n>        n TCP streams from host to host
 *   u<size>     thousands of UDP packets a second with less than 1 % lost; u<size>Flood: what arrives of a flood
 *   ping        round trip on an idle path, us, average and 99th percentile; loaded: the same beside four TCP streams
 *   trips       thousands of requests and responses a second, one at a time, both ends on one core
 *   memory      resident MB of the larger daemon
 */
export async function measure(place: Place, test: string, seconds: number): Promise<Figures> {
  const { from, to, address } = endsOf(place, test);
  if (test === 'ping') return named('ping', await pings(from, address, 500, 0.002));
  if (test === 'loaded') {
    const load = stream(from, to, address, { streams: 4, seconds });
    const found = named('loaded', await pings(from, address, Math.ceil(75 * seconds), 0.01));
    await load;
    return found;
  }
  if (test === 'memory') {
    return { memory: Math.max(...place.daemons.map((pid) => usageOf([pid]).resident), 0) / 2 ** 20 };
  }
  if (test === 'trips') return { trips: (await tripRate(from, to, address, TRIPS)) / 1_000 };
  if (test.startsWith('u')) {
    const { lossless, flooded } = await packetRate(from, to, address, Number(test.slice(1)));
    return { [test]: lossless / 1_000, [`${test}Flood`]: flooded / 1_000 };
  }
  return streams(place, test, seconds);
}

/** Who sends, and to whom at which address. */
function endsOf({ hosts, containers, hostAddress, containerAddress }: Place, test: string) {
  const [from, to] = test.startsWith('h') ? hosts : containers;
  return { from, to, address: test.startsWith('h') ? hostAddress : containerAddress };
}

async function streams(place: Place, test: string, seconds: number): Promise<Figures> {
  const { from, to, address } = endsOf(place, test);
  const reverse = test.startsWith('r');
  const busy = machineBusy();
  const before = usageOf(place.daemons).cpu;
  const found = await stream(from, to, address, { streams: Number(test.slice(1)), reverse, seconds });
  const gigabytes = found.bytes / 1e9;
  return {
    [test]: found.bitsPerSecond / 1e9,
    [`${test}Cpu`]: (usageOf(place.daemons).cpu - before) / gigabytes,
    [`${test}All`]: (machineBusy() - busy) / gigabytes,
    [`${test}Retr`]: found.retransmits,
  };
}

interface Trips {
  readonly average: number;
  readonly p99: number;
}

const named = (name: string, { average, p99 }: Trips): Figures => ({ [name]: average, [`${name}P99`]: p99 });

/** Microseconds. */
async function pings(from: Namespace, address: string, count: number, interval: number): Promise<Trips> {
  const words = ['ping', '-c', `${count}`, '-i', `${interval}`, address];
  const { stdout, stderr } = await from.run(words, { check: false, say: null, timeout: 60_000 });
  const trips = [...stdout.matchAll(/time=([\d.]+) ms/g)]
    .map(([, time]) => Number(time) * 1000)
    .sort((a, b) => a - b);
  if (trips.length === 0) throw new Error(`no answer to any ping of ${address}: ${stdout}${stderr}`);
  return {
    average: trips.reduce((sum, trip) => sum + trip, 0) / trips.length,
    p99: trips[Math.floor(trips.length * 0.99)] ?? Number.NaN,
  };
}
