import type { Identity } from '../../src/core/crypto.ts';
import type { MeshId } from '../../src/core/ids.ts';
import { createReplica } from '../../src/core/replica.ts';
import { decodeDelta, signDelta, verifyDelta } from '../../src/core/wire/delta.ts';
import { packMessage, unpackMessage } from '../../src/core/wire/messages.ts';
import { createSystemClock } from '../../src/host/clock.ts';
import { nodeCrypto } from '../../src/host/crypto.ts';
import { systemRandom } from '../../src/host/random.ts';
import { decode, encode } from '../../src/mesh/codec.ts';
import { createLibp2pTransport } from '../../src/mesh/libp2p/transport.ts';
import type { Link } from '../../src/ports/transport.ts';

/** Milliseconds of one core for each thing that a host does with a message of gossip: the real code and the real cryptography. */
export interface MessageCosts {
  /** Through Noise, yamux and TCP on loopback, sending and receiving together, one message at a time. */
  readonly transport: number;
  readonly encode: number;
  readonly decode: number;
  /** Of a delta that is new, without its signature. */
  readonly merge: number;
  readonly verify: number;
  /** Finding that a delta is held already. */
  readonly known: number;
  /** Of the records of a thousand peers, five each, for the disk. */
  readonly save: number;
}

const MESH = '5e'.repeat(32) as MeshId;
const DOOR = { name: 'epoch/0000000000000000/1', secret: new Uint8Array(32) };
const TIMES = 2_000;
/** About what a record of a peer takes. */
const VALUE = 'x'.repeat(160);

function makeIdentity(): Identity {
  const seed = systemRandom.bytes(32);
  const publicKey = nodeCrypto.publicKey(seed);
  return { seed, publicKey, peer: nodeCrypto.peerId(publicKey) };
}

/** Of one call, by the processor's time; the first calls are for the compiler. */
function cost(run: (time: number) => void): number {
  for (let time = 0; time < TIMES / 4; time++) run(time);
  const before = process.cpuUsage();
  for (let time = 0; time < TIMES; time++) run(time);
  return spent(before) / TIMES;
}

function spent(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

export async function measureMessageCosts(): Promise<MessageCosts> {
  const authors = Array.from({ length: 50 }, makeIdentity);
  const made = Array.from({ length: TIMES * 2 }, (_, at) =>
    signDelta({
      crypto: nodeCrypto,
      identity: authors[at % authors.length] as Identity,
      mesh: MESH,
      seq: 1 + Math.floor(at / authors.length),
      changes: new Map([['note', encode(VALUE)]]),
    }),
  );
  const delta = (at: number) => made[at % made.length] as (typeof made)[number];
  const message = (at: number) => packMessage({ type: 'deltas', deltas: [delta(at)] });
  const bytes = made.map((_, at) => encode(message(at)));
  const isPeer = (text: string) => nodeCrypto.publicKeyOf(text) !== undefined;
  const replica = createReplica();
  let next = 0;
  return {
    transport: await transportCost(bytes),
    encode: cost((at) => encode(message(at))),
    decode: cost((at) => {
      const decoded = decode(bytes[at % bytes.length] as Uint8Array);
      if (decoded.ok) unpackMessage(decoded.value, isPeer);
    }),
    merge: cost(() => {
      const decoded = decodeDelta(nodeCrypto, delta(next));
      if (!decoded.ok) throw new Error(decoded.problem);
      replica.merge(delta(next++));
    }),
    verify: cost((at) => verifyDelta(nodeCrypto, MESH, delta(at))),
    known: cost((at) => replica.held(delta(at).signature)),
    save: saveCost(made.slice(0, 1_000)),
  };
}

function saveCost(made: readonly { readonly body: Uint8Array; readonly signature: Uint8Array }[]): number {
  const all = Array.from({ length: 5 }, () =>
    made.flatMap(({ body, signature }) => [body, signature]),
  ).flat();
  for (let time = 0; time < 5; time++) encode(all);
  const before = process.cpuUsage();
  for (let time = 0; time < 20; time++) encode(encode(all));
  return spent(before) / 20;
}

async function transportCost(bytes: readonly Uint8Array[]): Promise<number> {
  const common = { clock: createSystemClock(), random: systemRandom };
  const doorkeeper = () => ({ admit: true as const, secret: DOOR.secret });
  const [a, b] = await Promise.all(
    [makeIdentity(), makeIdentity()].map((identity) =>
      createLibp2pTransport({ ...common, identity, doorkeeper }),
    ),
  );
  if (a === undefined || b === undefined) throw new Error('there are two');
  try {
    let arrived = 0;
    const [address] = await b.listen(['127.0.0.1:0'], (link) =>
      link.receive({ message: () => void arrived++, closed() {} }),
    );
    const link: Link = await a.dial(address as string, DOOR);
    link.receive({ message() {}, closed() {} });
    const send = async (count: number) => {
      const wanted = arrived + count;
      for (let at = 0; at < count; at++) {
        link.send(bytes[at % bytes.length] as Uint8Array);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      while (arrived < wanted) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    await send(200);
    const before = process.cpuUsage();
    await send(600);
    return spent(before) / 600;
  } finally {
    await Promise.all([a.close(), b.close()]);
  }
}
