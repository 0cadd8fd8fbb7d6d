import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createHandshakeLimiter, sourceOf } from '../../src/mesh/libp2p/limiter.ts';
import { createVirtualClock } from '../../src/ports/memory/clock.ts';

const count = (times: number, admit: () => boolean) =>
  Array.from({ length: times }, admit).filter(Boolean).length;

test('a source gets its burst, then its rate, and does not cost others theirs', async () => {
  const clock = createVirtualClock();
  const limits = { perSource: { burst: 10, perSecond: 2 }, total: { burst: 1_000, perSecond: 1_000 } };
  const limiter = createHandshakeLimiter(clock, limits);
  assert.equal(
    count(50, () => limiter.admit('192.0.2.1:1000')),
    10,
  );
  assert.equal(
    count(50, () => limiter.admit('192.0.2.2:1000')),
    10,
  );
  await clock.advance(3_000);
  assert.equal(
    count(50, () => limiter.admit('192.0.2.1:2000')),
    6,
  );
  await clock.advance(3_600_000);
  assert.equal(
    count(50, () => limiter.admit('192.0.2.1:2000')),
    10,
  );
});

test('all sources together are bounded, however many they are', async () => {
  const clock = createVirtualClock();
  const limits = { perSource: { burst: 10, perSecond: 1 }, total: { burst: 100, perSecond: 50 } };
  const limiter = createHandshakeLimiter(clock, limits);
  let source = 0;
  const flood = () => limiter.admit(`10.${(source >> 16) & 255}.${(source >> 8) & 255}.${source++ & 255}:1`);
  assert.equal(count(20_000, flood), 100);
  await clock.advance(1_000);
  assert.equal(count(20_000, flood), 50);
});

test('addresses of one IPv6 site are one source', () => {
  assert.equal(sourceOf('192.0.2.1:5'), '192.0.2.1');
  assert.equal(sourceOf('[2001:db8:1:2:3:4:5:6]:5'), sourceOf('[2001:db8:1:2::9]:7'));
  assert.notEqual(sourceOf('[2001:db8:1:2::9]:5'), sourceOf('[2001:db8:1:3::9]:5'));
  assert.equal(sourceOf('[2001:db8::1]:5'), '2001:db8:0:0');
  assert.equal(sourceOf('[::1]:5'), '0:0:0:0');
  assert.equal(sourceOf('[1:2:3:4:5:6:7::]:5'), '1:2:3:4');
  assert.equal(sourceOf('[::ffff:192.0.2.1]:5'), '192.0.2.1');
});
