import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OpenProbes, ProbeSocket } from '../../src/ports/probes.ts';

export interface ProbesRig {
  /** Opens a socket at one end or the other of a wire between two devices. */
  open(end: 'a' | 'b', onMessage?: (from: string, bytes: Uint8Array) => void): ReturnType<OpenProbes>;
  readonly addresses: Readonly<Record<'a' | 'b', string>>;
  /** Resolves when the condition is met, and rejects when it is not for long. */
  until(what: string, condition: () => boolean): Promise<void>;
  close(): Promise<void>;
}

/** What ports/probes.ts promises. */
export function probesContract(name: string, createRig: () => Promise<ProbesRig>): void {
  function story(sentence: string, tell: (rig: ProbesRig) => Promise<void>): void {
    test(`${name}: ${sentence}`, async () => {
      const rig = await createRig();
      try {
        await tell(rig);
      } finally {
        await rig.close();
      }
    });
  }

  /** Messages come in order, so the last one tells that those before have been dealt with. */
  async function heard(
    rig: ProbesRig,
    got: readonly { bytes: Uint8Array }[],
    socket: ProbeSocket,
  ): Promise<void> {
    socket.send(rig.addresses.b, Uint8Array.of(0xff));
    await rig.until('the last message', () => got.at(-1)?.bytes[0] === 0xff);
  }

  story('a message arrives whole, with who sent it, in both directions', async (rig) => {
    const got: { at: string; from: string; bytes: Uint8Array }[] = [];
    const a = await rig.open('a', (from, bytes) => got.push({ at: 'a', from, bytes }));
    const b = await rig.open('b', (from, bytes) => got.push({ at: 'b', from, bytes }));
    const large = Uint8Array.from({ length: 1_400 }, (_, at) => at % 251);
    a.send(rig.addresses.b, large);
    await rig.until('the message', () => got.length === 1);
    b.send(rig.addresses.a, Uint8Array.of(7));
    await rig.until('the answer', () => got.length === 2);
    assert.deepEqual(
      got.map(({ at, from, bytes }) => ({ at, from, bytes: [...bytes] })),
      [
        { at: 'b', from: rig.addresses.a, bytes: [...large] },
        { at: 'a', from: rig.addresses.b, bytes: [7] },
      ],
    );
    for (const socket of [a, b]) socket.close();
  });

  story('what nobody takes, or no datagram holds, is lost without a word', async (rig) => {
    const a = await rig.open('a');
    const got: { bytes: Uint8Array }[] = [];
    const b = await rig.open('b', (_, bytes) => got.push({ bytes }));
    a.send('fe80::9', Uint8Array.of(1));
    a.send(rig.addresses.b, new Uint8Array(70_000));
    await heard(rig, got, a);
    assert.equal(got.length, 1);
    for (const socket of [a, b]) socket.close();
  });

  story('an address is taken by one socket, and free again when that is closed', async (rig) => {
    const first = await rig.open('a');
    await assert.rejects(rig.open('a'), /EADDRINUSE/);
    first.close();
    const got: { bytes: Uint8Array }[] = [];
    const b = await rig.open('b', (_, bytes) => got.push({ bytes }));
    const second = await rig.open('a');
    await heard(rig, got, second);
    for (const socket of [second, b]) socket.close();
  });

  story('after its end a socket tells of nothing', async (rig) => {
    let late = 0;
    const a = await rig.open('a');
    const old = await rig.open('b', () => {
      late += 1;
    });
    old.close();
    a.send(rig.addresses.b, Uint8Array.of(1));
    const got: { bytes: Uint8Array }[] = [];
    const b = await rig.open('b', (_, bytes) => got.push({ bytes }));
    await heard(rig, got, a);
    assert.equal(late, 0);
    for (const socket of [a, b]) socket.close();
  });
}
