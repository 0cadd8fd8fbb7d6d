import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatIpv4 } from '../../src/core/address.ts';
import { DEFAULT_NETWORK, type PeerId } from '../../src/core/ids.ts';
import {
  type RingChange,
  type RingEntry,
  ringKey,
  signChange,
  witnessBytes,
} from '../../src/core/ring-entry.ts';
import { MAX_PIECES } from '../../src/mesh/space/giver.ts';
import { readEntries, readReply, readRequest, readWitnessReply } from '../../src/mesh/space/protocol.ts';
import { SpaceError } from '../../src/mesh/space.ts';
import type { FakeHost } from './support/mesh-fakes.ts';
import { createSpaceWorld, type SpaceWorld } from './support/space-world.ts';

/** Cleo is the hostile one. Her heir is anna, and bert's is anna too. */
async function world(): Promise<SpaceWorld> {
  const mesh = createSpaceWorld();
  await mesh.start('anna');
  await mesh.run(50);
  await mesh.join('bert', 'anna');
  await mesh.run(500);
  await mesh.join('cleo', 'anna');
  await mesh.run(1_000);
  return mesh;
}

function change(donor: FakeHost, owner: FakeHost, start: number, last: number, version: number): RingChange {
  const network = DEFAULT_NETWORK;
  return { start, last, network, owner: owner.peer, epoch: 0, version, donor: donor.peer };
}

function signed(mesh: SpaceWorld, by: FakeHost, what: RingChange): RingEntry {
  return signChange(mesh.mesh.crypto, by.identity, mesh.mesh.mesh, what);
}

function witnessed(mesh: SpaceWorld, by: FakeHost, entry: RingEntry): RingEntry {
  const bytes = witnessBytes(mesh.mesh.mesh, entry, by.peer);
  return { ...entry, witness: by.peer, witnessSignature: mesh.mesh.crypto.sign(by.identity.seed, bytes) };
}

/** First address of a host's own space, and its version. */
function home(mesh: SpaceWorld, name: string): { start: number; last: number } {
  const own = mesh
    .space('anna')
    .ring()
    .find(({ owner }) => owner === mesh.host(name).peer);
  assert.ok(own);
  return own;
}

test('records that a member has no right to write are set aside, and the ring stays as it was', async () => {
  const mesh = await world();
  const [anna, bert, cleo] = ['anna', 'bert', 'cleo'].map(mesh.host) as [FakeHost, FakeHost, FakeHost];
  const before = mesh.space('anna').ring();
  const { start } = home(mesh, 'bert');
  const own = home(mesh, 'cleo');
  const stolen = signed(mesh, cleo, change(cleo, cleo, start, start + 9, 2));
  const forged = { ...signed(mesh, cleo, change(bert, cleo, start, start + 8, 2)), witness: cleo.peer };
  const bare = signed(mesh, cleo, change(cleo, bert, own.start, own.start, 2));
  const selfWitnessed = witnessed(
    mesh,
    cleo,
    signed(mesh, cleo, change(cleo, bert, own.start + 1, own.start + 1, 2)),
  );
  const badWitness = {
    ...signed(mesh, cleo, change(cleo, bert, own.start + 2, own.start + 2, 2)),
    witness: anna.peer,
    witnessSignature: new Uint8Array(64),
  };
  const genesis = [...(anna.life?.records.entries('ring/') ?? [])].find(({ key }) => key.endsWith('/0-0'));
  assert.ok(genesis && cleo.life);
  await mesh.settled(
    cleo.life.records.putAll(
      new Map<string, unknown>([
        [ringKey(stolen), stolen],
        [ringKey(forged), forged],
        [ringKey(bare), bare],
        [ringKey(selfWitnessed), selfWitnessed],
        [ringKey(badWitness), badWitness],
        [genesis.key, genesis.value],
        ['ring/elsewhere', stolen],
        ['ring/nonsense', { start: 'x' }],
      ]),
    ),
  );
  await mesh.run(1_500);
  assert.deepEqual(mesh.space('anna').ring(), before);
  const reasons = mesh
    .space('anna')
    .quarantine()
    .map(({ author, reason }) => {
      assert.equal(author, cleo.peer);
      return reason;
    });
  assert.deepEqual(reasons.sort(), [
    'bad-signature',
    'malformed',
    'missing-witness',
    'not-donor',
    'not-donor',
    'not-owner',
    'witness-not-heir',
    'wrong-key',
  ]);
  await mesh.settled(mesh.allocate('bert', 'still-works'));
});

