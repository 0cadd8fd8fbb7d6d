import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { equalBytes } from '../../src/core/bytes.ts';
import { decodeToken, joinDoor } from '../../src/core/token.ts';
import { encode } from '../../src/mesh/codec.ts';
import { JoinError } from '../../src/mesh/join.ts';
import { decodeFromIssuer, decodeFromJoiner } from '../../src/mesh/join-messages.ts';
import { createJoinWorld, within } from '../unit/support/join-world.ts';

const HOUR = 3_600_000;

async function createMesh(uses: number) {
  const world = createJoinWorld();
  const issuer = await within(world.clock, world.startIssuer(world.newMachine()));
  const { token } = await within(world.clock, issuer.invites.issue({ ttl: HOUR, uses }));
  return { world, issuer, token };
}

test('of fifty hosts that join at once with one single-use token exactly one gets in (SECURITY.md 11)', async () => {
  for (const uses of [1, 7]) {
    const { world, issuer, token } = await createMesh(uses);
    const joiners = await Promise.all(Array.from({ length: 50 }, () => world.startJoiner()));
    const outcomes = joiners.map((joiner) =>
      joiner.join(token).then(
        () => 'joined',
        (error) => (error instanceof JoinError ? error.code : String(error)),
      ),
    );
    const settled = await within(world.clock, Promise.all(outcomes));
    await world.clock.advance(1_000);
    assert.equal(settled.filter((outcome) => outcome === 'joined').length, uses);
    assert.equal(settled.filter((outcome) => outcome === 'used-up').length, 50 - uses);
    assert.equal(issuer.membership.members().length, 1 + uses);
    assert.equal(world.given.size, uses, 'the others were given no addresses either');
    assert.equal(joiners.filter(({ state }) => state.get() !== null).length, uses);
  }
});

test('two links of one host at once are one use and one grant (SECURITY.md 11)', async () => {
  const { world, issuer, token } = await createMesh(1);
  const machine = world.newMachine();
  const [one, two] = [await world.startJoiner(machine), await world.startJoiner(machine)];
  await within(world.clock, Promise.allSettled([one.join(token), two.join(token)]));
  await world.clock.advance(1_000);
  assert.equal(issuer.membership.members().length, 2);
  assert.equal(world.given.size, 1);
  assert.deepEqual(issuer.invites.list()[0]?.peers, [machine.identity.peer]);
});

test('the secret of a token is neither sent nor compared: it is bound into the handshake (SECURITY.md 12)', async () => {
  const { world, issuer, token } = await createMesh(5);
  const parsed = decodeToken(token, world.crypto);
  const door = joinDoor(parsed, world.crypto);
  assert.ok(!door.name.includes(Buffer.from(parsed.secret).toString('hex').slice(0, 8)));
  const joiner = await world.startJoiner();
  for (let at = 0; at < 32; at++) {
    const secret = parsed.secret.map((byte, place) => (place === at ? byte ^ 1 : byte));
    assert.notDeepEqual(joinDoor({ ...parsed, secret }, world.crypto).secret, door.secret);
    const joining = joiner.join({ ...parsed, secret });
    await assert.rejects(within(world.clock, joining), { code: 'bad-secret' });
  }
  assert.deepEqual(issuer.invites.list()[0]?.peers, [], 'a wrong secret uses nothing up');
});

test('bytes are compared without stopping at the first difference (SECURITY.md 12)', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (a, b) => {
      assert.equal(equalBytes(a, b), Buffer.compare(a, b) === 0);
      assert.ok(equalBytes(a, a.slice()));
    }),
  );
  let reads = 0;
  const counting = new Proxy(new Uint8Array(64), {
    get(target, key) {
      if (typeof key === 'string' && /^\d+$/.test(key)) reads++;
      return Reflect.get(target, key, target);
    },
  });
  assert.equal(equalBytes(counting, new Uint8Array(64).fill(255)), false);
  assert.equal(reads, 64);
});

