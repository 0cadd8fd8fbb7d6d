import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createLogger } from '../../src/daemon/logger.ts';
import { formatTimestamp } from '../../src/daemon/timestamp.ts';
import type { LogLevel } from '../../src/ports/log.ts';

function logAt(level: LogLevel) {
  const lines: string[] = [];
  const clock = { now: () => 0, wall: () => 1_795_407_127_123, setTimer: () => ({ cancel: () => {} }) };
  return { log: createLogger({ clock, level, write: (line) => lines.push(line) }), lines };
}

test('a line has time, level, message and fields', () => {
  const { log, lines } = logAt('info');
  log.info('link opened', {
    peer: '12D3',
    address: '[::1]:6783',
    bytes: 5n,
    up: true,
    left: undefined,
    note: 'a b="c"',
  });
  log.warn('bare');
  assert.deepEqual(lines, [
    '2026-11-23T04:12:07.123Z info  link opened peer=12D3 address=[::1]:6783 bytes=5 up=true note="a b=\\"c\\""\n',
    '2026-11-23T04:12:07.123Z warn  bare\n',
  ]);
});

test('what is below the level is not written', () => {
  for (const [level, count] of [
    ['debug', 4],
    ['info', 3],
    ['warn', 2],
    ['error', 1],
  ] as const) {
    const { log, lines } = logAt(level);
    log.debug('x');
    log.info('x');
    log.warn('x');
    log.error('x');
    assert.equal(lines.length, count);
  }
});

test('whatever is logged stays on one line, moves no cursor and holds no token', () => {
  const odd = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('wf1_Zq9Zq9', 'a\nb', '\x1b[2J', '\u202e', 'x'.repeat(1e5)),
  );
  fc.assert(
    fc.property(odd, odd, odd, (message, key, value) => {
      const { log, lines } = logAt('debug');
      log.info(message, { [key]: value, joined: `wf1_Zq9${value}` });
      assert.equal(lines.length, 1);
      assert.doesNotMatch(lines[0]?.slice(0, -1) ?? '', /[\p{Cc}\p{Cf}\u2028\u2029]|Zq9/u);
    }),
  );
});

test('a timestamp is the one that Date writes', () => {
  fc.assert(
    fc.property(fc.integer({ min: Date.UTC(1000, 0, 1), max: Date.UTC(9999, 11, 31) }), (wall) => {
      assert.equal(formatTimestamp(wall), new Date(wall).toISOString());
    }),
  );
});
