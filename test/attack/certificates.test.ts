import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type Certificate,
  checkChain,
  MAX_CHAIN,
  meshIdOf,
  signCertificate,
} from '../../src/core/certificate.ts';
import type { PeerId } from '../../src/core/ids.ts';
import { nodeCrypto as crypto } from '../../src/host/crypto.ts';
import { KEY } from '../../src/mesh/records.ts';
import { createWorld, newIdentity } from '../unit/support/membership-world.ts';

test('a certificate that was changed in any field admits nobody (SECURITY.md 7)', () => {
  const root = newIdentity(crypto);
  const mesh = meshIdOf(root.publicKey, crypto);
  const peer = newIdentity(crypto);
  const other = newIdentity(crypto);
  const body = { mesh, peer: peer.peer, issuer: root.peer, heir: undefined, serial: 1 };
  const good = signCertificate(body, root.seed, crypto);
  assert.ok(checkChain([good], peer.peer, mesh, crypto).ok);
  const flipped = (at: number) => good.signature.map((byte, place) => (place === at ? byte ^ 1 : byte));
  const edits: Record<string, readonly unknown[]> = {
    mesh: ['ab'.repeat(32), mesh.toUpperCase(), '', undefined, 7],
    peer: [other.peer, `${peer.peer} `, peer.peer.toLowerCase(), '', undefined],
    issuer: [other.peer, peer.peer, '', undefined],
    heir: [other.peer, peer.peer, '', 7],
    serial: [0, 2, -1, 1.5, Number.NaN, 2 ** 53, '1', undefined],
    signature: [...good.signature.keys()].map(flipped).concat([new Uint8Array(64), new Uint8Array(0)]),
  };
  for (const [field, values] of Object.entries(edits)) {
    for (const value of values) {
      for (const name of [peer, other]) {
        assert.ok(
          !checkChain([{ ...good, [field]: value }], name.peer, mesh, crypto).ok,
          `${field} = ${value}`,
        );
      }
    }
  }
});

test('a chain of a million certificates is refused before any of them is looked at (SECURITY.md 8)', () => {
  let looked = 0;
  const item = Object.defineProperty({}, 'mesh', { get: () => looked++, enumerable: true });
  const mesh = meshIdOf(newIdentity(crypto).publicKey, crypto);
  const checked = checkChain(new Array(1_000_000).fill(item), '' as PeerId, mesh, crypto);
  assert.equal(checked.ok ? 'none' : checked.problem, 'too-long');
  assert.equal(looked, 0);
  assert.ok(MAX_CHAIN <= 16);
});

test('a record about one peer under the key of another has no effect (SECURITY.md 6)', async () => {
  const world = await createWorld(crypto);
  const creator = await world.found();
  const member = await world.join(creator);
  const stranger = newIdentity(crypto);
  const forged = [
    [KEY.member + stranger.peer, member.membership.chain[0]],
    [KEY.member + stranger.peer, { ...member.membership.chain[0], peer: stranger.peer }],
    [
      KEY.member + stranger.peer,
      { ...member.membership.chain[0], peer: stranger.peer, issuer: member.identity.peer },
    ],
  ] as const;
  for (const [key, value] of forged) {
    await member.records.put(key, value);
    world.shared.sync();
    assert.ok(!creator.membership.isMember(stranger.peer));
  }
  await member.records.put(KEY.heir, { peer: stranger.peer });
  world.shared.sync();
  assert.equal(
    creator.membership.heirOf(creator.identity.peer),
    member.identity.peer,
    'only the creator names its heir',
  );
});

test('a removed peer stays out under every spelling of its id and every certificate it finds (SECURITY.md 10)', async () => {
  const world = await createWorld(crypto);
  const creator = await world.found();
  const thief = await world.join(creator);
  const chain = thief.membership.chain;
  await creator.membership.bury(thief.identity.peer);
  world.shared.sync();
  const second = signCertificate(
    { ...(chain[0] as Certificate), issuer: thief.identity.peer, serial: 9 },
    thief.identity.seed,
    crypto,
  );
  for (const credentials of [{ chain }, { chain: [second, ...chain] }]) {
    const verdict = creator.membership.admit(thief.identity.peer, credentials);
    assert.equal(verdict.ok ? 'admitted' : verdict.reason, 'removed');
  }
  const id = thief.identity.peer;
  for (const spelling of [` ${id}`, `${id}\n`, `1${id}`, id.toUpperCase(), `z${id}`]) {
    assert.equal(crypto.publicKeyOf(spelling), undefined, spelling);
    const spelled = { ...chain[0], peer: spelling } as Certificate;
    const verdict = creator.membership.admit(spelling as PeerId, { chain: [spelled, ...chain.slice(1)] });
    assert.ok(!verdict.ok, spelling);
  }
});
