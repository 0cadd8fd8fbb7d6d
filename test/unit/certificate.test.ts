import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type Certificate,
  checkCertificate,
  checkChain,
  checkGenesis,
  checkTombstone,
  MAX_CHAIN,
  meshIdOf,
  signCertificate,
  signGenesis,
  signTombstone,
} from '../../src/core/certificate.ts';
import type { Identity } from '../../src/core/crypto.ts';
import { nodeCrypto as crypto } from '../../src/host/crypto.ts';
import { decode, encode } from '../../src/mesh/codec.ts';
import { newIdentity } from './support/membership-world.ts';

const root = newIdentity(crypto);
const mesh = meshIdOf(root.publicKey, crypto);
const creator = newIdentity(crypto);

function certify(peer: Identity, issuer: Identity, serial = 1): Certificate {
  const heir = issuer === root ? undefined : issuer.peer;
  return signCertificate({ mesh, peer: peer.peer, issuer: issuer.peer, heir, serial }, issuer.seed, crypto);
}

/** `length` certificates; the peer that they are for comes first. */
function chainOf(length: number): { peer: Identity; chain: Certificate[] } {
  let peer = creator;
  const chain = [certify(creator, root)];
  while (chain.length < length) {
    const next = newIdentity(crypto);
    chain.unshift(certify(next, peer));
    peer = next;
  }
  return { peer, chain };
}

function problemOf(data: unknown, peer = creator): string {
  const checked = checkChain(data, peer.peer, mesh, crypto);
  return checked.ok ? 'none' : checked.problem;
}

test('a chain of any admitted length leads to the root key', () => {
  for (const length of [1, 2, MAX_CHAIN]) {
    const { peer, chain } = chainOf(length);
    assert.deepEqual(checkChain(chain, peer.peer, mesh, crypto), { ok: true, value: chain });
    const sent = decode(encode(chain));
    assert.ok(sent.ok);
    assert.deepEqual(
      checkChain(sent.value, peer.peer, mesh, crypto),
      { ok: true, value: chain },
      'after the wire',
    );
  }
  const { peer, chain } = chainOf(MAX_CHAIN + 1);
  assert.equal(problemOf(chain, peer), 'too-long');
});

test('each way in which a chain can be wrong has its name', () => {
  const { peer, chain } = chainOf(3);
  const [own, middle, top] = chain as [Certificate, Certificate, Certificate];
  const stranger = newIdentity(crypto);
  assert.equal(problemOf(chain, stranger), 'wrong-peer');
  assert.equal(problemOf([own, top], peer), 'broken-chain');
  assert.equal(problemOf([own, middle], peer), 'wrong-root');
  assert.equal(problemOf([], peer), 'malformed');
  assert.equal(problemOf([own, middle, { ...top, mesh: 'ab'.repeat(32) }], peer), 'wrong-mesh');
  const otherRoot = newIdentity(crypto);
  const foreign = signCertificate(
    { ...top, issuer: otherRoot.peer, heir: stranger.peer },
    otherRoot.seed,
    crypto,
  );
  assert.equal(problemOf([own, middle, foreign], peer), 'wrong-root');
});

test('a peer without an heir is the creator or nobody', () => {
  const joiner = newIdentity(crypto);
  const body = { mesh, peer: joiner.peer, issuer: creator.peer, heir: undefined, serial: 1 };
  assert.equal(
    problemOf([signCertificate(body, creator.seed, crypto), certify(creator, root)], joiner),
    'malformed',
  );
});

test('the same certificate has the same bytes for signing wherever it was made', () => {
  const one = certify(creator, root);
  const { signature, serial, heir, issuer, peer } = one;
  const other = signCertificate({ serial, heir, issuer, peer, mesh }, root.seed, crypto);
  assert.deepEqual(other.signature, signature);
});

test('genesis and tombstone are believed from their signers only', () => {
  const range = { start: 1, last: 9 };
  const genesis = signGenesis(
    { mesh, creator: creator.peer, range, root: root.publicKey, plain: false },
    root.seed,
    crypto,
  );
  assert.deepEqual(checkGenesis(genesis, mesh, crypto), { ok: true, value: genesis });
  const wrong = [
    [{ ...genesis, range: { start: 1, last: 10 } }, 'bad-signature'],
    [{ ...genesis, plain: true }, 'bad-signature'],
    [{ ...genesis, plain: 1 }, 'malformed'],
    [{ ...genesis, range: { start: 9, last: 1 } }, 'malformed'],
    [{ ...genesis, range: { start: -1, last: 1 } }, 'malformed'],
    [{ ...genesis, creator: root.peer }, 'bad-signature'],
    [{ ...genesis, root: creator.publicKey }, 'wrong-root'],
    [null, 'malformed'],
  ] as const;
  for (const [data, problem] of wrong) {
    const checked = checkGenesis(data, mesh, crypto);
    assert.equal(checked.ok ? 'none' : checked.problem, problem);
  }
  const body = { mesh, peer: creator.peer, issuer: root.peer, adopter: creator.peer };
  const tombstone = signTombstone(body, root.seed, crypto);
  assert.deepEqual(checkTombstone(tombstone, mesh, crypto), { ok: true, value: tombstone });
  for (const change of [
    { peer: root.peer },
    { adopter: root.peer },
    { issuer: creator.peer },
    { mesh: 'ab'.repeat(32) },
  ]) {
    assert.ok(!checkTombstone({ ...tombstone, ...change }, mesh, crypto).ok, JSON.stringify(change));
  }
});

test('no input makes a check throw', () => {
  const { peer, chain } = chainOf(2);
  const genesis = signGenesis(
    { mesh, creator: creator.peer, range: { start: 0, last: 1 }, root: root.publicKey, plain: true },
    root.seed,
    crypto,
  );
  const value = fc.anything({ maxDepth: 2 });
  fc.assert(
    fc.property(value, (data) => {
      for (const check of [checkCertificate, checkGenesis, checkTombstone])
        assert.ok(!check(data, mesh, crypto).ok);
      assert.notEqual(problemOf(data, peer), 'none');
    }),
  );
  fc.assert(
    fc.property(
      fc.constantFrom('mesh', 'peer', 'issuer', 'heir', 'serial', 'signature'),
      value,
      (field, data) => {
        assert.notEqual(problemOf([{ ...chain[0], [field]: data }, chain[1]], peer), 'none');
      },
    ),
  );
  fc.assert(
    fc.property(fc.constantFrom('mesh', 'creator', 'range', 'root', 'signature'), value, (field, data) => {
      assert.ok(!checkGenesis({ ...genesis, [field]: data }, mesh, crypto).ok);
    }),
  );
});
