import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Identity } from '../../src/core/crypto.ts';
import { DEFAULT_NETWORK, type MeshId, type PeerId } from '../../src/core/ids.ts';
import { witnessFault } from '../../src/core/ring.ts';
import {
  decodeEntry,
  isDonorsWord,
  type RingEntry,
  ringKey,
  signChange,
  witnessBytes,
} from '../../src/core/ring-entry.ts';
import { createMemoryCrypto } from '../../src/ports/memory/crypto.ts';

const crypto = createMemoryCrypto();
const MESH = 'ab'.repeat(32) as MeshId;

function identity(number: number): Identity {
  const seed = new Uint8Array(32).fill(number);
  const publicKey = crypto.publicKey(seed);
  return { seed, publicKey, peer: crypto.peerId(publicKey) };
}
const [donor, heir, owner, stranger] = [1, 2, 3, 4].map(identity) as [Identity, Identity, Identity, Identity];
const heirOf = (peer: PeerId) => (peer === donor.peer ? heir.peer : undefined);

const change = {
  start: 0x0a200000,
  last: 0x0a2000ff,
  network: DEFAULT_NETWORK,
  owner: owner.peer,
  epoch: 0,
  version: 1,
  donor: donor.peer,
};
const unwitnessed = signChange(crypto, donor, MESH, change);

function witnessed(by: Identity, entry: RingEntry = unwitnessed): RingEntry {
  const witnessSignature = crypto.sign(by.seed, witnessBytes(MESH, entry, by.peer));
  return { ...entry, witness: by.peer, witnessSignature };
}
const fault = (entry: RingEntry, heirs = heirOf) => witnessFault(crypto, MESH, entry, heirs);

test('an entry is believed as its donor wrote it and in no other form', () => {
  assert.equal(isDonorsWord(crypto, MESH, unwitnessed), true);
  const edits: Partial<RingEntry>[] = [
    { start: change.start + 1 },
    { last: change.last - 1 },
    { network: 'other' as RingEntry['network'] },
    { owner: stranger.peer },
    { epoch: 1 },
    { version: 2 },
    { donor: stranger.peer },
    { donor: 'nonsense' as PeerId },
    { donorSignature: new Uint8Array(64) },
  ];
  for (const edit of edits) {
    assert.equal(isDonorsWord(crypto, MESH, { ...unwitnessed, ...edit }), false, JSON.stringify(edit));
  }
  assert.equal(isDonorsWord(crypto, 'cd'.repeat(32) as MeshId, unwitnessed), false);
});

test("a donation counts with the word of the donor's heir and of nobody else", () => {
  assert.equal(fault(witnessed(heir)), undefined);
  assert.equal(fault(unwitnessed), 'missing-witness');
  assert.equal(fault(witnessed(stranger)), 'witness-not-heir');
  assert.equal(fault({ ...witnessed(heir), witness: stranger.peer }), 'witness-not-heir');
  assert.equal(fault({ ...witnessed(stranger), witness: heir.peer }), 'bad-signature');
  assert.equal(fault({ ...witnessed(heir), last: change.last + 1 }), 'bad-signature');
  assert.equal(fault({ ...unwitnessed, witness: heir.peer }), 'missing-witness');
  assert.equal(
    fault(witnessed(heir), () => undefined),
    'heir-unknown',
  );
});

test('who receives from the peer whose heir it is needs no other witness', () => {
  const toHeir = signChange(crypto, donor, MESH, { ...change, owner: heir.peer });
  assert.equal(fault({ ...toHeir, witness: heir.peer }), undefined);
  assert.equal(fault(toHeir), 'missing-witness');
  assert.equal(fault({ ...unwitnessed, witness: owner.peer }), 'witness-not-heir');
});

test('who changes its own entry needs no witness', () => {
  assert.equal(fault(signChange(crypto, donor, MESH, { ...change, owner: donor.peer })), undefined);
});

test('a second donation of the same range has a key of its own', () => {
  assert.equal(ringKey(change), 'ring/169869312-169869567/0-1');
  assert.notEqual(ringKey({ ...change, version: 3 }), ringKey(change));
});

test('a good entry is read as it was written, without what does not belong to it', () => {
  for (const entry of [unwitnessed, witnessed(heir), { ...unwitnessed, witness: heir.peer }]) {
    assert.deepEqual(decodeEntry({ ...entry, extra: 1, __proto__: null }), { ok: true, value: entry });
    const late = { ...entry, epoch: 2 ** 40 };
    assert.deepEqual(decodeEntry(late), { ok: true, value: late });
  }
});

test('every malformed field is named', () => {
  const wrong: Record<string, readonly unknown[]> = {
    'start and last': [
      { start: -1 },
      { last: 2 ** 32 },
      { start: 1.5 },
      { start: '1' },
      { start: change.last + 1 },
      { last: NaN },
    ],
    'epoch and version': [
      { epoch: -1 },
      { epoch: 2 ** 49 },
      { version: 2 ** 32 },
      { version: undefined },
      { epoch: 1n },
    ],
    network: [{ network: '' }, { network: 'a\nb' }, { network: 'x'.repeat(64) }, { network: 7 }],
    'owner and donor': [{ owner: '' }, { donor: 'a b' }, { owner: 'x'.repeat(65) }, { donor: ['x'] }],
    donorSignature: [{ donorSignature: new Uint8Array(63) }, { donorSignature: 'x'.repeat(64) }],
    witness: [{ witness: 7 }, { witness: undefined }],
    witnessSignature: [{ witnessSignature: new Uint8Array(65) }, { witnessSignature: {} }],
  };
  for (const [field, edits] of Object.entries(wrong)) {
    for (const edit of edits) {
      const decoded = decodeEntry({ ...witnessed(heir), ...(edit as object) });
      assert.deepEqual(decoded, { ok: false, message: `a ring entry has a malformed ${field}` });
    }
  }
  assert.equal(decodeEntry(null).ok, false);
  assert.equal(decodeEntry('entry').ok, false);
});

test('no data makes the reader throw', () => {
  const anything = fc.anything({ withTypedArray: true, withBigInt: true, withNullPrototype: true });
  const almost = fc.record(
    Object.fromEntries(
      Object.entries(witnessed(heir)).map(([key, value]) => [key, fc.oneof(fc.constant(value), anything)]),
    ),
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(anything, almost), (data) => {
      const decoded = decodeEntry(data);
      if (decoded.ok) assert.deepEqual(decodeEntry(decoded.value), decoded);
      else assert.match(decoded.message, /^a ring entry/);
    }),
    { numRuns: 2_000 },
  );
});