test('an owner that gives one range to two peers loses it for both, and for nobody else', async () => {
  const mesh = await world();
  const [anna, bert, cleo] = ['anna', 'bert', 'cleo'].map(mesh.host) as [FakeHost, FakeHost, FakeHost];
  const { start } = home(mesh, 'cleo');
  const segmentVersion =
    1 +
    Math.max(
      ...[...(anna.life?.records.entries('ring/') ?? [])]
        .map(({ value }) => value as RingEntry)
        .filter(({ owner }) => owner === cleo.peer)
        .map(({ version }) => version),
    );
  const twice = [bert, anna].map((to, i) =>
    witnessed(mesh, anna, signed(mesh, cleo, change(cleo, to, start, start + 3 + i, segmentVersion))),
  );
  await mesh.settled(
    cleo.life?.records.putAll(new Map(twice.map((entry) => [ringKey(entry), entry]))) ?? Promise.reject(),
  );
  await mesh.run(1_500);
  for (const name of ['anna', 'bert', 'cleo']) {
    const disputed = mesh
      .space(name)
      .ring()
      .filter(({ owner }) => owner === undefined);
    assert.deepEqual(
      disputed.map((part) => [part.start - start, part.last - start]),
      [[0, 3]],
      name,
    );
    assert.ok(
      mesh
        .space(name)
        .quarantine()
        .some(({ reason }) => reason === 'disputed'),
    );
  }
});

test('an heir promises nothing to strangers, nothing forged, and nothing twice', async () => {
  const mesh = await world();
  const [anna, bert, cleo] = ['anna', 'bert', 'cleo'].map(mesh.host) as [FakeHost, FakeHost, FakeHost];
  const { start } = home(mesh, 'bert');
  const versionOf = (peer: PeerId) =>
    Math.max(
      ...[...(anna.life?.records.entries('ring/') ?? [])]
        .map(({ value }) => value as RingEntry)
        .filter(({ owner }) => owner === peer)
        .map(({ version }) => version),
    );
  const version = versionOf(bert.peer) + 1;
  const ask = (to: FakeHost, entry: unknown) =>
    mesh.settled(to.life?.answer(cleo.peer, 'space/witness', { entry }) ?? Promise.reject());
  const good = signed(mesh, bert, change(bert, cleo, start + 100, start + 107, version));
  assert.deepEqual(await ask(bert, good), { refused: 'not-heir' });
  assert.deepEqual(await ask(anna, signed(mesh, cleo, change(bert, cleo, start, start, version))), {
    refused: 'malformed',
  });
  assert.deepEqual(await ask(anna, { ...good, last: good.last + 1 }), { refused: 'malformed' });
  assert.deepEqual(await ask(anna, 'nonsense'), { refused: 'malformed' });
  assert.deepEqual(await ask(anna, signed(mesh, bert, change(bert, cleo, start, start, version + 1))), {
    refused: 'behind',
  });
  const first = await ask(anna, good);
  assert.ok(first && typeof first === 'object' && 'signature' in first);
  assert.deepEqual(await ask(anna, good), first, 'the same donation again');
  const second = signed(mesh, bert, change(bert, anna, start + 107, start + 110, version));
  assert.deepEqual(await ask(anna, second), { refused: 'conflict' });
  anna.crash();
  await mesh.settled(mesh.start('anna'));
  await mesh.run(2_000);
  assert.deepEqual(await ask(anna, second), { refused: 'conflict' }, 'after a restart, too');
});

test('a grant for somebody else, or one that nobody signed, is not adopted', async () => {
  const mesh = await world();
  const [anna, bert, cleo] = ['anna', 'bert', 'cleo'].map(mesh.host) as [FakeHost, FakeHost, FakeHost];
  const { start } = home(mesh, 'bert');
  const good = witnessed(mesh, anna, signed(mesh, bert, change(bert, cleo, start, start, 2)));
  const bad: unknown[] = [
    undefined,
    [],
    [{ ...good, owner: bert.peer }],
    [{ ...good, donorSignature: new Uint8Array(64) }],
    [{ ...good, witness: bert.peer }],
    [good, 7],
    [signed(mesh, cleo, change(cleo, cleo, start, start, 2))],
    Array.from({ length: 65 }, () => good),
  ];
  for (const entries of bad) {
    const outcome = await mesh.settled(
      mesh
        .space('cleo')
        .adopt(entries)
        .catch((error: unknown) => error),
    );
    assert.ok(outcome instanceof SpaceError, JSON.stringify(entries));
    assert.equal(outcome.code, 'bad-grant');
  }
});

