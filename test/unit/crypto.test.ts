import assert from 'node:assert/strict';
import { test } from 'node:test';
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import type { Crypto } from '../../src/core/crypto.ts';
import { nodeCrypto } from '../../src/host/crypto.ts';
import { createMemoryCrypto } from '../../src/ports/memory/crypto.ts';
import { createSeededRandom } from '../../src/ports/memory/random.ts';

const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString('hex');

test('the real primitives give the published test vectors', () => {
  // RFC 8032 §7.1, test 2.
  const seed = hex('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb');
  assert.equal(
    text(nodeCrypto.publicKey(seed)),
    '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c',
  );
  assert.equal(
    text(nodeCrypto.sign(seed, hex('72'))),
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da' +
      '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00',
  );
  // RFC 7748 §6.1.
  const alice = hex('77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a');
  const bob = hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb');
  assert.equal(
    text(nodeCrypto.agreementPublicKey(alice)),
    '8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a',
  );
  assert.equal(
    text(nodeCrypto.agree(alice, nodeCrypto.agreementPublicKey(bob))),
    '4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742',
  );
  // RFC 5869 §A.1.
  assert.equal(
    text(
      nodeCrypto.derive(
        hex('0b'.repeat(22)),
        hex('000102030405060708090a0b0c'),
        hex('f0f1f2f3f4f5f6f7f8f9'),
        42,
      ),
    ),
    '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865',
  );
  assert.equal(
    text(nodeCrypto.hash(Buffer.from('abc'))),
    'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
  );
});

const adapters: readonly (readonly [string, Crypto])[] = [
  ['real', nodeCrypto],
  ['simulated', createMemoryCrypto()],
];

for (const [name, crypto] of adapters) {
  test(`${name} signatures hold for the signed bytes under the signer's key and for nothing else`, () => {
    const random = createSeededRandom('signatures');
    const [seed, other] = [random.bytes(32), random.bytes(32)];
    const key = crypto.publicKey(seed);
    const data = random.bytes(100);
    const signature = crypto.sign(seed, data);
    assert.equal(signature.length, 64);
    assert.deepEqual(crypto.sign(seed, data), signature);
    assert.equal(crypto.verify(key, data, signature), true);
    assert.equal(crypto.verify(crypto.publicKey(other), data, signature), false);
    assert.equal(crypto.verify(key, data, crypto.sign(other, data)), false);
    for (const at of [0, 31, 32, 63]) {
      const bent = signature.slice();
      bent[at] = (bent[at] as number) ^ 1;
      assert.equal(crypto.verify(key, data, bent), false);
    }
    assert.equal(crypto.verify(key, data.subarray(1), signature), false);
  });

  test(`${name} verification calls any malformed key or signature false`, () => {
    const seed = new Uint8Array(32).fill(7);
    const signature = crypto.sign(seed, seed);
    for (const length of [0, 1, 31, 33, 64, 1_000]) {
      assert.equal(crypto.verify(new Uint8Array(length), seed, signature), false);
      if (length !== 64)
        assert.equal(crypto.verify(crypto.publicKey(seed), seed, new Uint8Array(length)), false);
    }
    assert.equal(crypto.verify(new Uint8Array(32).fill(255), seed, signature), false);
  });

  test(`${name} agreement gives both sides one secret, and none for a public key of zeros`, () => {
    const random = createSeededRandom('agreement');
    const [a, b, c] = [random.bytes(32), random.bytes(32), random.bytes(32)];
    const shared = crypto.agree(a, crypto.agreementPublicKey(b));
    assert.equal(shared?.length, 32);
    assert.deepEqual(shared, crypto.agree(b, crypto.agreementPublicKey(a)));
    assert.notDeepEqual(shared, crypto.agree(a, crypto.agreementPublicKey(c)));
    assert.equal(crypto.agree(a, new Uint8Array(32)), undefined);
    assert.equal(crypto.agree(a, new Uint8Array(31)), undefined);
  });

  test(`${name} peer ids are libp2p's and lead back to the key`, () => {
    for (let byte = 0; byte < 256; byte += 5) {
      const key = new Uint8Array(32).fill(byte);
      const peer = crypto.peerId(key);
      assert.match(peer, /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/);
      assert.deepEqual(crypto.publicKeyOf(peer), key);
    }
  });
}

test('a seed gives the peer id that libp2p gives it', async () => {
  const random = createSeededRandom('ids');
  for (let round = 0; round < 20; round++) {
    const seed = random.bytes(32);
    const pair = await generateKeyPairFromSeed('Ed25519', seed);
    assert.equal(nodeCrypto.peerId(nodeCrypto.publicKey(seed)), peerIdFromPrivateKey(pair).toString());
  }
});

test('text that is not the one form of an Ed25519 peer id is refused', () => {
  const good = nodeCrypto.peerId(new Uint8Array(32).fill(9));
  const others = [
    '',
    '1',
    good.slice(1),
    good.slice(0, -1),
    `${good}1`,
    `1${good}`,
    ` ${good}`,
    good.replace('1', '2'),
    `${good.slice(0, -1)}0`,
    `${good.slice(0, -1)}é`,
    'z'.repeat(52),
    `1${'z'.repeat(51)}`,
    'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N',
    'k51qzi5uqu5dh9ihj4p2v5sl3hxvv27ryx2w0xrsv6jmmqi91t9xp8p9kaipc2',
  ];
  for (const id of others) assert.equal(nodeCrypto.publicKeyOf(id), undefined, id);
  assert.throws(() => nodeCrypto.peerId(new Uint8Array(33)), RangeError);
});
