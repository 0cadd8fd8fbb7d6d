import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_DEPTH } from '../../src/core/json.ts';
import { attachBody, inviteBody, joinBody } from '../../src/doors/api/bodies.ts';
import { parseObject } from '../../src/doors/api/json.ts';
import { check } from '../../src/doors/api/schema.ts';
import { ControlError, codeOf, ERRORS, redact, toProblem } from '../../src/doors/errors.ts';
import { FileStoreError } from '../../src/host/file-store.ts';
import { HostError } from '../../src/ports/host.ts';
import { DialError } from '../../src/ports/transport.ts';

function codeFrom(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof ControlError, `a ControlError and not ${error}`);
    return error.code;
  }
  return 'taken';
}

test('a body is read as objects that inherit nothing', () => {
  const body = parseObject('{"__proto__": {"polluted": true}, "constructor": 1, "a": [{"b": null}]}');
  assert.equal(Object.getPrototypeOf(body), null);
  assert.deepEqual(Object.keys(body), ['__proto__', 'constructor', 'a']);
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
});

test('a body that is no object, no JSON, too deep or has a key twice is refused', () => {
  const nested = (depth: number) => `${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}`;
  assert.equal(
    codeFrom(() => parseObject(nested(MAX_DEPTH))),
    'taken',
  );
  for (const text of [
    '',
    '1',
    'null',
    '[]',
    '"x"',
    '{',
    '{"a":1,}',
    "{'a':1}",
    nested(MAX_DEPTH + 1),
    '['.repeat(1e5),
    '{"a":1,"a":2}',
    '{"a":1,"\\u0061":2}',
    '{"a":NaN}',
    '{"a":1}{"b":2}',
    '"',
    '{"a',
  ]) {
    assert.equal(
      codeFrom(() => parseObject(text)),
      'bad-json',
      text.slice(0, 40),
    );
  }
});

test('equal keys in different objects, and text that looks like structure, are fine', () => {
  assert.deepEqual({ ...parseObject('{"a":{"a":"{{{[[[\\"a\\":"},"b":{"a":1}}') }.a, {
    __proto__: null,
    a: '{{{[[["a":',
  });
});

test('whatever the text, it is read as JSON.parse reads it or refused', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        fc.string({ unit: 'binary' }),
        fc.json().map((text) => text.slice(0, -1)),
      ),
      (text) => {
        let mine: unknown;
        try {
          mine = parseObject(text);
        } catch (error) {
          assert.equal(codeOf(error), 'bad-json');
          return;
        }
        assert.equal(JSON.stringify(mine), JSON.stringify(JSON.parse(text)));
      },
    ),
  );
});

test('a field that is unknown, missing or not of its form is named', () => {
  const problem = (body: object) => {
    try {
      check(attachBody, Object.assign(Object.create(null), body));
    } catch (error) {
      return (error as Error).message;
    }
    return 'taken';
  };
  assert.equal(problem({ sandbox: 'blue' }), 'taken');
  assert.match(problem({}), /sandbox is missing/);
  assert.match(problem({ sandbox: 'blue', colour: 1 }), /no field "colour"/);
  assert.match(problem({ sandbox: 'blue', toString: 1 }), /no field "toString"/);
  assert.match(problem({ sandbox: 7 }), /^sandbox must be/);
  assert.match(problem({ sandbox: 'blue', interface: 'x'.repeat(16) }), /^interface must be/);
  assert.match(problem({ sandbox: 'blue', ip: '010.32.0.1' }), /not an IPv4 address/);
});