test('an answer that was forged on the way gives nothing', async () => {
  const mesh = await world();
  const [anna, bert, cleo] = ['anna', 'bert', 'cleo'].map(mesh.host) as [FakeHost, FakeHost, FakeHost];
  const { start } = home(mesh, 'bert');
  // To its donor's heir a donation needs no witness: the donor's signature is all that there is to forge.
  const forged = { ...signed(mesh, cleo, change(bert, anna, start, start, 2)), witness: anna.peer };
  Object.assign(bert.life ?? {}, { answer: async () => ({ granted: [forged] }) });
  const asking = mesh.allocate('anna', 'x', formatIpv4(start), 1_500).catch((error: unknown) => error);
  const outcome = await mesh.settled(asking);
  assert.ok(outcome instanceof SpaceError);
  assert.equal(outcome.code, 'owner-unreachable');
  assert.deepEqual(home(mesh, 'bert').start, start);
});

test('no request, however malformed, is answered with space or breaks the host', async () => {
  const mesh = await world();
  const [anna, cleo] = [mesh.host('anna'), mesh.host('cleo')];
  const before = mesh.space('anna').ring();
  const stranger = mesh.host('stranger').peer;
  const ask = (from: PeerId, body: unknown) =>
    mesh.settled(
      anna.life?.answer(from, 'space/request', body).catch((error: unknown) => error) ?? Promise.reject(),
    );
  for (const body of [
    undefined,
    7,
    {},
    { for: cleo.peer },
    { for: 'me', owned: 0, wait: 100 },
    { for: anna.peer, owned: 0, wait: 100 },
    { for: cleo.peer, owned: -1, wait: 1 },
  ]) {
    assert.ok((await ask(cleo.peer, body)) instanceof Error, JSON.stringify(body));
  }
  assert.ok((await ask(stranger, { for: stranger, owned: 0, wait: 1_000 })) instanceof Error);
  const outside = { for: cleo.peer, owned: 0, wait: 1_000, wanted: 1 };
  assert.deepEqual(await ask(cleo.peer, outside), { refused: 'not-owner' });
  assert.deepEqual(mesh.space('anna').ring(), before);
});

test('a member cannot cut the space of another to pieces, one address at a time', async () => {
  const mesh = await world();
  const [anna, cleo] = [mesh.host('anna'), mesh.host('cleo')];
  const { start } = home(mesh, 'anna');
  const pieces = () =>
    mesh
      .space('anna')
      .ring()
      .filter(({ owner }) => owner !== anna.peer).length;
  const before = pieces();
  const ask = (to: PeerId, wanted: number) =>
    mesh.settled(
      anna.life
        ?.answer(cleo.peer, 'space/request', { for: to, owned: 0, wait: 1_000, wanted })
        .catch((error: unknown) => error) ?? Promise.reject(),
    );
  const madeUp = mesh.host('made up').peer;
  assert.ok((await ask(madeUp, start + 1_000)) instanceof Error);
  assert.equal(pieces(), before);
  for (let at = 0; at < 2 * MAX_PIECES; at++) await ask(cleo.peer, start + 1_000 + 2 * at);
  assert.ok(pieces() - before <= MAX_PIECES);
  assert.deepEqual(await ask(cleo.peer, start + 999), { refused: 'none' });
});

test('no data makes the readers of messages throw', () => {
  fc.assert(
    fc.property(fc.anything({ withTypedArray: true, withNullPrototype: true, withBigInt: true }), (data) => {
      for (const read of [readEntries, readReply, readRequest, readWitnessReply]) {
        read(data);
        read({ granted: data, signature: data, for: data, owned: data, wait: data, refused: data });
      }
    }),
    { numRuns: 1_000 },
  );
});
