import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { HostError } from '../../src/ports/host.ts';
import type { Answer, NameSockets, Over } from '../../src/ports/name-sockets.ts';

export interface NamesRig {
  readonly sockets: NameSockets;
  /** A new sandbox; resolves to the text that means it. */
  add(name: string): Promise<string>;
  /** Takes its path away. */
  remove(sandbox: string): Promise<void>;
  /** What a program inside is told by 127.0.0.11; undefined when nobody answers. */
  query(sandbox: string, message: Uint8Array, over: Over): Promise<Uint8Array | undefined>;
  /** What a program with all rights inside may do to the redirect. */
  tamper(sandbox: string): Promise<void>;
  /** Somebody who listens on 127.0.0.11 inside as Docker does. */
  addResolver(sandbox: string, answer: Answer): Promise<void>;
  close(): Promise<void>;
}

/** Twelve bytes of a header, so that nobody on the way takes it for something else; the first ones are the text's. */
function message(text: string): Uint8Array {
  return Buffer.from(text.padEnd(12, '.'));
}

const echo =
  (name: string): Answer =>
  async (query, over) =>
    message(`${name} ${over} ${Buffer.from(query).toString('latin1', 0, 1)}`);

const text = (bytes: Uint8Array | undefined) =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString().replace(/\.+$/, '');

export function namesContract(title: string, createRig: () => Promise<NamesRig>): void {
  describe(title, () => {
    let rig: NamesRig;
    beforeEach(async () => {
      rig = await createRig();
    });
    afterEach(() => rig.close());

    const asked = async (sandbox: string, what = 'q', over: Over = 'udp') =>
      text(await rig.query(sandbox, message(what), over));

    test('what is asked in a sandbox is answered there, over UDP and TCP, and in no other sandbox', async () => {
      const one = await rig.add('one');
      const two = await rig.add('two');
      const first = await rig.sockets.open(one, echo('first'));
      const second = await rig.sockets.open(two, echo('second'));
      assert.notEqual(first.namespace, second.namespace);
      for (const over of ['udp', 'tcp'] as const) {
        assert.equal(await asked(one, 'a', over), `first ${over} a`);
        assert.equal(await asked(two, 'b', over), `second ${over} b`);
      }
    });

    test('after close whoever listened before answers again, or nobody', async () => {
      const one = await rig.add('one');
      const two = await rig.add('two');
      await rig.addResolver(two, echo('docker'));
      for (const sandbox of [one, two]) {
        const opened = await rig.sockets.open(sandbox, echo('weft'));
        assert.equal(await asked(sandbox), 'weft udp q');
        await opened.close();
        await opened.close();
      }
      assert.equal(await asked(one), undefined);
      assert.equal(await asked(one, 'q', 'tcp'), undefined);
      assert.equal(await asked(two), 'docker udp q');
      assert.equal(await asked(two, 'q', 'tcp'), 'docker tcp q');
    });

    test('the resolver that was there before is still asked by us, and what is no answer is passed over', async () => {
      const one = await rig.add('one');
      await rig.addResolver(one, echo('docker'));
      const opened = await rig.sockets.open(one, echo('weft'));
      for (const over of ['udp', 'tcp'] as const) {
        assert.equal(text(await opened.ask(message('z'), over, () => true)), `docker ${over} z`);
      }
      assert.equal(await asked(one), 'weft udp q');
    });

    test('a sandbox opened again is answered by the later one', async () => {
      const one = await rig.add('one');
      const early = await rig.sockets.open(one, echo('early'));
      await rig.sockets.open(one, echo('late'));
      assert.equal(await asked(one), 'late udp q');
      assert.equal(await asked(one, 'q', 'tcp'), 'late tcp q');
      assert.equal(await early.isAlive(), true);
    });

    test('a question without an answer costs nothing but itself', async () => {
      const one = await rig.add('one');
      await rig.sockets.open(one, async (query, over) =>
        query[0] === 0x78 ? undefined : echo('weft')(query, over),
      );
      const silent = rig.query(one, message('x'), 'tcp');
      assert.equal(await asked(one, 'y'), 'weft udp y');
      assert.equal(await silent, undefined);
    });

    test('what somebody inside has taken away is put back', async () => {
      const one = await rig.add('one');
      const opened = await rig.sockets.open(one, echo('weft'));
      await rig.tamper(one);
      assert.equal(await asked(one), undefined);
      await opened.restore();
      assert.equal(await asked(one), 'weft udp q');
    });

    test('a sandbox whose path is gone is not alive, and can be closed all the same', async () => {
      const one = await rig.add('one');
      const opened = await rig.sockets.open(one, echo('weft'));
      assert.equal(await opened.isAlive(), true);
      await rig.remove(one);
      assert.equal(await opened.isAlive(), false);
      await opened.close();
      await opened.restore();
    });

    test('what is no sandbox is refused', async () => {
      await assert.rejects(
        rig.sockets.open('nobody-here', echo('weft')),
        (error) => error instanceof HostError && error.code === 'sandbox-missing',
      );
    });
  });
}