test('no name that could leave its place in a path or an argument list is taken', () => {
  const names = [
    '-x',
    '--help',
    '../x',
    'a/b',
    '/run/../etc/passwd',
    '/',
    'a b',
    'a;b',
    '$(x)',
    'a\nb',
    'a\0b',
    '',
    '.',
    '..',
    '/run/netns/../../x',
    'x'.repeat(300),
    'ä',
  ];
  for (const sandbox of names) {
    assert.equal(
      codeFrom(() => check(attachBody, { sandbox })),
      'bad-request',
      sandbox,
    );
  }
  for (const name of [...names, '.hidden', '/x']) {
    assert.equal(
      codeFrom(() => check(attachBody, { sandbox: 'blue', interface: name })),
      'bad-request',
      name,
    );
    assert.equal(
      codeFrom(() => check(attachBody, { sandbox: 'blue', name })),
      'bad-request',
      name,
    );
  }
  for (const sandbox of ['blue', '4711', '/run/netns/blue', '/proc/4711/ns/net', 'cni-1a2b_c.d']) {
    assert.deepEqual(check(attachBody, { sandbox }), { sandbox });
  }
});

test('numbers are whole and inside their limits', () => {
  for (const uses of [0, -1, 1.5, 10_001, 1e308, '5', null, [1], true]) {
    assert.equal(
      codeFrom(() => check(inviteBody, { uses: uses as number })),
      'bad-request',
      String(uses),
    );
  }
  assert.deepEqual(check(inviteBody, { ttl: 60, uses: 10_000 }), { ttl: 60, uses: 10_000 });
});

test('what is no token is refused without a word of it', () => {
  for (const token of [
    '',
    'wf1_',
    'wf1_short',
    `wf1_${'x'.repeat(9_000)}`,
    `wf1_${'!'.repeat(40)}`,
    7,
    null,
  ]) {
    try {
      check(joinBody, { token: token as string });
      assert.fail('it was taken');
    } catch (error) {
      assert.equal(codeOf(error), 'bad-token');
      assert.doesNotMatch((error as Error).message, /x{5}|!{5}|short/);
    }
  }
});

test('every error has a status, a title and something to do, and ends without a full stop', () => {
  for (const [code, { status, title, remedy }] of Object.entries(ERRORS)) {
    assert.match(code, /^[a-z]+(-[a-z]+)*$/);
    assert.ok(status >= 400 && status < 600, code);
    assert.ok(title.length > 5 && remedy.length > 5, code);
    assert.doesNotMatch(title + remedy, /\.$|\n/, code);
  }
});

test('errors of the parts below keep their words and get their place in the table', () => {
  const cases: readonly [Error, string, number][] = [
    [new HostError('no-tun', 'there is no /dev/net/tun'), 'no-tun', 500],
    [new DialError('used-up', 'refused by 192.0.2.1'), 'used-up', 409],
    [new DialError('timeout', 'no answer from 192.0.2.1'), 'dial-timeout', 503],
    [Object.assign(new Error('listen EADDRINUSE'), { code: 'EADDRINUSE' }), 'port-in-use', 409],
    [new ControlError('no-mesh'), 'no-mesh', 409],
  ];
  for (const [error, code, status] of cases) {
    const problem = toProblem(error);
    assert.deepEqual([problem.code, problem.status, problem.detail], [code, status, error.message]);
    assert.equal(problem.remedy, ERRORS[problem.code].remedy);
  }
});

test('an error that nobody planned tells the caller nothing of its inside', () => {
  for (const error of [
    new TypeError('x.secret is not a function'),
    'text',
    null,
    { code: 'no-mesh' },
    Object.assign(new Error('secret'), { code: 'toString' }),
    Object.assign(new Error('secret'), { code: '__proto__' }),
  ]) {
    const problem = toProblem(error);
    assert.equal(problem.code, 'internal');
    assert.doesNotMatch(JSON.stringify(problem), /secret/);
  }
});

test('a token in any text is struck out', () => {
  assert.equal(redact('join wf1_abc-DEF_9 now, wf1_x'), 'join wf1_… now, wf1_…');
  assert.doesNotMatch(
    JSON.stringify(toProblem(new ControlError('bad-token', 'no good: wf1_secret'))),
    /secret/,
  );
});

test('a disk without room is not taken for a mesh without addresses', () => {
  for (const code of ['no-space', 'not-permitted', 'unsafe-directory', 'failed'] as const) {
    assert.equal(codeOf(new FileStoreError(code, 'the state cannot be written')), 'state-unwritable');
  }
});