test('neither token nor secrets are spoken of in any log (SECURITY.md 28)', async () => {
  const { world, issuer, token } = await createMesh(1);
  for (let count = 0; count < 3; count++) {
    const joiner = await world.startJoiner();
    await within(
      world.clock,
      joiner.join(token).catch(() => {}),
    );
  }
  const spoken = issuer.spoken.join('\n');
  assert.ok(spoken.length > 0);
  const { secret } = decodeToken(token, world.crypto);
  for (const form of [
    token,
    Buffer.from(secret).toString('hex'),
    Buffer.from(secret).toString('base64url'),
  ]) {
    assert.ok(!spoken.includes(form));
  }
  assert.ok(!spoken.includes('wf1_'));
});

test('nonsense on a join link costs the sender its link and nothing else (SECURITY.md 7, 8)', async () => {
  const { world, issuer, token } = await createMesh(100);
  const door = joinDoor(decodeToken(token, world.crypto), world.crypto);
  const valid = { t: 'join', nickname: 'x', version: '1', control: [], data: [] };
  const many = (item: unknown, count: number) => new Array(count).fill(item);
  const messages = [
    new Uint8Array(0),
    new Uint8Array(1 << 20),
    Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff),
    Uint8Array.of(0xdf, 0xff, 0xff, 0xff, 0xff),
    encode({ ...valid, t: 'complete' }),
    encode({ ...valid, t: 'stored' }),
    encode({ t: 'done' }),
    encode({ ...valid, nickname: '' }),
    encode({ ...valid, nickname: 'x'.repeat(64) }),
    encode({ ...valid, nickname: 'a\u001b[2J' }),
    encode({ ...valid, version: 7 }),
    encode({ ...valid, control: many('a:1', 17) }),
    encode({ ...valid, control: ['x'.repeat(256)] }),
    encode({ ...valid, data: [[['a:1']]] }),
    encode(many(0, 90_000)),
  ];
  for (const message of messages) {
    const stranger = await world.startJoiner();
    const link = await within(world.clock, stranger.transport.dial(`${issuer.host}:6783`, door));
    let closed = false;
    link.receive({
      message() {},
      closed() {
        closed = true;
      },
    });
    link.send(message);
    await world.clock.runUntil(() => closed);
  }
  assert.equal(issuer.membership.members().length, 1);
  assert.equal(world.given.size, 0);
  const joiner = await world.startJoiner();
  await within(world.clock, joiner.join(token));
});

test('who talks out of turn or without end is cut off (SECURITY.md 8)', async () => {
  const { world, issuer, token } = await createMesh(100);
  const door = joinDoor(decodeToken(token, world.crypto), world.crypto);
  const stranger = await world.startJoiner();
  const link = await within(world.clock, stranger.transport.dial(`${issuer.host}:6783`, door));
  let closed = false;
  link.receive({
    message() {},
    closed() {
      closed = true;
    },
  });
  for (let count = 0; count < 1_000; count++) link.send(encode({ t: 'done' }));
  await world.clock.runUntil(() => closed);
  assert.equal(issuer.membership.members().length, 1);
});

test('random bytes are never taken for a message of the join', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      assert.equal(decodeFromJoiner(bytes), undefined);
      assert.equal(decodeFromIssuer(bytes), undefined);
    }),
  );
  const kinds = fc.constantFrom('join', 'grant', 'refused', 'stored', 'complete', 'done');
  const value = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null), fc.uint8Array());
  fc.assert(
    fc.property(
      kinds,
      fc.dictionary(fc.constantFrom('nickname', 'reason', 'message', 'control'), value),
      (t, rest) => {
        const bytes = encode({ ...rest, t });
        assert.equal(decodeFromJoiner(bytes)?.t ?? 'none', t === 'stored' || t === 'done' ? t : 'none');
        const answer = decodeFromIssuer(bytes);
        if (answer?.t === 'refused')
          assert.ok(!/\p{C}/u.test(answer.message) && answer.message.length <= 300);
      },
    ),
  );
});
